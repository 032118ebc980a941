"""Published severity scales: the fixed strengths of other benchmarks, for comparison with their papers."""

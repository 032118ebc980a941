"""Statistics of scores: pure functions of numbers, groups and resamples, which know nothing of tables."""

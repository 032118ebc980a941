"""Perturbed data sets in the formats of other benchmarks: written and read image by image."""

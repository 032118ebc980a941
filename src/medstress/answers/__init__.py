"""Generators asked in words: their answers, kept as they arrive, and clients of models that others serve."""

"""Figures of a study: one module each, listed in :mod:`medstress.figures.registry`."""

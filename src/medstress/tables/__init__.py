"""Tables of a study: one module each, listed in :mod:`medstress.tables.registry`."""

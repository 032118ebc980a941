"""Models: one adapter a file, looked up by the model card's `adapter:`."""

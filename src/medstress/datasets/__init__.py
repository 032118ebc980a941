"""Readers of data sets on disk: from a card and raw files to the images and samples records."""

"""Perturbed copies of a folder of images, without a study."""

"""Weights and data sets from the network, a mirror or a folder: checked, resumed, and there whole or not at all."""

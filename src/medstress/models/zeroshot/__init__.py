"""Classifiers: image-text models, plain ones, and how their embeddings become answers."""

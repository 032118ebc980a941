"""White-box attacks: images changed within a few grey levels so that a model answers worse."""

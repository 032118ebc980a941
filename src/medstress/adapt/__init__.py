"""Fine-tuning: what is trained, on what, and how it goes on after a stop."""

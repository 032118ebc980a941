"""Vision-language models that run here, on this machine's CPU or GPUs."""

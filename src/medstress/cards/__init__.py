"""What cards may say: frozen pydantic models, one module for each kind of card."""

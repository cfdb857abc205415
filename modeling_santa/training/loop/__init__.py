"""The small training loop."""

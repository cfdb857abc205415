"""Training with nanotron: configurations, the model in its terms, the trainer, and its checkpoints' layout."""

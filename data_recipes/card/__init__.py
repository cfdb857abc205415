"""The dataset card and its pictures."""

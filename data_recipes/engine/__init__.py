"""Compiled loops over many texts, and their NumPy twins."""

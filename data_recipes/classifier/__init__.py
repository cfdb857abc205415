"""A linear quality classifier: which of a text's hashed words and word pairs, and which of its shapes, speak for it."""

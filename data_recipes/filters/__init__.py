"""Which rows are kept: one filter a file."""

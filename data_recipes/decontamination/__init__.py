"""Benchmark strings and the search for them."""

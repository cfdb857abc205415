"""Texts as packed token shards, and training samples drawn from them."""

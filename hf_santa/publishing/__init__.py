"""Bring repository folders to the Hub: plan, check, commit, load back."""

"""Run the whole life cycle on real source code with one command."""

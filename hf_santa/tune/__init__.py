"""The command `hf-santa tune`: repositories and a base in, a measured autocomplete for their editors out."""

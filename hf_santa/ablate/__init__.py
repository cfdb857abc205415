"""The command `hf-santa ablate`: the report's ablations in small."""

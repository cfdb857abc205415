"""From artefacts to repositories on the Hub: what belongs to each, checked, planned, committed, loaded back."""

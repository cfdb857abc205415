"""What a repository on the Hub holds: written, checked, staged, verified."""

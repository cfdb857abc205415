"""Personal data and secrets: found, replaced, reported."""

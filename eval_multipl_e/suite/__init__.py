"""Completing, grading and reporting: everything the published metric does not need."""

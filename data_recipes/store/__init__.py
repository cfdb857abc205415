"""What a finished dataset folder holds, and how it is read."""

"""Write and read what a finished dataset folder (a store) holds."""

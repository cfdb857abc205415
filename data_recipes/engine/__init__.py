"""The fast loops over many texts: compiled by numba, or the same in NumPy."""

"""Near-duplicates: signatures, clusters, three modes."""

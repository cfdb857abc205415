"""Read rows from whatever holds source code: parquet, JSON lines, folders, archives, git, the Hub."""

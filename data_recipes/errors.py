"""The two errors of the data room."""


class DataError(ValueError):
    """A source, an argument or a table is not what a step needs; the message names it and what to do."""


class StoreError(RuntimeError):
    """An output can't be written; the message names the path and what to do."""

"""The errors of the data room: what a user can cause. Anything else that is raised is a fault of this package."""


class DataError(ValueError):
    """A source, a setting or a table is not what a step needs; the message names it and says what to do."""


class StoreError(DataError):
    """An output can't be written or read back; the message names the path and says what to do."""

"""Define `ModelError`, the base class of this package's errors, and its kinds. It goes to the Hub with the model."""


class ModelError(ValueError):
    """A checkpoint, a tokenizer, a text or a setting is not what is needed; the message says what to do.

    `exit_code` is what the command line ends with: 2 for a user's mistake, 3 where the work was stopped before its end.
    """

    exit_code = 2


class TooLittleMemoryError(ModelError, RuntimeError):
    """There is less memory than the next step needs; it was not begun."""

    exit_code = 3

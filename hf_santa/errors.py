"""Define `HfSantaError`, the base class of errors of `hf_santa` that a user can cause."""


class HfSantaError(ValueError):
    """A command can't do what was asked; the message says what was seen, what was expected and what to do.

    `exit_code` is what the command line ends with: 2 for a user's mistake, 1 where a check found something, 3 where
    something is missing or was stopped before its end.
    """

    exit_code = 2


class CheckFailedError(HfSantaError):
    """A check that was asked for found something wrong."""

    exit_code = 1


class IncompleteError(HfSantaError):
    """The work was done in part: something it needs is missing, or it was stopped."""

    exit_code = 3

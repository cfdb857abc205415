"""The base class of the metric's errors."""


class EvalError(ValueError):
    """A problem file, a completion, a setting or a tool is not what is needed; the message says what to do.

    `exit_code` is what the command line ends with: 2 for a user's mistake, 3 where a tool that is needed is missing.
    """

    exit_code = 2


class MissingToolError(EvalError, RuntimeError):
    """A compiler, an interpreter or a sandbox that is needed does not work on this machine."""

    exit_code = 3

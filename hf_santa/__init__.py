"""The door of the project: the `hf santa` command and the release tool."""

__version__ = "0.1.0"

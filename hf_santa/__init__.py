"""The command `hf-santa`, and what needs several packages at once: the demo, training commands, publishing."""

__version__ = "0.1.0"

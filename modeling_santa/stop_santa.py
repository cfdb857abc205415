"""Find where an answer ends: before a line break, at the end of a block, or at a string."""

from collections.abc import Sequence
from dataclasses import dataclass

from .errors_santa import ModelError


@dataclass
class Stop:
    r"""Tells how much of an answer is decided, and whether it is over.

    `rule` is "line" (before the first line break that follows some text), "block" (before the first line that is
    indented less than the first one written, or than the empty line on which the gap stands), or strings before the first of
    which the answer ends.

    >>> Stop("line").decided("x = 1\ny")
    (5, True)
    >>> Stop(("\n\n",)).decided("x = 1\n")
    (5, False)
    """

    rule: str | Sequence[str] = ()
    prefix: str = ""

    def __post_init__(self) -> None:
        is_named = self.rule in ("line", "block")
        if isinstance(self.rule, str) and not is_named:
            raise ModelError(f"stop={self.rule!r} is unknown. Choose 'line', 'block' or a list of strings.")
        if not is_named and not all(isinstance(text, str) and text for text in self.rule):
            raise ModelError(
                f"stop={self.rule!r} holds something else than texts. Give strings of one character or more."
            )

    def decided(self, text: str) -> tuple[int, bool]:
        """Return how many characters of the text can be shown, and whether the answer ends after them."""
        if self.rule == "line":
            return self._line(text)
        if self.rule == "block":
            return self._block(text)
        ends = [at for stop in self.rule if (at := text.find(stop)) >= 0]
        if ends:
            return min(ends), True
        longest = max(map(len, self.rule), default=0)
        for size in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self.rule):
                return len(text) - size, False
        return len(text), False

    def _line(self, text: str) -> tuple[int, bool]:
        begins = len(text) - len(text.lstrip())
        end = text.find("\n", begins)
        if end < 0:
            return len(text) - text.endswith("\r"), False
        return end - (text[end - 1] == "\r"), True

    def _block(self, text: str) -> tuple[int, bool]:
        current = self.prefix.rsplit("\n", 1)[-1]
        indent = None if current.strip() else len(current)
        at = text.find("\n")
        while at >= 0:
            following = text.find("\n", at + 1)
            line = text[at + 1 : following if following >= 0 else len(text)]
            if line.strip():
                width = len(line) - len(line.lstrip())
                if indent is not None and width < indent:
                    return len(text[:at].rstrip()), True
                indent = width if indent is None else indent
            at = following
        kept = text.rstrip()
        return (len(kept) if "\n" in text[len(kept) :] else len(text)), False

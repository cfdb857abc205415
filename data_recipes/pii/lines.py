"""Give line and column of a place in a text; lines are found once, for large files."""

import re
from bisect import bisect_right
from collections.abc import Iterator

_LINE_END = re.compile(r"\n")


class TextLines:
    """A text's lines, which end at the line feed alone; numbers count from 0."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(text))]

    def __len__(self) -> int:
        return len(self._starts)

    def number(self, offset: int) -> int:
        """Return the number of the line that holds the character at an offset."""
        return bisect_right(self._starts, offset) - 1

    def start(self, number: int) -> int:
        """Return the offset at which a line begins."""
        return self._starts[number]

    def line(self, number: int) -> str:
        """Return a line without its line feed."""
        end = self._starts[number + 1] - 1 if number + 1 < len(self._starts) else len(self._text)
        return self._text[self._starts[number] : end]

    def place(self, offset: int) -> str:
        """Return line and column of an offset as people count them.

        >>> TextLines("ab").place(1)
        '1:2'
        """
        number = self.number(offset)
        return f"{number + 1}:{offset - self._starts[number] + 1}"


def hunks(numbers: Iterator[int], around: int, count: int) -> list[tuple[int, int]]:
    """Return ranges of numbers that show each of these sorted lines with so many around it, joined where they touch.

    >>> hunks(iter([5, 7, 30]), 2, 31)
    [(3, 10), (28, 31)]
    """
    joined: list[tuple[int, int]] = []
    for number in numbers:
        first, last = max(0, number - around), min(count, number + around + 1)
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined

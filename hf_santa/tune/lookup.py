"""Answer gaps without a model: by the training line whose surroundings are most like the gap's, as a plain index would."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BEFORE = 3  # lines before a line that describe it
BLOCK = 16
_WORD = re.compile(r"[A-Za-z_]\w*|\d+")
MOST_POSTINGS = 20_000  # a word of more places says nothing


class LineIndex:
    """The lines of the training side by the words of the lines before them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.files = [text.split("\n") for text in texts]
        self.places: list[tuple[int, int]] = []
        self._postings: defaultdict[str, list[int]] = defaultdict(list)
        self._starts: defaultdict[str, list[int]] = defaultdict(list)
        for number, lines in enumerate(self.files):
            for at, line in enumerate(lines):
                if not line.strip():
                    continue
                place = len(self.places)
                self.places.append((number, at))
                self._starts[line.strip()[:3]].append(place)
                for word in _words(lines[max(0, at - BEFORE) : at]):
                    self._postings[word].append(place)

    def answer(self, gap: Mapping[str, Any]) -> str:
        """Return what stands in the training side at the place that is most like the gap; nothing where no word is shared."""
        *before, typed = gap["prefix"].split("\n")
        scores: defaultdict[int, float] = defaultdict(float)
        total = max(1, len(self.places))
        for word in _words(before[-BEFORE:]):
            places = self._postings.get(word, ())
            if 0 < len(places) <= MOST_POSTINGS:
                weight = math.log(1 + total / len(places))
                for place in places:
                    scores[place] += weight
        start = typed.strip()
        if start:
            fitting = [place for place in self._starts.get(start[:3], ()) if self._line(place).startswith(start)]
            best = max(fitting, key=lambda place: (scores.get(place, 0.0), -place), default=None)
            return "" if best is None else self._line(best)[len(start) :]
        best = max(scores, key=lambda place: (scores[place], -place), default=None)
        if best is None:
            return ""
        number, at = self.places[best]
        lines = self.files[number]
        return "\n".join(lines[at : _end_of_block(lines, at)] if gap["kind"] == "block" else lines[at : at + 1])

    def _line(self, place: int) -> str:
        number, at = self.places[place]
        return self.files[number][at].strip()


def _words(lines: Sequence[str]) -> list[str]:
    return sorted({word for line in lines for word in _WORD.findall(line)})


def _end_of_block(lines: Sequence[str], at: int) -> int:
    """Return where the lines that are indented below a line end."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    end = at + 1
    while end < len(lines) and end - at < BLOCK:
        line = lines[end]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        end += 1
    return end

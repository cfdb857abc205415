"""Make gaps of the kinds that an editor meets from lines that people wrote and that the training side does not have."""

import difflib
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = ("rest_of_line", "line", "block")
BLOCK_LINES = 8
LEAST_REST = 3  # characters: less is not worth a suggestion
MOST_LINES = 20_000  # a longer file is data, and comparing it would take minutes
_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s+[\w:{]|using\s+[\w.]|require\b|package\b|export\s+\*)"
)


@dataclass(frozen=True)
class HeldText:
    """A text held back from training, and the numbers of its lines, from 0, that may be asked for."""

    path: str
    lang: str
    by: str  # "time" or "file"
    text: str
    lines: tuple[int, ...]


@dataclass
class GapCounts:
    """What was found while gaps were made: lines left out as literal copies, trivial ones, and the trivial lines kept."""

    candidates: int = 0
    literal: int = 0
    trivial: int = 0
    trivial_inside: Counter[str] = field(default_factory=Counter)


def is_trivial(line: str) -> bool:
    """Tell whether a line says nothing that could be learned by heart: blank, brackets alone, or an import.

    >>> [is_trivial(line) for line in ("  })", "import os", "return x")]
    [True, True, False]
    """
    return not any(map(str.isalnum, line)) or bool(_IMPORT.match(line))


def known_lines(texts: Iterable[str]) -> set[str]:
    """Return all lines of the training side, blanks at both ends aside."""
    return {line.strip() for text in texts for line in text.split("\n")}


def added_lines(before: str, after: str) -> tuple[int, ...]:
    r"""Return the numbers of the lines of `after` that a person added to `before`, or wrote in place of others.

    >>> added_lines("a\nb\n", "a\nnew\nb\n")
    (1,)
    """
    old, new = before.split("\n"), after.split("\n")
    if max(len(old), len(new)) > MOST_LINES:
        return ()
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        at for kind, _, _, first, last in changes if kind in {"insert", "replace"} for at in range(first, last)
    )


def make_gaps(
    held: Sequence[HeldText], known: Collection[str], *, count: int, seed: int
) -> tuple[list[dict[str, Any]], GapCounts]:
    """Return about `count` gaps, the same number of each kind, spread over the texts, and what was left out.

    Each is a dictionary of kind, by, path, lang, prefix, middle and suffix; the three are the text, character for character.

    Args:
        held: The texts.
        known: The lines of the training side, as of `known_lines`; a gap with one of them that is not trivial is left out.
        count: How many gaps.
        seed: Draws them.
    """
    counts = GapCounts()
    fresh = [_fresh(text, known, counts) for text in held]
    ways = sorted({text.by for text in held})
    gaps: list[dict[str, Any]] = []
    for kind in KINDS:
        for by in ways:
            draws = [
                _of_text(text, lines, kind, known, random.Random(f"{seed}/{kind}/{by}/{text.path}"))
                for text, lines in zip(held, fresh, strict=True)
                if text.by == by
            ]
            gaps += _spread(draws, -(-count // (len(KINDS) * len(ways))))
    for gap in gaps:
        inside = (line.strip() for line in gap["middle"].split("\n"))
        counts.trivial_inside.update(line for line in inside if line and is_trivial(line) and line in known)
    return gaps, counts


def literal_copies(gaps: Sequence[dict[str, Any]], known: Collection[str]) -> int:
    """Return how many lines of the gaps, trivial ones aside, stand literally in the training side."""
    found = 0
    for gap in gaps:
        start = gap["prefix"].rpartition("\n")[2]
        whole = (start + gap["middle"]).split("\n")
        found += sum(line.strip() in known and not is_trivial(line) for line in whole)
    return found


def _fresh(text: HeldText, known: Collection[str], counts: GapCounts) -> frozenset[int]:
    """Return the lines of a text that are neither trivial nor known, and count the others."""
    lines, fresh = text.text.split("\n"), []
    for at in text.lines:
        counts.candidates += 1
        if is_trivial(lines[at]):
            counts.trivial += 1
        elif lines[at].strip() in known:
            counts.literal += 1
        else:
            fresh.append(at)
    return frozenset(fresh)


def _of_text(
    text: HeldText, fresh: frozenset[int], kind: str, known: Collection[str], draw: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield the gaps of one kind that a text gives, in the order of a draw."""
    order = sorted(fresh)
    draw.shuffle(order)
    lines = text.text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    allowed = frozenset(text.lines)
    for at in order:
        line, first = lines[at], starts[at]
        last = min(starts[at + 1], len(text.text))
        if kind == "rest_of_line":
            indent = len(line) - len(line.lstrip())
            length = len(line.rstrip()) - indent
            if length < 2 * LEAST_REST:
                continue
            first += indent + draw.randint(LEAST_REST, length - LEAST_REST)
            last = starts[at] + len(line)
        elif kind == "block":
            end = _block_end(lines, at, allowed, known)
            if end - at < 2:
                continue
            last = min(starts[end], len(text.text))
        parts = {"prefix": text.text[:first], "middle": text.text[first:last], "suffix": text.text[last:]}
        yield {"kind": kind, "by": text.by, "path": text.path, "lang": text.lang, **parts}


def _block_end(lines: Sequence[str], at: int, allowed: frozenset[int], known: Collection[str]) -> int:
    """Return where the added lines from `at` on end: with a known line, or one that is indented less than the first."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    end = at
    while end < len(lines) and end in allowed and end - at < BLOCK_LINES:
        line = lines[end]
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        if not is_trivial(line) and line.strip() in known:
            break
        end += 1
    while end > at and not lines[end - 1].strip():
        end -= 1
    return end


def _spread(draws: Sequence[Iterator[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    """Take one gap of each text in turn until there are enough, or no more."""
    found: list[dict[str, Any]] = []
    left = list(draws)
    while left and len(found) < count:
        following = []
        for source in left:
            if len(found) == count:
                break
            gap = next(source, None)
            if gap is not None:
                found.append(gap)
                following.append(source)
        left = following
    return found

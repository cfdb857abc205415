"""The difference that a redaction makes, in the form that `patch` takes."""

from collections.abc import Iterator

from data_recipes.pii.lines import TextLines, hunks
from data_recipes.pii.redaction import Redacted
from data_recipes.pii.reported import shown

_AROUND = 3


def diff_lines(name: str, text: str, result: Redacted) -> Iterator[str]:
    """Yield the lines of a unified diff. Redaction never adds or removes a line, so none need to be matched."""
    before, after = TextLines(text), TextLines(result.text)
    yield f"--- {shown(name)}\n+++ {shown(name)}"
    touched = sorted(
        {line for f in result.findings for line in range(before.number(f.start), before.number(f.end - 1) + 1)}
    )
    changed = {number for number in touched if before.line(number) != after.line(number)}
    last = len(before) if before.line(len(before) - 1) else len(before) - 1
    for first, end in hunks(iter(sorted(changed)), _AROUND, last):
        yield f"@@ -{first + 1},{end - first} +{first + 1},{end - first} @@"
        number = first
        while number < end:
            group = number
            while group < end and group in changed:
                group += 1
            for mark, lines in (("-", before), ("+", after)):
                for line in range(number, group):
                    yield from _line(mark, lines, line)
            if group == number:
                yield from _line(" ", before, number)
                group += 1
            number = group


def _line(mark: str, lines: TextLines, number: int) -> Iterator[str]:
    yield mark + shown(lines.line(number))
    if number == len(lines) - 1:
        yield "\\ No newline at end of file"

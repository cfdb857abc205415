"""Write the HTML report of a redaction: every find in its lines, before and after."""

import re
from collections import Counter
from html import escape
from importlib.resources import files
from string import Template

from data_recipes.pii.lines import TextLines, hunks
from data_recipes.pii.redaction import Redacted

MAX_SHOWN = 200
"""At most so many hunks of a file are shown; all are counted."""

_AROUND = 2
_CLIPPED = 120  # characters kept on each side of a find in a long line
_NAMES = {
    "EMAIL_ADDRESS": "e-mail address",
    "IP_ADDRESS": "IP address",
    "KEY": "key",
    "PASSWORD": "password",
    "USERNAME": "user name",
    "NAME": "name of a person",
}


class FindsPage:
    """Gathers the files of a redaction; what it holds grows with the finds, not with the files."""

    def __init__(self, style: str) -> None:
        self._style = style
        self._sections: list[str] = []
        self._rows: list[tuple[str, int]] = []
        self._rules: Counter[tuple[str, str]] = Counter()
        self._files = 0

    def add(self, name: str, text: str, result: Redacted) -> None:
        """Take one more file, with or without finds."""
        self._files += 1
        if not result.findings:
            return
        self._rules.update((finding.type, finding.rule) for finding in result.findings)
        self._rows.append((name, len(result.findings)))
        self._sections.append(_section(len(self._rows), name, text, result))

    def html(self) -> str:
        """Return the page."""
        found = sum(self._rules.values())
        rules = [
            f'<tr><td><span class="dot {_kind(kind)}"></span>{escape(_NAMES.get(kind, kind))}</td>'
            f"<td><code>{escape(rule)}</code></td><td>{count:,}</td></tr>"
            for (kind, rule), count in sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
        ]
        names = [
            f'<tr><td><a href="#f{number}">{_breakable(name)}</a></td><td>{count:,}</td></tr>'
            for number, (name, count) in enumerate(self._rows, 1)
        ]
        return Template((files("data_recipes.pii") / "report.html").read_text("utf-8")).substitute(
            summary=f"{_count(found, 'find')} in {_count(len(self._rows), 'file')} of {self._files:,}",
            style=escape(self._style),
            rules="\n".join(rules) or '<tr><td colspan="3">Nothing was found.</td></tr>',
            files="\n".join(names) or '<tr><td colspan="2">No file has a find.</td></tr>',
            sections="\n".join(self._sections),
        )


def _section(number: int, name: str, text: str, result: Redacted) -> str:
    lines, marks = TextLines(text), dict[int, list[str]]()
    pieces = dict[int, list[tuple[int, int, str]]]()
    for finding, (start, end) in zip(result.findings, result.places, strict=True):
        new = result.text[start:end]
        first, last = lines.number(finding.start), lines.number(finding.end - 1)
        for line in range(first, last + 1):
            begin = lines.start(line)
            part = max(finding.start, begin) - begin, min(finding.end - begin, len(lines.line(line)))
            opening = f'<mark class="{_kind(finding.type)}" title="{escape(f"{finding.type}: {finding.rule}")}">'
            pieces.setdefault(line, []).append((*part, opening))
        marks.setdefault(last, []).append(new if first == last else "another body in the same lines")
    shown = hunks(iter(sorted(pieces)), _AROUND, len(lines))
    body = "".join(_hunk(lines, first, last, pieces, marks) for first, last in shown[:MAX_SHOWN])
    more = f'<p class="more">{len(shown) - MAX_SHOWN:,} more places are not shown.</p>' if shown[MAX_SHOWN:] else ""
    count = _count(len(result.findings), "find")
    return f'<section id="f{number}"><h2>{_breakable(name)} <small>{count}</small></h2>{body}{more}</section>'


def _hunk(
    lines: TextLines,
    first: int,
    last: int,
    pieces: dict[int, list[tuple[int, int, str]]],
    marks: dict[int, list[str]],
) -> str:
    rows = []
    for number in range(first, last):
        found = pieces.get(number, [])
        code = _marked(lines.line(number), found)
        after = "".join(f"<ins>{_clean(new)}</ins>" for new in marks.get(number, []))
        rows.append(
            f'<div class="line{" hit" if found else ""}"><span class="n">{number + 1}</span><code>{code}</code></div>'
            + (
                f'<div class="line new"><span class="n">→</span><span class="after">{after}</span></div>'
                if after
                else ""
            )
        )
    return f'<div class="hunk">{"".join(rows)}</div>'


def _marked(line: str, found: list[tuple[int, int, str]]) -> str:
    """A line as HTML with its finds marked; what is far from all of them is left out of a long line."""
    first, last = (found[0][0], found[-1][1]) if found else (0, 0)
    low = first - _CLIPPED if first > 2 * _CLIPPED else 0
    high = last + _CLIPPED if len(line) - last > 2 * _CLIPPED else len(line)
    parts, at = ["…" if low else ""], low
    for start, end, opening in found:
        parts += (_clipped(line[at:start]), opening, _clean(line[start:end]), "</mark>")
        at = end
    return "".join([*parts, _clean(line[at:high]), "…" if high < len(line) else ""])


def _clipped(between: str) -> str:
    if len(between) <= 4 * _CLIPPED:
        return _clean(between)
    return f"{_clean(between[:_CLIPPED])}…{_clean(between[-_CLIPPED:])}"


def _clean(text: str) -> str:
    """Text as HTML; what no page can show becomes the replacement character."""
    return escape(re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text.rstrip("\r")))


def _breakable(name: str) -> str:
    return _clean(name).replace("/", "/<wbr>")


def _kind(kind: str) -> str:
    return re.sub(r"[^a-z]", "-", kind.lower())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

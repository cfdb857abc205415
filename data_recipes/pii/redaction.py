"""Replace personal data in source code: equal values by equal ones; nothing else of the text changes."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_recipes.pii.detector import Detector
from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction_key import RedactionKey, chosen_key
from data_recipes.pii.replacements import POLICY_VERSION, STYLES, Replacements, is_replacement
from data_recipes.pii.tags import TagWriter, is_tag

__all__ = ["POLICY_VERSION", "STYLES", "Redacted", "redact", "redact_findings", "redact_with"]

_MAX_ROUNDS = 8
_MAX_REDRAWS = 3


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text, the finds with their places in the original, and where their replacements stand in the text."""

    text: str
    findings: list[Finding]
    places: list[tuple[int, int]]


def redact(
    text: str,
    *,
    key: RedactionKey | None = None,
    seed: int | None = None,
    style: str = "santacoder",
    types: Sequence[str] | None = None,
    recognizers: Sequence[Any] = (),
) -> Redacted:
    """Replace personal data by values of the same kind that are nobody's.

    Styles: `santacoder` writes the report's formats (five letters at example.com, a private address of the same
    family, 32 of a-z and 0-9 for a key, another body in a private key's lines); `starcoder` writes `<EMAIL>`, `<KEY>`,
    `<PASSWORD>`, `<NAME>` (escaped in markup, quoted in a shell), with IP addresses as before; `preserve` keeps every value's length and, place by place,
    its class of character. `types` are those of `find_pii`, whose default is the default here. `recognizers` are
    presidio's `EntityRecognizer`s, or their names (`module:NAME`), which are asked besides; where `types` are given,
    their types count only if they are among them.

    In a text the same value gets the same replacement and, tags aside, different values get different ones. The
    result depends on `text`, the key, `style` and `POLICY_VERSION` only. No replacement is ever found again, so
    redacting twice is redacting once.

    Without `key` and `seed` the key is random and ends with the process, so nobody can test a guess against the
    result. `RedactionKey.of_file` gives the same result to whoever has the file; a `seed` gives it to everyone, and
    with it the means to test guesses: it is for tests and demonstrations.

    >>> redact("ping 93.184.216.34 # for bob@corp.io", seed=0).text
    'ping 172.17.2.53 # for wttud@example.com'
    >>> redact("ping 93.184.216.34 # for bob@corp.io", seed=0, style="starcoder").text
    'ping 172.17.2.53 # for <EMAIL>'
    """
    return redact_with(
        Detector(types, recognizers=recognizers),
        text,
        key=key,
        seed=seed,
        style=style,
    )


def redact_with(
    find: Callable[[str], Iterable[Finding]],
    text: str,
    *,
    key: RedactionKey | None = None,
    seed: int | None = None,
    style: str = "santacoder",
) -> Redacted:
    """Redact with any detector: replace what `find` finds until it finds nothing but replacements.

    A replacement that is found again is drawn again, plainer each time; where that does not help, for what stands
    around it makes it a find, the two are replaced together.
    """
    replacements = Replacements(chosen_key(key, seed), style)
    findings = [f for f in _apart(find(text)) if not is_replacement(f.type, text[f.start : f.end])]
    if not findings:
        return Redacted(text, [], [])
    for _ in range(_MAX_ROUNDS):
        redacted, places = _replaced(text, findings, replacements)
        settled = _settled(text, findings, _Outcome(redacted, places, _apart(find(redacted))), replacements)
        if settled is None:
            break
        findings = settled
    else:
        redacted, places = _replaced(text, findings, replacements)
    return Redacted(redacted, findings, places)


def redact_findings(
    text: str,
    findings: Iterable[Finding],
    *,
    key: RedactionKey | None = None,
    seed: int | None = None,
    style: str = "santacoder",
) -> str:
    """Return the text with these finds replaced; of overlapping ones the first, then the longest, counts.

    What another detector found is replaced like this; whether the replacements are found again is not looked at.
    """
    return _replaced(text, _apart(findings), Replacements(chosen_key(key, seed), style))[0]


def _apart(findings: Iterable[Finding]) -> list[Finding]:
    """The finds in text order, without those that begin inside an earlier one."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end, f.type)):
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return kept


def _replaced(text: str, findings: Sequence[Finding], replacements: Replacements) -> tuple[str, list[tuple[int, int]]]:
    """The text with every find replaced, and where the replacements stand in it."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    end = grown = 0
    writer = TagWriter(text)
    for finding in findings:
        new = replacements.of(finding.type, text[finding.start : finding.end])
        if is_tag(finding.type, new):
            new = writer.written(new, finding.start, finding.end)
        parts += (text[end : finding.start], new)
        start, end = finding.start + grown, finding.end
        places.append((start, start + len(new)))
        grown = places[-1][1] - end
    return "".join([*parts, text[end:]]), places


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A redacted text, where its replacements stand, and what the detector finds in it."""

    text: str
    places: list[tuple[int, int]]
    left: list[Finding]

    def touched(self, finding: Finding) -> range:
        """Return the numbers of the replacements that a find has characters of."""
        first = bisect_right(self.places, finding.start, key=lambda place: place[1])
        return range(first, max(first, bisect_left(self.places, finding.end, key=lambda place: place[0])))


def _settled(text: str, findings: list[Finding], seen: _Outcome, replacements: Replacements) -> list[Finding] | None:
    """The finds to try next, or None where nothing is left to do.

    A find in the redacted text that touches a replacement makes it be drawn again; one that goes on being found with
    what is around it becomes one find with that; one elsewhere, which another find had hidden, is added.
    """
    merged: list[Finding] = []
    redrawn: set[tuple[str, str]] = set()
    for finding in seen.left:
        touched = seen.touched(finding)
        values = {(findings[i].type, text[findings[i].start : findings[i].end]) for i in touched}
        if again := {value for value in values if replacements.redraws(*value) < _MAX_REDRAWS}:
            redrawn |= again
        elif not is_replacement(finding.type, seen.text[finding.start : finding.end]):
            merged.append(_in_original(finding, findings, seen.places, touched))
    for value in redrawn:
        replacements.redraw(*value)
    if not redrawn and not merged:
        return None
    return _apart([*merged, *findings])


def _in_original(finding: Finding, findings: list[Finding], places: list[tuple[int, int]], touched: range) -> Finding:
    """A find of the redacted text at its place in the original, wide enough for every replacement it touches."""
    before, after = touched.start - 1, touched.stop - 1
    start = finding.start + (findings[before].end - places[before][1] if before >= 0 else 0)
    end = finding.end + (findings[after].end - places[after][1] if after >= 0 else 0)
    if touched:
        start, end = min(start, findings[touched[0]].start), max(end, findings[touched[-1]].end)
    return replace(finding, start=start, end=end)

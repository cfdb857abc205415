"""Choose the samples that the report shows, each beside its truth, and count how completions ended."""

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from hf_santa.demo.report.schema import DemoReport, Sample
from hf_santa.pages.charts import Html, count, fill, join, table

LANGUAGES = {"py": "Python", "js": "JavaScript", "java": "Java"}
MAX_BEST, MAX_SHOWN = 2, 4
_GOOD = frozenset({"ok", "exact", "exact match", "passed"})
_KINDS = {"complete": "completion", "infill": "infilling"}
_COMPARED = 2000  # characters; a longer answer is like its truth, or not, within them


def code_block(code: str | Html, label: str, css_class: str = "") -> Html:
    """Return code in a box that the keyboard can scroll, with a name for those who don't see it."""
    return fill(
        '<pre tabindex="0" role="group" aria-label="{label}"{cls}><code>{code}</code></pre>',
        label=label,
        cls=Html(f' class="{css_class}"' if css_class else ""),
        code=code,
    )


def samples(report: DemoReport) -> Html:
    """Count how often programs ended how, by language, and choose the best and most telling of them."""
    every = report["samples"]
    if not every:
        return Html("<p>No samples were generated.</p>")
    shown = telling(every)
    return fill(
        "{table}\n"
        '<p class="note">Below, {n} of {all}: the best, and of each other way to end the one most like our own solution. '
        "Grey is what was given; <mark>marked</mark> is what the model wrote, and underlined our own solution. All are in "
        "<code>completions/</code> beside this page.</p>\n"
        '<div class="samples">\n{samples}\n</div>',
        table=_by_language_and_status(every),
        n=count(len(shown)),
        all=count(len(every)),
        samples=join(_sample(sample) for sample in shown),
    )


def telling(samples: Sequence[Sample]) -> list[Sample]:
    """Return the best samples, and of each other status the one most like its truth: few, and the best first.

    A language and a kind of task that are not shown yet go before others.
    """
    ordered = sorted(samples, key=lambda sample: (_rank(sample["status"]), -_likeness(sample)))
    best = [sample for sample in ordered if _is_good(sample["status"])]
    others = [sample for sample in ordered if not _is_good(sample["status"])]
    shown: list[Sample] = []

    def take(candidates: Sequence[Sample]) -> None:
        seen = {(sample["language"], sample["kind"]) for sample in shown}
        new = [sample for sample in candidates if (sample["language"], sample["kind"]) not in seen]
        shown.extend((new or candidates)[:1])

    for _ in range(min(MAX_BEST, len(best))):
        take([sample for sample in best if sample not in shown])
    for status in dict.fromkeys(sample["status"] for sample in others):
        if len(shown) < MAX_SHOWN:
            take([sample for sample in others if sample["status"] == status])
    return shown


def _is_good(status: str) -> bool:
    return status.lower() in _GOOD


def _rank(status: str) -> tuple[int, str]:
    """How far a program came: it passed, it ran and gave a wrong answer, it failed, it could not be read."""
    if _is_good(status):
        return 0, status
    return {"AssertionError": 1, "SyntaxError": 3}.get(status, 2), status


def _likeness(sample: Sample) -> float:
    written, truth = sample["generated"].strip()[:_COMPARED], sample["truth"].strip()[:_COMPARED]
    return SequenceMatcher(None, written, truth, autojunk=False).ratio()


def _by_language_and_status(samples: Sequence[Sample]) -> Html:
    """One table: a row for each way to end, a column for each language."""
    counts = Counter((sample["status"], sample["language"]) for sample in samples)
    statuses = sorted({sample["status"] for sample in samples}, key=_rank)
    found = dict.fromkeys(sample["language"] for sample in samples)
    languages = sorted(found, key=lambda code: (code not in LANGUAGES, [*LANGUAGES, code].index(code)))
    rows = [
        (status, *(count(counts[status, code]) for code in languages), count(sum(counts[status, c] for c in languages)))
        for status in statuses
    ]
    return table(
        "Tries by how they ended", ("Ended as", *(LANGUAGES.get(code, code) for code in languages), "All"), rows
    )


def _sample(sample: Sample) -> Html:
    """One problem: our solution at the left, the model's at the right, each within what was given."""

    def within(middle: str) -> Html:
        return fill(
            '<span class="given">{before}</span><mark>{middle}</mark><span class="given">{after}</span>',
            before=sample["prompt"],
            middle=middle,
            after=sample["suffix"],
        )

    name, notes = sample["name"], []
    if not sample["generated"]:
        notes.append("empty")
    elif sample["generated"].strip() == sample["truth"].strip():
        notes.append("same as the truth")
    if sample["truncated"]:
        notes.append("cut at the length limit")
    return fill(
        '<article><div class="title"><h3>{name}</h3><span class="note">{language}, {kind}</span>'
        '<span class="chip{good} push">{status}</span></div>\n<div class="two">'
        '<div class="truth"><p class="tag">Truth</p>{truth}</div>\n'
        '<div><p class="tag">Model{notes}</p>{generated}</div></div></article>',
        name=name,
        language=LANGUAGES.get(sample["language"], sample["language"]),
        kind=_KINDS[sample["kind"]],
        good=" good" if _is_good(sample["status"]) else "",
        status=sample["status"],
        truth=code_block(within(sample["truth"]), f"{name}: truth"),
        notes="".join(f" · {note}" for note in notes),
        generated=code_block(within(sample["generated"]), f"{name}: model"),
    )

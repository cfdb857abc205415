"""The report's fertility filter: files that the tokenizer cuts into many tokens, about 5 % of each language."""

from collections.abc import Sequence
from typing import Any

from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop, Filter, Histogram, Measuring, Record, Thresholds

_LEAST = {"Python": 2.5, "Java": 2.9, "JavaScript": 2.6}


EVERY_OTHER = "*"
"""In place of a language: all that are not named."""


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files with few characters per token. A language without a threshold is dropped, too."""
    known = thresholds["min_chars_per_token"]
    if (least := known.get(record["lang"], known.get(EVERY_OTHER))) is None:
        return Drop("fertility_unknown", f"no threshold for {record['lang']!r}; there are {', '.join(known)}")
    if (ratio := record.get("chars_per_token")) is None:
        raise DataError("fertility: the row has no 'chars_per_token'. Measure it first, with the path of a tokenizer.")
    if ratio < least:
        return Drop("chars_per_token", f"{ratio:.4g} < {least}")
    return None


def fit(store: Any, thresholds: Thresholds) -> Thresholds:
    """Return the thresholds with percentiles, such as "5%", as the numbers that they are in a language's rows."""
    import pyarrow.compute as pc

    known = dict(thresholds["min_chars_per_token"])
    if not any(isinstance(least, str) for least in known.values()) or not store.num_rows:
        return thresholds
    lang = store["lang"][0].as_py()
    least = known.get(lang, known.get(EVERY_OTHER))
    if isinstance(least, str):
        share = float(least.removesuffix("%")) / 100
        known[lang] = pc.quantile(store["chars_per_token"], q=share, interpolation="lower")[0].as_py() or 0.0
    return {**thresholds, "min_chars_per_token": known}


def measure(texts: Sequence[str], langs: Sequence[str], use: Measuring) -> list[float | None]:
    """Return the characters per token of each text; None for a language without a threshold."""
    from data_recipes.filters.fertility import chars_per_token

    if use.tokenizer is None:
        raise DataError("recipe 'fertility' counts tokens. Pass tokenizer=PATH of a tokenizer.json.")
    known = use.thresholds.get("min_chars_per_token", _LEAST)
    measured = [lang in known or EVERY_OTHER in known for lang in langs]
    counted = [text for text, is_measured in zip(texts, measured, strict=True) if is_measured]
    ratios = iter(chars_per_token(counted, use.tokenizer))
    return [next(ratios) if is_measured else None for is_measured in measured]


FILTER = Filter(
    name="fertility",
    summary="Base files with many characters per token: Python 2.5, Java 2.9, JavaScript 2.6 or more.",
    source="report, section 5.3",
    position=30,
    keep=keep,
    columns=("lang", "chars_per_token"),
    thresholds={"min_chars_per_token": _LEAST},
    needs="tokenizer",
    measures="chars_per_token",
    about="characters per token of the tokenizer that the run was given",
    measure=measure,
    fit=fit,
    histograms=(
        Histogram("chars_per_token", "Characters per token", [0.0, *(round(1.5 + 0.25 * n, 2) for n in range(15))]),
    ),
)

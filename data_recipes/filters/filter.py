"""Define `Filter`, the object from which recipe, card, histogram, flag and reference are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from data_recipes.errors import DataError

COMPATS = ("report", "bigcode")
"""Whose semantics the filters have: the report's text, or BigCode's released code where the two differ."""

Record = Mapping[str, Any]
Thresholds = Mapping[str, Any]
Stage = Literal["base", "store", "recipe"]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a filter drops a file: a short reason to count by, and what was seen."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a measure may use besides the texts: a tokenizer, a classifier, the semantics to follow, threads, and thresholds."""

    tokenizer: str | None = None
    compat: str = "report"
    threads: int = 1
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    classifier: str | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """A column whose values the card draws: the lower edges of the bins, and the thresholds to mark in it by name."""

    column: str
    title: str
    edges: Sequence[float]
    thresholds: tuple[str, ...] = ()


Measure = Callable[[Sequence[str], Sequence[str], Measuring], Sequence[float | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """One filter.

    Attributes:
        name: The name of the filter, and of its recipe if it has one.
        summary: The sentence that the dataset card says of it.
        source: Where the filter is described.
        keep: Takes the values of `columns` and the thresholds; returns None to keep a file, or why to drop it.
        columns: The columns that `keep` reads, of a row or of the store.
        stage: `base`: always applied, what it drops is not in the store. `store`: the same, but only where it is
            asked for (`--filter`). `recipe`: what it drops stays in the store, outside of the recipes with this step.
        position: Where it stands among the others; equal positions are ordered by name.
        thresholds: Its thresholds by name.
        bigcode: The thresholds that BigCode's code has otherwise.
        needs: What a recipe with this filter needs: a column of the source, `tokenizer` or `classifier`.
        measures: The column that `measure` fills in, before redaction.
        about: What that column holds, for the card.
        measure: Takes texts, their languages and what there is to measure with; returns a number for each text, or
            None where there is none.
        histograms: The columns whose values the card draws.
        fit: Takes one language's rows of the store and the thresholds; returns the thresholds with those replaced that
            depend on all rows, such as percentiles.
    """

    name: str
    summary: str
    source: str
    keep: Callable[[Record, Thresholds], Drop | None]
    columns: tuple[str, ...]
    stage: Stage = "recipe"
    position: int = 100
    thresholds: Thresholds = field(default_factory=dict)
    bigcode: Thresholds = field(default_factory=dict)
    needs: str | None = None
    measures: str | None = None
    about: str = ""
    measure: Measure | None = None
    histograms: tuple[Histogram, ...] = ()
    fit: Callable[[Any, Thresholds], Thresholds] | None = None

    def __post_init__(self) -> None:
        if (self.measure is None) is not (self.measures is None):
            raise DataError(f"filter {self.name!r}: give both 'measures' and 'measure', or neither.")

    def thresholds_for(self, compat: str) -> dict[str, Any]:
        """Return the thresholds with the report's semantics, or with those of BigCode's code."""
        if compat not in COMPATS:
            raise DataError(f"compat={compat!r} is unknown. Choose one of {', '.join(COMPATS)}.")
        return {**self.thresholds, **(self.bigcode if compat == "bigcode" else {})}

    def drop(self, record: Record, compat: str = "report") -> Drop | None:
        """Return why a file with these values is dropped, or None."""
        return self.keep(record, self.thresholds_for(compat))

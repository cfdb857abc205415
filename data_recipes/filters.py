"""Row filters: each answers keep (None) or drop, with a reason that is both a counter and a column of the rejects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from data_recipes.rows import Row

MAX_LINE_LENGTH = 1000
MAX_AVG_LINE_LENGTH = 100
MIN_ALPHANUM_FRACTION = 0.25


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a filter drops a row: a short reason to count by, and what was seen."""

    reason: str
    detail: str


def base(
    row: Row,
    *,
    max_line_length: int = MAX_LINE_LENGTH,
    max_avg_line_length: float = MAX_AVG_LINE_LENGTH,
    min_alphanum_fraction: float = MIN_ALPHANUM_FRACTION,
) -> Drop | None:
    """The report's base filter drops very long lines and files with few letters and digits.

    Source: section 5.1 of the report; the thresholds are those of Codex (Chen et al. 2021).
    """
    if row.max_line_length > max_line_length:
        return Drop("max_line_length", f"{row.max_line_length} > {max_line_length}")
    if row.avg_line_length > max_avg_line_length:
        return Drop("avg_line_length", f"{row.avg_line_length:.6g} > {max_avg_line_length}")
    if row.alphanum_fraction < min_alphanum_fraction:
        return Drop("alphanum_fraction", f"{row.alphanum_fraction:.6g} < {min_alphanum_fraction}")
    return None


FILTERS: Mapping[str, Callable[[Row], Drop | None]] = {"base": base}
"""The filters that a recipe may name."""

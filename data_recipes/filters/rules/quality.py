"""Files that a classifier, trained from the user's labels, takes for good ones."""

from collections.abc import Sequence

from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop, Filter, Histogram, Measuring, Record, Thresholds


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files of a low score."""
    if (score := record.get("quality_score")) is None:
        raise DataError("quality: the row has no 'quality_score'. Measure it first, with the path of a classifier.")
    least = thresholds["min_quality"]
    return Drop("low_quality", f"{score:.4g} < {least}") if score < least else None


def measure(texts: Sequence[str], langs: Sequence[str], use: Measuring) -> list[float | None]:  # noqa: ARG001 -- by position
    """Return the score of each text, from 0 to 1, whatever its language."""
    from data_recipes.classifier.model import load_classifier

    if use.classifier is None:
        raise DataError("recipe 'quality' scores files. Pass classifier=PATH of what `data classifier train` wrote.")
    scores: list[float | None] = load_classifier(use.classifier).scores(texts, use.threads).tolist()
    return scores


FILTER = Filter(
    name="quality",
    summary="Base files that a classifier, trained from labels, takes for good ones.",
    source="after Stack-Edu (Allal et al. 2025) and the fastText filters of DCLM; the labels are yours",
    position=40,
    keep=keep,
    columns=("quality_score",),
    thresholds={"min_quality": 0.5},
    needs="classifier",
    measures="quality_score",
    about="score of the classifier that the run was given, from 0 (as the bad ones of its labels) to 1 (as the good ones)",
    measure=measure,
    histograms=(
        Histogram("quality_score", "Score of quality", [round(0.05 * n, 2) for n in range(20)], ("min_quality",)),
    ),
)

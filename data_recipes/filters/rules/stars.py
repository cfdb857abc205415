"""The report's star filter: repositories with 5 or more stars."""

from data_recipes.filters.filter import Drop, Filter, Histogram, Record, Thresholds


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files of repositories with few stars; an unknown number counts as none."""
    if (count := record.get("stars") or 0) < (least := thresholds["min_stars"]):
        return Drop("stars", f"{count} < {least}")
    return None


FILTER = Filter(
    name="stars",
    summary="Base of repositories with 5 or more stars.",
    source="report, section 5.3",
    position=10,
    keep=keep,
    columns=("stars",),
    thresholds={"min_stars": 5},
    bigcode={"min_stars": 6},  # the report's code keeps more than 5
    needs="stars",
    histograms=(Histogram("stars", "Stars of the repository", [0, 1, 2, 5, 10, 20, 50, 100, 1000], ("min_stars",)),),
)

"""The report's base filter: very long lines, and few letters and digits."""

from data_recipes.filters.filter import Drop, Filter, Histogram, Record, Thresholds


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files with very long lines and files with few letters and digits."""
    if (longest := record["max_line_length"]) > (most := thresholds["max_line_length"]):
        return Drop("max_line_length", f"{longest} > {most}")
    if (average := record["avg_line_length"]) > (most := thresholds["avg_line_length"]):
        return Drop("avg_line_length", f"{average:.6g} > {most}")
    if (share := record["alphanum_fraction"]) < (least := thresholds["alphanum_fraction"]):
        return Drop("alphanum_fraction", f"{share:.6g} < {least}")
    return None


FILTER = Filter(
    name="base",
    summary="Base filter, personal data redacted.",
    source="report, sections 4 and 5.1; thresholds of Codex (Chen et al. 2021)",
    stage="base",
    position=0,
    keep=keep,
    columns=("max_line_length", "avg_line_length", "alphanum_fraction"),
    thresholds={"max_line_length": 1000, "avg_line_length": 100, "alphanum_fraction": 0.25},
    histograms=(
        Histogram("size", "Size in bytes", [0, 256, 512, *(1 << n for n in range(10, 21))]),
        Histogram("avg_line_length", "Average line length", [0, *range(10, 101, 10)], ("avg_line_length",)),
        Histogram(
            "alphanum_fraction",
            "Share of letters and digits",
            [round(0.25 + 0.05 * n, 2) for n in range(16)],
            ("alphanum_fraction",),
        ),
    ),
)

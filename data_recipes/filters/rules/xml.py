"""XML under another name: a file with an XML declaration in its first 100 characters."""

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds

_PROLOG_CHARS = 100


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files that begin with an XML declaration."""
    del thresholds
    at = record["content"].find("<?xml version=", 0, _PROLOG_CHARS)
    return Drop("xml", f"declaration at character {at}") if at >= 0 else None


FILTER = Filter(
    name="xml",
    summary="Files with an XML declaration in their first 100 characters are left out.",
    source="The Stack's preprocessing, `filter_xml`",
    stage="store",
    position=40,
    keep=keep,
    columns=("content",),
)

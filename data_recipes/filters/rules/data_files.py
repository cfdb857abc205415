"""StarCoder2's filters of files that are data: very many lines, and long files of data languages."""

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds

_DATA_LANGUAGES = frozenset({"text", "json", "yaml", "web ontology language", "graphviz (dot)"})


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files of very many lines, and of data languages those of more lines than a person writes."""
    content = record["content"]
    lines = content.count("\n") + (content[-1:] not in {"", "\n"})
    if lines > (most := thresholds["max_lines"]):
        return Drop("max_lines", f"{lines} > {most}")
    if record["lang"].lower() in _DATA_LANGUAGES and lines > (most := thresholds["max_data_lines"]):
        return Drop("max_data_lines", f"{lines} > {most}")
    return None


FILTER = Filter(
    name="data_files",
    summary="Files of more than 100,000 lines, and of JSON, YAML, Text, OWL and DOT of more than 512, are left out.",
    source="StarCoder2 (Lozhkov et al. 2024), long line and language-specific filters",
    stage="store",
    position=66,
    keep=keep,
    columns=("content", "lang"),
    thresholds={"max_lines": 100_000, "max_data_lines": 512},
)

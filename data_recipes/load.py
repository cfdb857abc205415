"""The rows of a recipe as `load_dataset` gives them: of a dataset folder, of the Hub, or of one's own Stack files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_recipes.disk.files import replacing
from data_recipes.errors import DataError
from data_recipes.sources.parquet import parquet_files


def load_rows(out: str, recipe: str, *, streaming: bool, head: int, to: str | None) -> Iterator[str]:
    """Lines that say how many rows the recipe has, and show the first ones; with `to`, the rows are written there.

    A stream is only read as far as needed, so that its number of rows stays unknown.
    """
    writer = {".parquet": "to_parquet", ".jsonl": "to_json"}.get(Path(to).suffix) if to else None
    if to and writer is None:
        raise DataError(f"--to {to}: expected a name that ends in .parquet or .jsonl.")
    if to and streaming:
        raise DataError("--to writes all rows: leave out --streaming.")
    rows = _dataset(out, recipe, streaming=streaming)
    yield f"{recipe}: a stream of rows" if streaming else f"{recipe}: {rows.num_rows:,} rows"
    for row in rows.take(head):
        yield f"  {row['hexsha']}  {row['lang']}  {row['size']:,} bytes  {row['path']}"
    if to and writer:
        with replacing(Path(to)) as temporary:
            getattr(rows, writer)(str(temporary))
        yield f"written: {to}"


def _dataset(out: str, recipe: str, *, streaming: bool) -> Any:
    """The dataset: a folder's or repository's config, or a recipe applied to parquet files that are no such folder."""
    from datasets import load_dataset

    source: dict[str, Any] = {"path": out}
    if Path(out).exists() and not (Path(out) / "funnel.json").is_file():
        from data_recipes.builder import register

        register()
        source = {"path": "santa_stack", "data_files": [str(path) for path in parquet_files(out)]}
    try:
        return load_dataset(name=recipe, split="train", streaming=streaming, **source)
    except (ValueError, FileNotFoundError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{out}: {recipe!r} can't be loaded. {str(error)[:600]}") from error

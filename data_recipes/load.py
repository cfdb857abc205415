"""Load the rows of a recipe with `load_dataset`: of a dataset folder, of the Hub, or of Stack files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_recipes.disk.files import replacing
from data_recipes.errors import DataError
from data_recipes.sources.parquet import parquet_files
from data_recipes.store.reading import warn_if_guessable

_SHOWN = ("hexsha", "lang", "size", "path")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the number of rows (None: a stream, read only as far as needed), the first ones, and the file."""

    recipe: str
    rows: int | None
    head: list[dict[str, Any]]
    written: str | None


def load_rows(source: str, recipe: str, *, streaming: bool = False, head: int = 5, to: str | None = None) -> Loaded:
    """Load the rows of a recipe and return how many there are and the first ones, without their contents.

    Args:
        source: A folder that `run` wrote, a dataset on the Hub, or one's own parquet files in a layout of The Stack.
        recipe: A recipe's name, or `language-recipe`.
        streaming: Read as a stream, without a copy in the cache.
        head: How many rows to return.
        to: A `.parquet` or `.jsonl` file to write all rows to.

    Raises:
        DataError: There is no such source or recipe, or the arguments don't go together.
    """
    writer = {".parquet": "to_parquet", ".jsonl": "to_json"}.get(Path(to).suffix) if to else None
    if to and writer is None:
        raise DataError(f"--to {to}: expected a name that ends in .parquet or .jsonl.")
    if to and streaming:
        raise DataError("--to writes all rows: leave out --streaming.")
    if head < 0:
        raise DataError(f"head={head} is less than 0. Choose how many rows to show.")
    rows = _dataset(source, recipe, streaming=streaming)
    shown = [{name: row[name] for name in _SHOWN} for row in rows.take(head)] if head else []
    if to and writer:
        with replacing(Path(to)) as temporary:
            getattr(rows, writer)(str(temporary))
    return Loaded(recipe, None if streaming else rows.num_rows, shown, to)


def _dataset(source: str, recipe: str, *, streaming: bool) -> Any:
    """Return the dataset: a folder's or repository's config, or a recipe applied to files that are no such folder."""
    from datasets import load_dataset

    opened: dict[str, Any] = {"path": source}
    warn_if_guessable(source)
    if Path(source).exists() and not (Path(source) / "funnel.json").is_file():
        from data_recipes.builder import register

        register()
        opened = {"path": "santa_stack", "data_files": [str(path) for path in parquet_files(source)]}
    try:
        return load_dataset(name=recipe, split="train", streaming=streaming, **opened)
    except (ValueError, FileNotFoundError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source}: {recipe!r} can't be loaded. {str(error)[:600]}") from error

"""Read texts from a dataset folder, parquet or JSON lines files, or a folder of source files."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modeling_santa.corpus.repositories import RepositoryFile
from modeling_santa.errors_santa import ModelError

LOGGER = logging.getLogger("hf_santa.model")
MAX_FILE_BYTES = 1_000_000  # the Stack's own limit; larger files are generated or data


def read_texts(source: Path, *, recipe: str | None = None, column: str = "content") -> Iterator[str]:
    """Yield the documents of `source`, one after the other and always in the same order; memory stays flat.

    A folder that `hf-santa data run` wrote is read through `recipe` (default: its first one); any other folder gives
    its .parquet files, or its .jsonl files, or else every file of at most 1 MB that is UTF-8 text.

    Raises:
        ValueError: nothing is there, a file cannot be read, or has no such column.
    """
    if not source.exists():
        raise ModelError(f"{source} does not exist. Give a dataset folder, parquet or jsonl files, or a source tree.")
    is_store = (source / "funnel.json").is_file()
    if recipe and not is_store:
        raise ModelError(
            f"{source} has no recipe {recipe!r}: it is no folder that `hf-santa data run` wrote. Make one with "
            f"`hf-santa data run {source} OUT --recipe {recipe}` and give that, or leave --recipe out."
        )
    if is_store:
        yield from _of_recipe(source, recipe, column)
        return
    for suffix, read in ((".parquet", _of_parquet), (".jsonl", _of_jsonl)):
        paths = [source] if source.suffix == suffix else sorted(source.rglob(f"*{suffix}")) if source.is_dir() else []
        if paths:
            for path in paths:
                yield from read(path, column)
            return
    if source.is_file():
        raise ModelError(f"{source} is neither .parquet nor .jsonl. Give one of these, or a folder.")
    yield from _of_tree(source)


def read_files(source: Path, *, recipe: str | None = None, column: str = "content") -> Iterator[RepositoryFile]:
    """Yield the files of a store or of parquet rows with their repository and path.

    Raises:
        ModelError: `source` is something else, or its rows do not say of which repository they are.
    """
    if (source / "funnel.json").is_file():
        from datasets import load_dataset

        rows: Iterable[dict[str, Any]] = load_dataset(str(source), recipe, split="train", streaming=True)
    else:
        rows = _parquet_records(source, column)
    found = False
    for row in rows:
        text = _text(row, column, str(source))
        if not isinstance(row.get("path"), str) or "repo" not in row:
            raise ModelError(
                f"{source} has no columns 'path' and 'repo'. Columns found: {', '.join(row)}. Give a store made from git "
                "repositories (`hf-santa data run REPOSITORY OUT`) or from The Stack."
            )
        found = found or bool(row["repo"])
        yield RepositoryFile(row["repo"] or "", row["path"], text)
    if not found:
        raise ModelError(f"{source}: no row names its repository. Give rows of git repositories, or of The Stack.")


def _parquet_records(source: Path, column: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = [source] if source.suffix == ".parquet" else sorted(source.rglob("*.parquet")) if source.is_dir() else []
    if not paths:
        raise ModelError(
            f"{source} holds no rows. --by-repository takes a store that `hf-santa data run` wrote, or .parquet."
        )
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            wanted = [name for name in (column, "path", "repo") if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=256, columns=wanted):
                yield from batch.to_pylist()
        except pa.ArrowException as error:
            raise ModelError(f"{path} is no readable parquet file: {error}. Write it again.") from error


def _of_recipe(source: Path, recipe: str | None, column: str) -> Iterator[str]:
    from datasets import load_dataset

    for row in load_dataset(str(source), recipe, split="train", streaming=True):
        yield _text(row, column, f"recipe {recipe or '(default)'} of {source}")


def _of_parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if column not in file.schema_arrow.names:
            raise ModelError(
                f"{path} has no column {column!r}. Columns found: {', '.join(file.schema_arrow.names)}. Choose --column."
            )
        for batch in file.iter_batches(batch_size=256, columns=[column]):
            for text in batch.column(0).to_pylist():
                yield _text({column: text}, column, str(path))
    except pa.ArrowException as error:
        raise ModelError(f"{path} is no readable parquet file: {error}. Write it again.") from error


def _of_jsonl(path: Path, column: str) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ModelError(f"{path} line {number} is no JSON: {error}. Correct or remove it.") from error
            yield _text(row, column, f"{path} line {number}")


def _text(row: Any, column: str, where: str) -> str:
    if not isinstance(row, dict) or column not in row:
        found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise ModelError(f"{where} has no column {column!r}. Found: {found}. Choose --column.")
    if not isinstance(row[column], str):
        raise ModelError(
            f"{where}: {column!r} is {type(row[column]).__name__}, not text. Choose --column."
        )  # a mistake in the data
    text: str = row[column]
    return text


def _of_tree(root: Path) -> Iterator[str]:
    LOGGER.warning(
        "%s is read as a plain folder: no personal data is redacted, no licence, opt-out or duplicate is looked at. "
        "For anything that is published, run `hf-santa data rows` and `hf-santa data run`, and give that folder.",
        root,
    )
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            continue
        raw = path.read_bytes()
        if raw and b"\0" not in raw:
            try:
                yield raw.decode()
            except UnicodeDecodeError:
                continue  # not text

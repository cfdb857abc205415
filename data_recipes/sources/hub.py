"""Read a dataset of the Hub, or one opened with `datasets`, as rows, in any of The Stack's layouts."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from data_recipes.disk.markers import digest
from data_recipes.errors import DataError
from data_recipes.sources.layouts import columns_to_read, layout_of
from data_recipes.sources.parquet import provided_by, rows_of_batch
from data_recipes.sources.row import MAX_FILE_BYTES, PROVENANCE_SCHEMA, Reject, Row

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SCHEME = "hf://"
_PATH = re.compile(
    r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.%/-]+?))?(?:/(?P<files>[^@]+\.[^@]+))?/?"
)
_FORMATS = {"parquet": "parquet", "jsonl": "json", "ndjson": "json", "json": "json", "arrow": "arrow"}
_BATCH_ROWS = 256


def is_hub_name(source: Any) -> bool:
    """Tell whether a source is the name of a dataset: `owner/name` that is not on this disk, or an `hf://` path."""
    if not isinstance(source, str):
        return False
    return source.startswith(_SCHEME) or (bool(_NAME.fullmatch(source)) and not Path(source).exists())


def _located(source: str) -> tuple[str, dict[str, Any]]:
    """Return what `load_dataset_builder` takes for a name or an `hf://` path: a dataset, or a format and its files.

    Raises:
        DataError: It is a path of another form.
    """
    if not source.startswith(_SCHEME):
        return source, {}
    found = _PATH.fullmatch(source)
    if found is None:
        raise DataError(f"{source}: expected hf://datasets/OWNER/NAME[@REVISION][/FILES], FILES with an ending.")
    if not found["files"]:
        return found["name"], {"revision": found["revision"]}
    endings = PurePosixPath(found["files"]).name.split(".")
    kind = next((kind for ending, kind in _FORMATS.items() if ending in endings), None)
    if kind is None:
        raise DataError(f"{source}: files of no known format. Expected one of {', '.join(_FORMATS)} in their names.")
    return kind, {"data_files": {"train": source}}


class DatasetSource:
    """The rows of one split of a dataset, read from the Hub as they are used.

    `source` is a repository's name, an `hf://datasets/…` path of it or of some of its files, a folder that `load_dataset` opens, or a `Dataset` or `IterableDataset`.
    """

    def __init__(self, source: Any, *, data_dir: str | None = None, split: str = "train") -> None:
        from datasets import load_dataset_builder

        self.fingerprint: str | None = None
        if not isinstance(source, str):
            self.name, self._dataset = type(source).__name__, source
            return
        self.name = source if data_dir is None else f"{source}/{data_dir}"
        try:
            name, where = _located(source)
            builder = load_dataset_builder(name, data_dir=data_dir, **where)
            files = (builder.config.data_files or {}).get(split)
        except DataError:
            raise
        except Exception as error:
            advice = "Check the name and data_dir; The Stack v1 is gated: accept its terms and run `hf auth login`."
            seen = f"{self.name} is neither here nor a dataset that can be opened ({type(error).__name__})"
            raise DataError(f"{seen}: {str(error)[:200]}. {advice}") from error
        if not files:
            raise DataError(f"{self.name} has no files for split {split!r}. Choose another data_dir.")
        # A resolved address of the Hub names the commit, so that the same digest means the same bytes.
        self.fingerprint = digest([str(file) for file in files])
        self._dataset = builder.as_streaming_dataset(split=split)

    def rows(self, max_file_bytes: int = MAX_FILE_BYTES) -> tuple[tuple[str, ...], Iterator[Row | Reject]]:
        """Return the columns of provenance that the dataset has, and its rows and rejects."""
        batches: Iterator[pa.Table] = iter(self._dataset.with_format("arrow").iter(batch_size=_BATCH_ROWS))
        first = next(batches, None)
        if first is None:
            return (), iter(())
        found = provided_by(self.name, first.schema)
        provenance = tuple(name for name in PROVENANCE_SCHEMA.names if name in found)
        return provenance, self._rows(itertools.chain([first], batches), max_file_bytes)

    def _rows(self, batches: Iterator[pa.Table], max_file_bytes: int) -> Iterator[Row | Reject]:
        number = 0
        for table in batches:
            names: Sequence[str] = table.schema.names
            layout = layout_of(self.name, names)
            for batch in table.select(columns_to_read(layout, names)).to_batches():
                yield from rows_of_batch(layout, batch, f"{self.name}:", number, max_file_bytes)
                number += batch.num_rows

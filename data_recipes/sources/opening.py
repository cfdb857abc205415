"""Recognise what kind a source is, open it, and read several one after the other."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_recipes.disk.files import checksum
from data_recipes.errors import DataError
from data_recipes.sources.archives import PROVENANCE as PACKAGED
from data_recipes.sources.archives import SourcePackage, is_archive
from data_recipes.sources.available import SourceFields
from data_recipes.sources.git_address import git_address
from data_recipes.sources.hub import DatasetSource, is_hub_name
from data_recipes.sources.json_lines import JsonLines, is_json_lines, json_lines_in
from data_recipes.sources.parquet import read_parquet, tables_of
from data_recipes.sources.repository import PROVENANCE, GitRepository
from data_recipes.sources.row import PROVENANCE_SCHEMA, Reject, Row
from data_recipes.sources.tree import fingerprint, read_tree

Rows = Iterator[Row | Reject]


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source that is ready to be read: what it depends on, the columns of provenance that it has, and its rows.

    `key` is None where nothing tells whether the same source would have the same rows again.
    """

    key: Any
    provenance: Sequence[str]
    read: Callable[[], Rows]


def needs_rows_first(source: Any) -> bool:
    """Return whether a source is one that must be turned into rows before a run: anything but parquet files."""
    if not isinstance(source, str | os.PathLike) or is_hub_name(source) or git_address(source):
        return True
    path = Path(source)
    if is_json_lines(path) or is_archive(path) or (path.is_file() and path.suffix.lower() == ".zip"):
        return True
    return path.is_dir() and any(path.iterdir()) and not tables_of([path])


@contextlib.contextmanager
def opened(
    roots: Sequence[Any],
    *,
    limits: Mapping[str, int] | None,
    max_file_bytes: int,
    data_dir: str | None = None,
    folder: Path | None = None,
) -> Iterator[OpenedSource]:
    """Give the sources as one. What had to be fetched into `folder` is deleted at the end.

    Raises:
        DataError: One of them is not there, or is of no known kind.
    """
    if data_dir is not None and len(roots) > 1:
        seen = f"data_dir={data_dir!r} is a part of one dataset, and {len(roots)} sources were given"
        raise DataError(f"{seen}. Pass one.")
    with contextlib.ExitStack() as stack:
        how = _Reading(stack, limits, max_file_bytes, data_dir, folder)
        each = [(root, how.opened(root)) for root in roots]
        trees = [root for root, made in each if made is None]
        found = [made for _, made in each if made is not None]
        if trees or not found:
            found.append(
                OpenedSource(
                    fingerprint(trees),
                    (),
                    lambda: read_tree(trees, limit_bytes_per_language=limits, max_file_bytes=max_file_bytes),
                )
            )
        yield _joined(found)


def _joined(sources: Sequence[OpenedSource]) -> OpenedSource:
    if len(sources) == 1:
        return sources[0]

    def read() -> Rows:
        for source in sources:
            yield from source.read()

    has = {name for source in sources for name in source.provenance}
    keys = [source.key for source in sources]
    key = None if None in keys else keys
    return OpenedSource(key, [name for name in PROVENANCE_SCHEMA.names if name in has], read)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How sources are read, and what is closed after it."""

    stack: contextlib.ExitStack
    limits: Mapping[str, int] | None
    max_file_bytes: int
    data_dir: str | None
    folder: Path | None

    def opened(self, root: Any) -> OpenedSource | None:
        """Return one source; None for a folder or zip archive of sources, which are read together."""
        is_path, address = isinstance(root, str | os.PathLike), git_address(root)
        if not is_path or self.data_dir is not None or (is_hub_name(root) and not address):
            dataset = DatasetSource(str(root) if is_path else root, data_dir=self.data_dir)
            key = None if dataset.fingerprint is None else [dataset.name, dataset.fingerprint]
            provenance, rows = dataset.rows(self.max_file_bytes)
            return OpenedSource(key, provenance, lambda: rows)
        if address:
            repository = self.stack.enter_context(GitRepository(address, self.folder))
            return OpenedSource(repository.key, PROVENANCE, lambda: repository.rows(self.max_file_bytes, self.limits))
        path = Path(root)
        if is_archive(path):
            package = SourcePackage(path)
            sums = [[file.name, checksum(file)] for file in package.archives]
            return OpenedSource(sums, PACKAGED, lambda: package.rows(self.max_file_bytes))
        if tables := tables_of([root]):
            provenance = SourceFields.of(tables).provenance
            key = [checksum(path) for path in tables]
            return OpenedSource(key, provenance, lambda: read_parquet(root, max_file_bytes=self.max_file_bytes))
        lines = [path] if is_json_lines(path) else json_lines_in(path)
        return _joined([self._lines(file) for file in lines]) if lines else None

    def _lines(self, path: Path) -> OpenedSource:
        lines = JsonLines(path)
        return OpenedSource(checksum(path), lines.provenance, lambda: lines.rows(self.max_file_bytes))

"""Turn sources into two states of their code: one to train on, and a later one whose added lines are asked for."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from data_recipes.disk.safe_git import SafeGit
from data_recipes.errors import DataError
from data_recipes.sources.git_address import GitAddress, git_address
from hf_santa.errors import HfSantaError

_ARCHIVE = re.compile(r"\.(?:zip|whl|crate|gem|tgz|tbz2?|txz|tar(?:\.\w+)?)$", re.IGNORECASE)
_RELEASE = re.compile(r"[-_]v?\d+(?:\.\d+)+\S*$")


def states_of(sources: Sequence[str], since: str | None, later: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the sources of the state to train on, and those of the later state; the second may be empty.

    Args:
        sources: Folders, archives, git repositories.
        since: A date or a commit: repositories are read as they were before it, and as they are for the later state.
        later: A later state of the sources, given by itself.

    Raises:
        HfSantaError: both ways are asked for, or a source has no history before the date.
    """
    if since is not None and later:
        raise HfSantaError("--since and --later were both given. Give one: a date of repositories, or a later state.")
    if since is None:
        return list(sources), list(later)
    addresses = [(source, git_address(source)) for source in sources]
    for source, address in addresses:
        if address is None or not address.is_folder:
            raise HfSantaError(
                f"{source}: --since needs a clone with its history. Clone the repository and give its folder, or give a "
                "later state by --later."
            )
    found = [(address, commit_before(address, since)) for _, address in addresses if address is not None]
    return [f"{at.place}@{commit}" for at, commit in found], [f"{at.place}@{_commit(at)}" for at, _ in found]


def commit_before(address: GitAddress, since: str) -> str:
    """Return the last commit of a repository before a date, or the commit that is named.

    Raises:
        HfSantaError: the first commit is not older, or there is no such commit.
    """
    git = SafeGit(address.place)
    head = _commit(address)
    date = _date(since)
    if date is None:
        try:
            found = git.output("rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}")
        except DataError as error:
            raise HfSantaError(
                f"--since {since} is no date (YYYY-MM-DD), and {address.place} has no such commit. Give one of both."
            ) from error
        return found.decode().strip()
    before = git.output("rev-list", "--max-count=1", f"--before={date}", head).decode().strip()
    if not before:
        roots = git.output("rev-list", "--max-parents=0", head).decode().split()
        first = min(git.output("show", "-s", "--format=%cI", root, "--").decode().strip() for root in roots)
        raise HfSantaError(
            f"--since {since}: the first commit of {address.place} is of {first}. Give a date after it, so that there is a "
            "state to train on."
        )
    return before


def _date(since: str) -> str | None:
    try:
        return datetime.fromisoformat(since).isoformat()
    except ValueError:
        return None


def _commit(address: GitAddress) -> str:
    """Return the commit that an address names.

    Raises:
        HfSantaError: the repository has none.
    """
    try:
        found = SafeGit(address.place).output(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{address.commit}^{{commit}}"
        )
    except DataError as error:
        raise HfSantaError(
            f"{address.place}: there is no commit {address.commit!r}. Commit something first, name a commit that is there "
            "after an @, or copy the files into a folder without .git and give that."
        ) from error
    return found.decode().strip()


def checked_sources(sources: Sequence[str]) -> None:
    """Raise `HfSantaError` for a repository without commits, before anything is read."""
    for source in sources:
        address = git_address(source)
        if address is not None and address.is_folder:
            _commit(address)


def key_of_state(roots: Sequence[str]) -> Any:
    """Return what tells whether sources are still the same: commits, checksums of archives, sizes and times of files."""
    from data_recipes.sources.opening import opened
    from data_recipes.sources.row import MAX_FILE_BYTES

    with opened(roots, limits=None, max_file_bytes=MAX_FILE_BYTES) as found:
        return found.key


def place_of(row: dict[str, Any], folders: frozenset[str]) -> tuple[str, str]:
    """Return repository and path of a file without what differs from release to release: archive, folder and version.

    >>> place_of({"path": "a-1.0.tar.gz/a-1.0/src/a.py", "repo": "a"}, frozenset())
    ('a', 'src/a.py')
    """
    parts = PurePosixPath(row["path"]).parts
    if len(parts) > 1 and (parts[0] in folders or _ARCHIVE.search(parts[0])):
        parts = parts[1:]
    if len(parts) > 1 and _RELEASE.search(parts[0]):
        parts = parts[1:]
    return row.get("repo") or "", "/".join(parts)


def folder_names(roots: Sequence[str]) -> frozenset[str]:
    """Return the names with which paths of plain folders begin."""
    return frozenset(Path(root).resolve().name for root in roots if git_address(root) is None and Path(root).is_dir())


def rows_of_recipe(store: Path, recipe: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a recipe, ordered by repository and path: content, hexsha, lang, path, repo."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    # Streamed, since a folder that was written anew would be answered from datasets' cache.
    rows = load_dataset(str(store), recipe, split="train", streaming=True)
    wanted = ("content", "hexsha", "lang", "path", "repo")
    found = [{name: row.get(name) for name in wanted} for row in rows]
    yield from sorted(found, key=lambda row: (row["repo"] or "", row["path"], row["hexsha"]))


def left_out_by_reason(rows: Path, store: Path) -> dict[str, int]:
    """Return how many files each reason left out, while reading and by the recipe, the most frequent one first."""
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for path in [rows / "rejects.parquet", *sorted((store / "rejects").glob("*.parquet"))]:
        if path.is_file():
            counts.update(pq.read_table(path, columns=["reason"])["reason"].to_pylist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

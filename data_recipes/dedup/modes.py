"""Find near-duplicates by MinHash in one of three named modes; signatures are those of datasketch 2.0.

Signatures use datasketch's `affine32` permutations (256, seed 1) and its choice of bands. The work is in
`signatures.py` and `clusters.py`, compiled by numba where it is installed; the decisions are the same without it.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_recipes.dedup.clusters import (
    Comparison,
    IntArray,
    block_starts,
    components,
    kept_similarity,
    star_pass,
    stars_of,
)
from data_recipes.dedup.signatures import MIN_TOKENS, NUM_PERM, Mode, Signatures, sign
from data_recipes.engine.shingles import NGRAM
from data_recipes.engine.texts import FileTexts, Texts, texts_of
from data_recipes.engine.threads import Workers, workers
from data_recipes.errors import DataError

MODES: Mapping[str, Mode] = {
    # The Stack v1: distinct tokens, exact re-check, a cluster reduced to its "extremes". datasketch's optimum is
    # 13 x 19 bands, which find 45 % of the pairs at J=.85, 85 % at .9 and 99.8 % at .95.
    "near_dedup": Mode(1, 0.85, is_verified=True),
    # The report's: connected components of the band collisions, one row kept of each.
    "near_dedup_alt": Mode(NGRAM, 0.7, is_verified=False),
    # Ours: more bands find more pairs (42 x 6 at J=.7: 99.5 %), the exact check removes the false ones.
    "near_dedup_verified": Mode(NGRAM, 0.7, is_verified=True, bands=(42, 6)),
}
"""The ways to find near-duplicates, by the name that `near_duplicates` takes."""


def near_duplicates(
    texts_or_table: Sequence[str] | pa.Table,
    mode: str = "near_dedup_verified",
    threads: int | None = None,
    *,
    priority: Sequence[str] = (),
) -> pa.Table:
    r"""Return the near-duplicate decision for each row: table of row, cluster, kept_row, jaccard, is_kept.

    `cluster` and `kept_row` are the row that is kept for this one (itself where it is kept), `jaccard` the true
    similarity of the mode's shingle sets of the two. Rows with fewer than 10 tokens are kept and join no cluster.

    - `near_dedup`: distinct tokens, removed only if a kept row has J >= .85.
    - `near_dedup_alt`: 5-grams, components of the candidate pairs of 25 x 10 bands, unverified as in the report.
    - `near_dedup_verified`: 5-grams, removed only if a kept row has J >= .7.

    Which row of a cluster is kept does not depend on the order of rows: larger values of the table's `priority`
    columns go first, then the smaller `hexsha` (for plain texts the SHA-1 of the content). A table that is mapped from
    a file stays there: its content is read twice at most and never copied.

    >>> text = "def area(w, h):\n    '''the area of a w by h box'''\n    return w * h\n"
    >>> near_duplicates([text, "x = 1", text + "\n"], mode="near_dedup")["is_kept"].to_pylist().count(True)
    2
    """
    chosen = find_mode(mode)
    texts, order = _texts_in_order(texts_or_table, priority)
    with workers(threads) as crew:
        return decide(texts, [sign(texts, chosen, crew)], order, chosen, crew)


def find_mode(name: str) -> Mode:
    """Return the mode of this name; an unknown name is an error that lists the known ones."""
    if name not in MODES:
        raise DataError(f"near_duplicates: mode={name!r} is unknown. Choose one of {', '.join(MODES)}.")
    return MODES[name]


def decide(
    texts: Texts | FileTexts,
    signatures: list[Signatures],
    order: IntArray,
    mode: Mode,
    crew: Workers,
    *,
    is_measured: bool = True,
) -> pa.Table:
    """Return the table of `near_duplicates` from signed texts; `order` lists the rows, the best to be kept first.

    `signatures` cover the texts piece by piece; the list is emptied on the way. What an unverified mode removes has
    no similarity where it is not `is_measured`, and no text is read.
    """
    count = len(order)
    rank_of = np.empty(count, dtype=np.uint32)
    rank_of[order] = np.arange(count, dtype=np.uint32)
    tokens = np.concatenate([np.zeros(0, dtype=np.uint32), *(part.tokens for part in signatures)])
    # From here on a document is named by its rank: a smaller number is a better one to keep.
    ranks = np.where(tokens >= MIN_TOKENS, rank_of, np.uint32(count)).astype(np.uint32)
    sketches = np.empty((count if mode.is_verified else 0, NUM_PERM), dtype=np.uint8)
    row = 0
    for part in signatures if mode.is_verified else ():
        sketches[rank_of[row : row + len(part.tokens)]] = part.read_sketches()
        row += len(part.tokens)
    bands, _ = mode.layout()
    data = Comparison(texts.take(order), tokens[order], sketches, mode)
    if mode.is_verified:
        stars = stars_of(signatures, ranks, crew, bands)
        signatures.clear()
        kept, similarity = star_pass(data, stars, crew, block_starts(data.texts.sizes))
    else:
        kept = components(signatures, ranks, crew, bands)
        signatures.clear()
        unknown = np.where(kept == np.arange(count), 1.0, np.nan)
        similarity = kept_similarity(data, kept, crew) if is_measured else unknown
    return _decisions(order, kept, similarity)


def _texts_in_order(source: Sequence[str] | pa.Table, priority: Sequence[str]) -> tuple[Texts, IntArray]:
    """The texts, and the row numbers from the best representative to the worst."""
    if not isinstance(source, pa.Table):
        if priority:
            raise DataError(
                f"near_duplicates: priority={list(priority)} needs a table. Pass a table with such columns."
            )
        texts = texts_of(source)
        return texts, preference(pa.table({"hexsha": content_hashes(texts)}), ())
    if missing := [name for name in ("content", *priority) if name not in source.column_names]:
        found = ", ".join(source.column_names)
        raise DataError(f"near_duplicates: the table has no column {missing[0]!r}. Columns found: {found}.")
    if source["content"].null_count:
        row = source["content"].is_null().index(True).as_py()
        raise DataError(f"near_duplicates: row {row} has no content. Drop such rows, or give them an empty string.")
    texts = texts_of(source["content"])
    if "hexsha" not in source.column_names:
        source = source.append_column("hexsha", content_hashes(texts))
    return texts, preference(source, priority)


def content_hashes(texts: Texts) -> pa.Array:
    """Return the SHA-1 of each text."""
    rows = range(len(texts))
    return pa.array([hashlib.sha1(texts.read(row), usedforsecurity=False).hexdigest() for row in rows], pa.string())


def preference(table: pa.Table, priority: Sequence[str]) -> IntArray:
    """Return the row numbers, the best to be kept first: larger priorities, null and NaN last, then the smaller hexsha."""
    keys = [(name, "descending") for name in priority]
    order = pc.sort_indices(table, sort_keys=[*keys, ("hexsha", "ascending")])
    return np.asarray(order).astype(np.int64)


def _decisions(order: IntArray, kept: IntArray, similarity: NDArray[np.float64]) -> pa.Table:
    kept_row = np.empty(len(order), dtype=np.int64)
    measured = np.empty(len(order))
    kept_row[order] = order[kept]
    measured[order] = similarity
    row = np.arange(len(order), dtype=np.int64)
    jaccard = pa.array(measured, from_pandas=True)  # NaN is null
    return pa.table(
        {"row": row, "cluster": kept_row, "kept_row": kept_row, "jaccard": jaccard, "is_kept": kept_row == row},
    )

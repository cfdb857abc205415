"""Near-duplicates."""

import hashlib
import math
import random

import numpy as np
import pyarrow as pa
import pytest
from datasketch import LeanMinHash, MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.dedup import clusters
from data_recipes.dedup.modes import MODES, near_duplicates
from data_recipes.dedup.signatures import Mode, permutations, signature
from data_recipes.engine.jit import ENGINES
from data_recipes.engine.shingles import jaccard, ngram_set, unigram_set
from data_recipes.errors import DataError


def _document(seed, lines=40):
    rng = random.Random(seed)
    words = [f"name_{rng.randrange(400)}" for _ in range(lines * 6)]
    return "\n".join(" ".join(words[i : i + 6]) + ";" for i in range(0, len(words), 6))


def _edited(text, share, seed):
    rng = random.Random(seed)
    return "\n".join(f"edited {rng.random()}" if rng.random() < share else line for line in text.split("\n"))


def _corpus():
    texts = [_document(number) for number in range(30)]
    copies = [_edited(texts[n], share, n) for n in range(12) for share in (0.0, 0.02, 0.1, 0.3)]
    return [*texts, *copies, "tiny", "tiny", "", "x = 1"]


def _groups(labels):
    return {frozenset(i for i, x in enumerate(labels) if x == label) for label in labels}


def _kept_texts(texts, table):
    return sorted(texts[row] for row, kept in enumerate(table["is_kept"].to_pylist()) if kept)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3000, unique=True))
@settings(max_examples=20, deadline=None)
def test_signatures_equal_datasketch(values):
    """A signature is bit-identical to datasketch's affine32 MinHash of the same 32-bit hashes."""
    shingles = np.sort(np.array(values, dtype=np.uint64))
    reference = MinHash(num_perm=256, seed=1, scheme="affine32", hashfunc=int)
    reference.update_batch((shingles >> np.uint64(32)).tolist())
    assert np.array_equal(signature(shingles), reference.hashvalues)


def test_alt_clusters_equal_datasketch_lsh(engine):
    """`near_dedup_alt` gives the connected components of datasketch's MinHashLSH(0.7, 256)."""
    texts = _corpus()
    index = MinHashLSH(threshold=0.7, num_perm=256)
    hashes = {}
    for row, text in enumerate(texts):
        grams, tokens = ngram_set(text)
        if tokens >= 10:
            hashes[row] = LeanMinHash(seed=1, hashvalues=signature(grams), scheme="affine32")
            index.insert(row, hashes[row])
    parent = list(range(len(texts)))
    for _ in texts:
        for minhash in hashes.values():
            low = min(parent[other] for other in index.query(minhash))
            for other in index.query(minhash):
                parent[other] = low
    found = near_duplicates(texts, "near_dedup_alt")["cluster"].to_pylist()
    assert _groups(found) == _groups(parent)


def test_the_reports_bands():
    """Datasketch's optimum for .7 and 256 permutations is the report's 25 bands of 10 rows; permutations are its own."""
    assert MODES["near_dedup_alt"].layout() == (25, 10)
    for threshold in (0.7, 0.85, 0.6):
        index = MinHashLSH(threshold=threshold, num_perm=256)
        assert Mode(5, threshold, is_verified=False).layout() == (index.b, index.r)
    theirs = MinHash(num_perm=256, seed=1, scheme="affine32").permutations
    assert [ours.tolist() for ours in permutations()] == [values.tolist() for values in theirs]


@pytest.mark.parametrize(("mode", "found_from"), [("near_dedup", 0.95), ("near_dedup_verified", 0.75)])
def test_verified_modes_remove_only_true_duplicates(engine, mode, found_from):
    """Every removed row has the threshold's true similarity with its kept row; no two kept rows are much alike."""
    texts, chosen = _corpus(), MODES[mode]
    sets = [chosen.shingles(text)[0] for text in texts]
    table = near_duplicates(texts, mode).to_pylist()
    removed = [record for record in table if not record["is_kept"]]
    kept = [record["row"] for record in table if record["is_kept"] and chosen.shingles(texts[record["row"]])[1] >= 10]
    assert removed
    for record in removed:
        assert table[record["kept_row"]]["is_kept"]
        assert record["jaccard"] == jaccard(sets[record["row"]], sets[record["kept_row"]])
        assert record["jaccard"] >= chosen.threshold
    assert [(a, b) for a in kept for b in kept if a < b and jaccard(sets[a], sets[b]) >= found_from] == []


@pytest.mark.parametrize("mode", MODES)
def test_row_order_and_threads_change_nothing(engine, mode):
    """Shuffled rows and one thread keep the same texts."""
    texts = _corpus()
    shuffled = texts[:]
    random.Random(5).shuffle(shuffled)
    expected = _kept_texts(texts, near_duplicates(texts, mode, threads=2))
    assert _kept_texts(shuffled, near_duplicates(shuffled, mode, threads=1)) == expected


@pytest.mark.parametrize("mode", MODES)
def test_short_rows_are_kept_apart(engine, mode):
    """Rows of fewer than ten tokens are kept, equal and empty ones too, and join no cluster."""
    table = near_duplicates(["a b c", "a b c", "", "", "é" * 5], mode).to_pylist()
    assert [(record["is_kept"], record["cluster"]) for record in table] == [(True, row) for row in range(5)]


@pytest.mark.parametrize("mode", MODES)
def test_no_rows_give_no_decisions(engine, mode):
    """An empty input gives an empty table with the same columns."""
    table = near_duplicates([], mode)
    assert (table.num_rows, table.column_names) == (0, ["row", "cluster", "kept_row", "jaccard", "is_kept"])


@pytest.mark.parametrize("mode", MODES)
def test_a_family_of_thousands_costs_a_comparison_a_copy(mode, choose_engine, monkeypatch):
    """3,000 near-identical copies are reduced to one, and each copy is compared exactly once."""
    choose_engine("numpy")
    compared = []
    exact = clusters.exact_similarity
    monkeypatch.setattr(clusters, "exact_similarity", lambda *pair: compared.append(pair) or exact(*pair))
    text = _document(1, lines=10)
    family = [f"{text}\ncopy_{number}" for number in range(3000)]
    assert sum(near_duplicates(family, mode)["is_kept"].to_pylist()) == 1
    assert len(compared) == 2999


@pytest.mark.parametrize("mode", MODES)
def test_both_engines_decide_alike(mode, choose_engine):
    """Compiled code and NumPy give the same kept rows and the same similarities, bit for bit."""
    texts = [*_corpus(), "é日 " * 90, "\ud800 lone\0nul", "word_" * 5000, " " * 40_000, "a b\r\n" * 9000]
    tables = []
    for name in ENGINES:
        choose_engine(name)
        tables.append(near_duplicates(texts, mode))
    assert tables[0].equals(tables[1])


def test_huge_texts_are_compared_in_parts(choose_engine, monkeypatch):
    """A text of more shingles than a hash table takes has the same similarity as in NumPy."""
    words = [f"w{number}" for number in range(1_100_000)]
    texts = [" ".join(words), " ".join([*words[5000:], "more"]), "x " * 1_100_000]
    found = []
    for name in ENGINES:
        choose_engine(name)
        found.append(near_duplicates(texts).to_pylist())
    assert found[0] == found[1]
    assert [record["is_kept"] for record in found[0]].count(False) == 1


@given(st.lists(st.sampled_from([0, 1, 2, 2**20, 2**20 + 1, 2**63, 2**64 - 1, 2**64 - 2]), max_size=40))
def test_groups_are_the_equal_keys(values):
    """Keys that differ in their lowest bits alone are told apart; who takes no part is in no group."""
    ranks = np.arange(len(values), dtype=np.uint32)
    ranks[::7] = len(values)
    keys = np.array(values, dtype=np.uint64)
    found = [
        members.tolist()
        for members, starts in clusters.groups([keys[:9], keys[9:]], ranks)
        for members in np.split(members, starts[1:])
    ]
    wanted = [
        [rank for rank in range(len(values)) if rank % 7 and values[rank] == value] for value in sorted(set(values))
    ]
    assert [group for group in found if group] == [group for group in wanted if len(group) > 1]


def test_a_band_sorted_in_parts_gives_the_same_clusters(monkeypatch, engine):
    """How many keys are sorted at once changes nothing."""
    texts = _corpus()
    whole = [near_duplicates(texts, mode) for mode in MODES]
    monkeypatch.setattr(clusters, "_SORTED_AT_ONCE", 7)
    assert [near_duplicates(texts, mode) for mode in MODES] == whole


def test_blocks_are_bounded_by_bytes_and_decided_alike(choose_engine, monkeypatch):
    """Both engines take small blocks alike, by number or by bytes, and the same rows are kept as in one block."""
    texts = _corpus()
    whole = near_duplicates(texts)["is_kept"]
    for rows, size in ((5, 1 << 20), (2048, 20_000), (2048, 1)):
        monkeypatch.setattr(clusters, "_BLOCK", rows)
        monkeypatch.setattr(clusters, "_BLOCK_BYTES", size)
        tables = []
        for name in ENGINES:
            choose_engine(name)
            tables.append(near_duplicates(texts))
        assert tables[0].equals(tables[1])
        assert tables[0]["is_kept"].equals(whole)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_arrow_layout_gives_the_same_decisions(kind):
    """Chunks, offsets into a slice and the kinds of strings change nothing."""
    texts = _corpus()
    column = pa.array(["cut off", *texts], pa.string()).cast(kind)
    chunked = pa.chunked_array([column.slice(1, 20), column.slice(21, 0), column.slice(21)])
    assert near_duplicates(pa.table({"content": chunked})).equals(near_duplicates(texts))


def test_priority_and_hexsha_choose_the_kept_row():
    """The larger value of a priority column is kept, null last; without one the smaller hexsha."""
    text = _document(3)
    table = pa.table({"content": [text, text + "\nb", text + "\nc"], "hexsha": ["2", "1", "3"], "stars": [5, None, 9]})
    assert near_duplicates(table, "near_dedup_verified", priority=["stars"])["kept_row"].to_pylist() == [2, 2, 2]
    floats = table.set_column(2, "stars", pa.array([math.nan, 1.5, None]))
    assert near_duplicates(floats, "near_dedup_verified", priority=["stars"])["kept_row"].to_pylist() == [1, 1, 1]
    assert near_duplicates(table, "near_dedup_verified")["kept_row"].to_pylist() == [1, 1, 1]


def test_texts_and_tables_agree():
    """A table without hexsha is decided by content hash, as plain texts are."""
    texts = _corpus()
    plain, table = near_duplicates(texts, "near_dedup"), near_duplicates(pa.table({"content": texts}), "near_dedup")
    assert plain.equals(table)
    with_sha = pa.table({"content": texts, "hexsha": [hashlib.sha1(t.encode()).hexdigest() for t in texts]})
    assert plain.equals(near_duplicates(with_sha, "near_dedup"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], "exact"), "mode='exact' is unknown. Choose one of near_dedup, "),
        ((pa.table({"content": ["a", None]}),), "row 1 has no content"),
        ((pa.table({"text": ["a"]}),), "the table has no column 'content'. Columns found: text"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    """An unknown mode and a table without content are errors that list what there is."""
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        near_duplicates(*arguments)


def test_unigrams_ignore_order_and_ngrams_do_not():
    """`near_dedup` compares sets of words, the other modes sequences: a textbook difference."""
    words = [f"w{number}" for number in range(50)]
    left, right = " ".join(words), " ".join(reversed(words))
    assert (jaccard(unigram_set(left)[0], unigram_set(right)[0]), jaccard(ngram_set(left)[0], ngram_set(right)[0])) == (
        1,
        0,
    )

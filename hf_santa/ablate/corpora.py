"""Make the corpora of the variants from one source: one run of the recipes, one tokenizer, one held-back set."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_recipes.errors import DataError
from hf_santa.ablate.variants import VARIANTS, Scale
from hf_santa.errors import HfSantaError
from hf_santa.files import read_json, write_json
from hf_santa.measures import is_held_back
from hf_santa.problems import PROBLEMS
from hf_santa.training_flags import chosen_languages

HELDOUT_SHARE = 0.05
TOKENIZER_BYTES = 20_000_000


def prepare(
    sources: Sequence[Path],
    out: Path,
    scale: Scale,
    say: Callable[[str], None],
    *,
    stars: Path | None = None,
    languages: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the rows, the recipes' store, the tokenizer and a packed corpus a recipe; return volumes, and what lacks.

    Files are held out by the hash of their cluster of near-duplicates, so that no variant sees a near-copy of one.
    """
    from data_recipes.pipeline import run
    from data_recipes.sources.write_rows import write_rows
    from modeling_santa.corpus.fim_samples import pack
    from modeling_santa.tokenizer.train import load_tokenizer, save_tokenizer, train_tokenizer

    write_rows(list(sources), out / "rows", progress=say)
    rows = out / "rows" if stars is None else with_stars(out / "rows", stars, out / "rows-with-stars")
    languages = chosen_languages(sources, languages)
    key = hashlib.sha256(_sums(rows) + json.dumps([vars(scale), languages]).encode()).hexdigest()
    about = out / "corpora.json"
    if about.is_file() and (found := read_json(about, {"key": str, "volumes": dict, "lacking": dict}))["key"] == key:
        return found["volumes"], found["lacking"]
    wanted = ["near_dedup", "near_dedup_alt", "comments", "final"]
    # The report's base had gone through The Stack's near-deduplication, so every variant here has, too.
    lacking: dict[str, str] = {}
    try:
        run(rows, out / "store", [*wanted, "stars"], benchmarks=[PROBLEMS], languages=languages, progress=say)
        wanted.append("stars")
    except DataError as error:
        if "stars" not in str(error):
            raise
        lacking["stars"] = (
            "The rows have no column 'max_stars_count'; a source tree has none. Give rows of The Stack, or --stars FILE."
        )
        run(rows, out / "store", wanted, benchmarks=[PROBLEMS], languages=languages, progress=say)
    tokenizer = train_tokenizer(_some(partial(kept_texts, out / "store", "base")), vocab_size=scale.vocab_size)
    save_tokenizer(tokenizer, out / "tokenizer", n_positions=scale.seq_len)
    run(
        rows,
        out / "store",
        [*wanted, "fertility"],
        benchmarks=[PROBLEMS],
        languages=languages,
        tokenizer=out / "tokenizer" / "tokenizer.json",
        progress=say,
    )
    tokenizer = load_tokenizer(out / "tokenizer")
    volumes = {}
    for recipe in dict.fromkeys(variant.recipe for variant in VARIANTS.values()):
        if recipe in lacking:
            continue
        try:
            volumes[recipe] = pack(
                kept_texts(out / "store", recipe), tokenizer, out / "corpora" / recipe, recipe=recipe
            )
        except ValueError as error:
            lacking[recipe] = f"no file of the source is left: {error}"
            continue
        say(f"step=corpus recipe={recipe} files={volumes[recipe]['documents']} tokens={volumes[recipe]['tokens']}")
    files = held_rows(out / "store")
    if not files:
        raise HfSantaError(
            f"none of the source's files is held out, of which {HELDOUT_SHARE:.0%} are by their hashes. Give more files, "
            "a few hundred or more."
        )
    held = pack((row["content"] for row in files), tokenizer, out / "corpora" / "heldout")
    write_json(about, {"key": key, "volumes": {**volumes, "heldout": held}, "lacking": lacking})
    return {**volumes, "heldout": held}, lacking


def store_rows(store: Path, recipe: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a recipe that The Stack's near-deduplication keeps, too."""
    from datasets import load_dataset

    for row in load_dataset(str(store), recipe, split="train", streaming=True):
        if row["near_dedup_keep"]:
            yield row


def kept_texts(store: Path, recipe: str) -> Iterator[str]:
    """Yield the contents of a recipe's rows that are not held out."""
    return (row["content"] for row in store_rows(store, recipe) if not _is_held_out(row))


def held_rows(store: Path) -> list[dict[str, Any]]:
    """Return the files held out of every variant: one of each cluster of near-duplicates."""
    wanted = ("hexsha", "lang", "content")
    rows = (row for row in store_rows(store, "near_dedup_alt") if _is_held_out(row))
    return [{name: row[name] for name in wanted} for row in rows]


def with_stars(rows: Path, stars: Path, out: Path) -> Path:
    """Write rows with a column of stars, from a JSON object of path prefixes and counts; the longest prefix counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        counts = {str(prefix): int(count) for prefix, count in json.loads(stars.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise HfSantaError(
            f"{stars} is no JSON object of path prefixes and star counts ({error}). Write one like "
            '{"mytree/projects/flask": 65000}.'
        ) from error
    longest = sorted(counts, key=len, reverse=True)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in sorted(rows.glob("rows-*.parquet")):
        table = pq.read_table(path)
        found = [next((counts[p] for p in longest if name.startswith(p)), None) for name in table["path"].to_pylist()]
        pq.write_table(table.append_column("stars", pa.array(found, pa.int64())), out / path.name)
    shutil.copyfile(rows / "rejects.parquet", out / "rejects.parquet")
    shutil.copyfile(rows / "rows.json", out / "rows.json")
    return out


def _is_held_out(row: dict[str, Any]) -> bool:
    return is_held_back(row["near_dedup_alt_cluster"] or row["hexsha"], HELDOUT_SHARE)


def _some(texts: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Yield some of the texts by chance, about enough to train a tokenizer on, from all parts of the source."""
    share = TOKENIZER_BYTES / max(1, sum(map(len, texts())))
    draw = random.Random(0)
    return (text for text in texts() if draw.random() < share)


def _sums(rows: Path) -> bytes:
    return b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sorted(rows.glob("rows-*.parquet")))

"""Speed and agreement of the filters, beside the report's own way, on one corpus in one run.

python tests/bench/filters.py [--files N] [--reference-mb MB] [FILE.parquet …]

A parquet file has at least `content`, `lang` and `path`. Without one, the Python standard library and the installed
packages are read. Prints: comment shares against tokenize, ast and pygments (speed, decisions, classes of
difference), all filters but fertility from parquet to decisions, and fertility against the bare tokenizer.
"""

import argparse
import ast
import statistics
import sysconfig
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from data_recipes.annotate import Annotator
from data_recipes.engine.line_scan import line_statistics
from data_recipes.filters.comments import COMMENT_LANGUAGES, comment_shares
from data_recipes.filters.comments_oracle import comment_share_reference
from data_recipes.filters.fertility import chars_per_token
from data_recipes.filters.registry import find_filter, thresholds_for
from data_recipes.settings import RunSettings
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import Row, rows_table
from data_recipes.sources.write_rows import write_rows
from data_recipes.store.views import row_filter

ROUNDS = 5


def corpus(files: list[Path], limit: int) -> pa.Table:
    """At most `limit` rows of each language."""
    if files:
        rows = [item for file in files for item in read_parquet(file) if isinstance(item, Row)]
    else:
        with tempfile.TemporaryDirectory() as folder:
            roots = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
            write_rows(roots, folder, progress=lambda _line: None)
            rows = [item for item in read_parquet(folder) if isinstance(item, Row)]
    kept: Counter[str] = Counter()
    chosen = []
    for row in rows:
        kept[row.lang] += 1
        if row.lang in COMMENT_LANGUAGES and kept[row.lang] <= limit:
            chosen.append(row)
    return rows_table(chosen)


def interleaved(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median seconds of each run, all in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def is_kept(share: float) -> bool:
    return find_filter("comments").drop({"lang": "", "comment_share": share}) is None


def difference(lang: str, content: str, ours: float, theirs: float) -> str:
    """The class of a difference between our share and the reference's."""
    if lang != "Python":
        return f"pygments takes {'a comment for code' if ours > theirs else 'code for a comment'}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return "does not parse, seen by the reference alone"
    if any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree)) and ours > theirs:
        return "docstring of an async function"
    return "whitespace at the end of the text" if abs(ours - theirs) * len(content) <= 20 else "other"


def _reference(pair: tuple[str, str]) -> float:
    return comment_share_reference(*pair)


def comments_against_reference(table: pa.Table, reference_mb: float) -> None:
    """Speed on a sample in turn with the reference, one process each; decisions on all files."""
    print("comments: one thread, against tokenize + ast or pygments in one process")
    print(f"{'language':<12}{'files':>8}{'MB':>8}{'ours MB/s':>11}{'ref MB/s':>10}{'ratio':>7}{'same decision':>15}")
    agreed = total = 0
    classes: Counter[tuple[str, str]] = Counter()
    for lang in COMMENT_LANGUAGES:
        column = table.filter(pc.equal(table["lang"], lang))["content"].combine_chunks()
        texts = column.to_pylist()
        if not texts:
            continue
        sample, size = [], 0
        for text in texts:
            if size > reference_mb * 1e6:
                break
            sample.append(text)
            size += len(text)
        part = pa.array(sample)
        seconds = interleaved(
            {
                "ours": lambda part=part, lang=lang: comment_shares(part, [lang] * len(part)),
                "reference": lambda sample=sample, lang=lang: [comment_share_reference(x, lang) for x in sample],
            },
            3,
        )
        ours = comment_shares(column, [lang] * len(column)).tolist()
        with Pool(2) as pool:
            theirs = pool.map(_reference, [(text, lang) for text in texts], chunksize=64)
        differ = [n for n in range(len(texts)) if is_kept(ours[n]) != is_kept(theirs[n])]
        for n in range(len(texts)):
            if abs(ours[n] - theirs[n]) > 1e-9:
                kind = difference(lang, texts[n], ours[n], theirs[n])
                classes[lang, kind] += 1
                classes[lang, f"  of these, another decision: {kind}"] += n in set(differ)
        agreed, total = agreed + len(texts) - len(differ), total + len(texts)
        speed = {name: megabytes(sample) / value for name, value in seconds.items()}
        print(
            f"{lang:<12}{len(texts):>8,}{megabytes(texts):>8.0f}{speed['ours']:>11.0f}{speed['reference']:>10.2f}"
            f"{speed['ours'] / speed['reference']:>6.0f}x{100 * (1 - len(differ) / len(texts)):>14.3f}%"
        )
    print(f"all: the same decision on {agreed:,} of {total:,} files, {100 * agreed / total:.3f} %")
    for (lang, kind), count in sorted(classes.items()):
        print(f"  {lang}: share differs by more than 1e-9: {kind}: {count:,} files")


def stack_table(table: pa.Table, *, with_statistics: bool) -> pa.Table:
    """The rows in The Stack v1's layout."""
    count = table.num_rows
    columns = {
        **{name: table[name] for name in ("hexsha", "size", "ext", "lang", "content")},
        "max_stars_repo_path": table["path"],
        "max_stars_repo_name": [f"user{n % 997}/repository" for n in range(count)],
        "max_stars_repo_licenses": [["mit"]] * count,
        "max_stars_count": [n * 7919 % 23 for n in range(count)],
    }
    if with_statistics:
        found = [line_statistics(text) for text in table["content"].to_pylist()]
        for position, name in enumerate(("avg_line_length", "max_line_length", "alphanum_fraction")):
            columns[name] = [values[position] for values in found]
    return pa.table(columns)


def decide(file: Path) -> None:
    """Parquet to decisions: permissions, base, xml, html and comments of every file, then stars and comments as views."""
    settings = RunSettings(filters=("xml", "html"), threads=2)
    annotator = Annotator(settings, ("comments",), ("repo", "stars", "licenses"))
    kept = list(annotator.filtered(file, []))
    store = rows_table(kept, ("stars",), ("comment_share",))
    for step in ("stars", "comments"):
        row_filter(store, step, thresholds_for("report"))


def all_filters(table: pa.Table) -> None:
    """All filters but fertility, with The Stack's own line statistics and with statistics that have to be computed."""
    size = sum(table["size"].to_pylist()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        for label, given in (("line statistics given, as in The Stack", True), ("line statistics computed", False)):
            file = Path(folder) / "stack.parquet"
            pq.write_table(stack_table(table, with_statistics=given), file, compression="zstd", row_group_size=1000)
            seconds = interleaved({"decide": lambda file=file: decide(file)}, 3)["decide"]
            print(
                f"all filters but fertility, parquet to decisions, {label}: {size / seconds:.0f} MB/s ({size:.0f} MB)"
            )


def fertility(table: pa.Table) -> None:
    """The fertility column against the tokenizer alone, on the same texts."""
    texts = table["content"].to_pylist()[:1500]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, show_progress=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(str(path))
        seconds = interleaved(
            {"ours": lambda: chars_per_token(texts, path), "bare": lambda: tokenizer.encode_batch_fast(texts)}
        )
    speed = {name: megabytes(texts) / value for name, value in seconds.items()}
    print(f"fertility: {speed['ours']:.1f} MB/s, the bare tokenizer {speed['bare']:.1f} MB/s", end="")
    print(f" ({speed['ours'] / speed['bare']:.2f}x)")


def main() -> None:
    """Run all three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--files", dest="limit", type=int, default=3000, help="files of each language (default: 3000)")
    parser.add_argument("--reference-mb", type=float, default=3, help="MB timed with the reference (default: 3)")
    arguments = parser.parse_args()
    table = corpus(arguments.files, arguments.limit)
    comments_against_reference(table, arguments.reference_mb)
    all_filters(table)
    fertility(table)


if __name__ == "__main__":
    main()

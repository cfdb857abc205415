"""Steps `rows` and `recipe`: from the source code on this machine to a dataset folder."""

import hashlib
import json
import os
import sysconfig
from pathlib import Path
from typing import Any

from hf_santa.demo.steps import DemoError
from hf_santa.problems import PROBLEMS

BYTES_PER_LANGUAGE = {"Python": 21_000_000, "JavaScript": 5_000_000, "Java": 5_000_000}


def default_roots() -> list[Path]:
    """Return the source trees on this machine: Python's library and packages, Node's packages, the JDK's sources."""
    places = [Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))]
    places += [Path(folder) for folder in ("/usr/lib/node_modules", "/usr/local/lib/node_modules", "/usr/share/nodejs")]
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    places += [home / "lib" / "src.zip" for home in homes]
    found: dict[Path, None] = {}
    for place in places:
        if place.exists():
            found[place.resolve()] = None
    return list(found)


def corpus_fingerprint(roots: list[Path]) -> str:
    """Return a digest of the source by paths, sizes and times; no file is read.

    Raises:
        DemoError: nothing is there.
    """
    from data_recipes.errors import DataError
    from data_recipes.sources.parquet import tables_of
    from data_recipes.sources.tree import fingerprint as tree_fingerprint

    try:
        tables = tables_of(roots)
        if not tables:
            return tree_fingerprint(roots)
    except DataError as error:
        raise DemoError(f"--source: {error}") from error
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in tables]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()


def write_the_rows(out: Path, settings: dict[str, Any]) -> str:
    """Read the source files into `rows/`: parquet, `rejects.parquet` and `rows.json`."""
    from data_recipes.sources.write_rows import write_rows

    roots = [Path(root) for root in settings["corpus_roots"]]
    limits = BYTES_PER_LANGUAGE if settings["is_default_corpus"] else None
    about = write_rows(roots, out / "rows", limit_bytes_per_language=limits, progress=_note)
    files = sum(entry["files"] for entry in about["files"].values())
    volume = sum(entry["bytes"] for entry in about["files"].values())
    rejected = sum(entry["files"] for entry in about["rejects"])
    languages = " ".join(f"{name}={entry['files']}" for name, entry in about["files"].items())
    return f"in={files + rejected} out={files} rejected={rejected} {volume / 1e6:.1f}MB {languages}"


def run_the_recipe(out: Path, settings: dict[str, Any]) -> str:
    """Run the recipe near_dedup over the rows, decontaminated against the demo's own problems; write `dataset/`."""
    from data_recipes.pipeline import run

    funnel = run(
        out / "rows",
        out / "dataset",
        "near_dedup",
        benchmarks=[PROBLEMS],
        languages=settings["languages"],
        seed=settings["seed"],
        progress=_note,
    )
    before, after = (sum(entry["stages"][at]["files"] for entry in funnel["funnel"]) for at in (0, -1))
    redacted = funnel["redactions"]
    return (
        f"in={before} out={after} dropped={1 - after / before:.1%} "
        f"emails={redacted['EMAIL_ADDRESS']} ips={redacted['IP_ADDRESS']} keys={redacted['KEY']}"
    )


def _note(line: str) -> None:
    """Print what a killed or damaged run left to say; the step's own summary says the rest."""
    if " reused" in line or " redone" in line:
        print(line, flush=True)

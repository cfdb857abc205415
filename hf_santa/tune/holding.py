"""Steps `sources` and `heldout`: two states of the code become a training side and gaps that are not in it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hf_santa.errors import HfSantaError
from hf_santa.files import read_json, write_json
from hf_santa.measures import is_held_back
from hf_santa.tune.gaps import HeldText, added_lines, known_lines, literal_copies, make_gaps
from hf_santa.tune.sources import folder_names, left_out_by_reason, place_of, rows_of_recipe

VALIDATION = 0.05  # share of the training files that say when to stop
SHOWN = 20  # trivial lines that the report lists
LATER = "later"


def read_states(out: Path, settings: dict[str, Any]) -> str:
    """Read the state to train on by the recipe, and the later one by the recipe `base`; write `states.json`."""
    from data_recipes.pipeline import run as run_recipe
    from data_recipes.sources.write_rows import write_rows

    about: dict[str, Any] = {}
    for name, recipe in (("earlier", settings["recipe"]), (LATER, "base")):
        if not settings[name]:
            continue
        place = out / "states" / name
        facts = write_rows(settings[name], place / "rows", progress=_quiet)
        languages = settings["languages"]
        run_recipe(place / "rows", place / "store", recipe, seed=settings["seed"], languages=languages, progress=_quiet)
        read = sum(entry["files"] for entry in facts["files"].values()) + sum(
            entry["files"] for entry in facts["rejects"]
        )
        rows = list(rows_of_recipe(place / "store", recipe))
        about[name] = {
            "files": read,
            "kept": len(rows),
            "bytes": sum(len(row["content"].encode()) for row in rows),
            "left_out": left_out_by_reason(place / "rows", place / "store"),
            "redactions": read_json(place / "store" / "funnel.json", {"redactions": dict})["redactions"],
        }
    write_json(out / "states.json", about)
    first = about["earlier"]
    reasons = " ".join(f"{reason}={count}" for reason, count in list(first["left_out"].items())[:6])
    return f"files={first['files']} kept={first['kept']} {first['bytes'] / 1e6:.2f}MB {reasons}"


def hold_out(out: Path, settings: dict[str, Any]) -> str:
    """Write `heldout/`: the texts to train on, those that say when to stop, the gaps, and what was left out of them.

    Raises:
        HfSantaError: nothing is left on one of the sides.
    """
    rows = list(rows_of_recipe(out / "states" / "earlier" / "store", settings["recipe"]))
    held = [row for row in rows if is_held_back(row["hexsha"], settings["heldout"])]
    kept = [row for row in rows if not is_held_back(row["hexsha"], settings["heldout"])]
    validation = [row for row in kept if is_held_back(row["hexsha"][8:], VALIDATION)]
    training = [row for row in kept if not is_held_back(row["hexsha"][8:], VALIDATION)]
    if not training:
        raise HfSantaError(f"{len(rows)} files are left of the sources, and none to train on. Give more files.")
    texts = _texts_by_file(held)
    if settings[LATER]:
        texts += _texts_by_time(out, settings, held)
    texts, near = _without_near_duplicates(texts, [row["content"] for row in kept])
    known = known_lines(row["content"] for row in kept)
    gaps, counts = make_gaps(texts, known, count=settings["gaps"], seed=settings["seed"])
    if not gaps:
        raise HfSantaError(
            f"no held-out gap is left: of {counts.candidates} lines {counts.literal} stand literally in the training side, "
            f"{counts.trivial} are trivial, and {near} files are near-duplicates of it. Give more code, a larger --heldout, "
            "an earlier --since, or a --later state with more changes."
        )
    folder = out / "heldout"
    for name, side in (("training", training), ("validation", validation)):
        _write_lines(folder / f"{name}.jsonl", ({key: row[key] for key in ("path", "content")} for row in side))
    _write_lines(folder / "gaps.jsonl", gaps)
    kinds = [(gap["by"], gap["kind"]) for gap in gaps]
    about = {
        "files": {"training": len(training), "validation": len(validation), "held": len(texts)},
        "near_duplicates": near,
        "lines": {"candidates": counts.candidates, "literal": counts.literal, "trivial": counts.trivial},
        "literal_copies": literal_copies(gaps, known),
        "trivial_lines_in_blocks": dict(counts.trivial_inside.most_common(SHOWN)),
        "gaps": {f"{by}/{kind}": kinds.count((by, kind)) for by, kind in sorted(set(kinds))},
    }
    write_json(folder / "about.json", about)
    return (
        f"training={len(training)} validation={len(validation)} gaps={len(gaps)} left_out_as_copies={counts.literal} "
        f"near_duplicates={near} literal_copies={about['literal_copies']}"
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of ours with one JSON object a line."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def _texts_by_file(held: Sequence[dict[str, Any]]) -> list[HeldText]:
    return [
        HeldText(row["path"], row["lang"], "file", row["content"], tuple(range(row["content"].count("\n") + 1)))
        for row in held
    ]


def _texts_by_time(out: Path, settings: dict[str, Any], held: Sequence[dict[str, Any]]) -> list[HeldText]:
    """Return the files of the later state with the lines that were added to them; whole files where they are new."""
    folders = folder_names([*settings["earlier"], *settings[LATER]])
    before: dict[tuple[str, str], str] = {}
    for row in rows_of_recipe(out / "states" / "earlier" / "store", "base"):
        before[place_of(row, folders)] = row["content"]  # of several releases the last one
    absent = {place_of(row, folders) for row in held}
    found = []
    for row in rows_of_recipe(out / "states" / LATER / "store", "base"):
        place = place_of(row, folders)
        if place in absent:
            continue  # its earlier state is held back, too
        lines = added_lines(before.get(place, ""), row["content"])
        if lines:
            found.append(HeldText(row["path"], row["lang"], "time", row["content"], lines))
    return found


def _without_near_duplicates(texts: Sequence[HeldText], training: Sequence[str]) -> tuple[list[HeldText], int]:
    """Return the texts but those that are, as a whole, near-duplicates of a training text, and how many those are.

    A file that people went on with resembles its earlier state of course: only its added lines are asked for, and compared
    line by line. So this is for files held back and for new ones.
    """
    from data_recipes.dedup.modes import near_duplicates

    whole = [text for text in texts if len(text.lines) == text.text.count("\n") + 1]
    if not whole:
        return list(texts), 0
    clusters = near_duplicates([*training, *(text.text for text in whole)])["cluster"].to_pylist()
    of_training = set(clusters[: len(training)])
    copies = {
        id(text) for text, cluster in zip(whole, clusters[len(training) :], strict=True) if cluster in of_training
    }
    return [text for text in texts if id(text) not in copies], len(copies)


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _quiet(line: str) -> None:
    """Print what a killed or damaged run left to say; the step's own summary says the rest."""
    if " redone" in line:
        print(line, flush=True)

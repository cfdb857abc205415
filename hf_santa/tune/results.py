"""Put the numbers of all steps of `hf-santa tune` together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_santa.files import read_json
from hf_santa.tune.compare import MEASURES, paired_difference
from hf_santa.tune.gaps import KINDS
from hf_santa.tune.holding import read_lines

WITHOUT_MODEL = ("nearest_line", "most_frequent_line")
EXAMPLES = 6


def collected_results(out: Path, settings: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `results.json` holds: every measure before and after by group of gaps, baselines, data, memory, answers."""
    gaps = read_lines(out / "heldout" / "gaps.jsonl")
    shape = {"answers": list, "grades": list, "memorised": dict}
    before, after = (read_json(out / f"{name}.json", shape) for name in ("before", "after"))
    bars = read_json(out / "baselines.json", {"line": str, **dict.fromkeys(WITHOUT_MODEL, dict)})
    seed = settings["seed"]
    return {
        "base": settings["base"],
        "plan": read_json(out / "plan.json", dict),
        "states": read_json(out / "states.json", dict),
        "heldout": read_json(out / "heldout" / "about.json", dict),
        "measures": {
            name: _compared(gaps, before["grades"], after["grades"], chosen, seed)
            for name, chosen in _groups(gaps).items()
        },
        "against_no_model": {
            name: _compared(gaps, bars[name]["grades"], after["grades"], lambda _: True, seed) for name in WITHOUT_MODEL
        },
        "most_frequent_line": bars["line"],
        "memorised": {"before": before["memorised"], "after": after["memorised"]},
        "latency": {name: read_json(out / f"{name}-latency.json", dict) for name in ("before", "after")},
        "training": read_json(out / "train.json", {"steps": int, "planned_steps": int, "curve": list}),
        "memory": read_json(out / "memory.json", dict),
        "serve": read_json(out / "serve.json", {"line": str, "tried": dict, "editors": list}),
        "answers": _examples(gaps, before["answers"], after["answers"], bars["nearest_line"]["answers"]),
        "steps": {name: {"seconds": row["seconds"], "summary": row["summary"]} for name, row in report.items()},
    }


def _groups(gaps: Sequence[Mapping[str, Any]]) -> dict[str, Callable[[Mapping[str, Any]], bool]]:
    """Return the groups of gaps that are measured apart, each with what tells its members: all, kinds, ways held back."""
    groups: dict[str, Callable[[Mapping[str, Any]], bool]] = {"all": lambda _: True}
    for field, values in (("kind", KINDS), ("by", ("time", "file"))):
        for value in values:
            if any(gap[field] == value for gap in gaps):
                groups[value] = lambda gap, field=field, value=value: gap[field] == value  # type: ignore[misc]
    return groups


def _compared(
    gaps: Sequence[Mapping[str, Any]],
    first: Sequence[Mapping[str, float]],
    second: Sequence[Mapping[str, float]],
    is_chosen: Callable[[Mapping[str, Any]], bool],
    seed: int,
) -> dict[str, Any]:
    chosen = [number for number, gap in enumerate(gaps) if is_chosen(gap)]
    sides = [[grades[number] for number in chosen] for grades in (first, second)]
    files = [str(gaps[number]["path"]) for number in chosen]
    measured = [name for name in MEASURES if name != "bits_per_byte" or "bits" in sides[0][0]]
    return {name: paired_difference(sides[0], sides[1], files, name, seed=seed) for name in measured}


def _examples(
    gaps: Sequence[Mapping[str, Any]], before: Sequence[str], after: Sequence[str], nearest: Sequence[str]
) -> list[dict[str, str]]:
    """Return some gaps spread evenly over all, chosen by their place alone, with every answer to them."""
    step = max(1, len(gaps) // EXAMPLES)
    return [
        {
            "path": gaps[at]["path"],
            "kind": gaps[at]["kind"],
            "typed": gaps[at]["prefix"].rpartition("\n")[2],
            "middle": gaps[at]["middle"],
            "before": before[at],
            "after": after[at],
            "nearest_line": nearest[at],
        }
        for at in range(0, len(gaps), step)
    ][:EXAMPLES]

"""Draw the report page of `hf-santa tune`: whether it was worth it, in numbers with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from hf_santa.files import write_json
from hf_santa.pages.charts import Html, count, duration, escape, fill, join, page_style, percent, size, table
from hf_santa.tune.results import WITHOUT_MODEL, collected_results

WORDS = {
    "exact_match": "exact match",
    "edit_similarity": "edit similarity",
    "characters_saved": "characters saved a keystroke",
    "bits_per_byte": "bits per byte of the true text",
}
GROUPS = {
    "all": "all gaps",
    "rest_of_line": "rest of a line",
    "line": "whole line",
    "block": "block of lines",
    "time": "lines written later",
    "file": "files held back",
}
NO_MODEL = {"nearest_line": "nearest training line", "most_frequent_line": "most frequent line"}
LONGEST = 300  # characters of an answer on the page


def write_tune_page(out: Path, settings: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Write `results.json` and `index.html`; return the results."""
    results = collected_results(out, settings, report)
    write_json(out / "results.json", results)
    (out / "index.html").write_text(tune_page(results), encoding="utf-8")
    return results


def tune_page(results: Mapping[str, Any]) -> str:
    """Return the page; the same results give the same bytes."""
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        style=page_style(),
        lede=escape(_lede(results)),
        verdict=join(fill("<p>{text}</p>", text=text) for text in told_verdict(results)),
        gains=join(_gains(name, results["measures"]) for name in WORDS),
        baselines=_baselines(results),
        answers=_answers(results["answers"]),
        data=_data(results),
        use=_use(results),
    )


def told_verdict(results: Mapping[str, Any]) -> list[str]:
    """Return in sentences what got better, what did not, and whether no model would have done."""
    texts = []
    for name, words in WORDS.items():
        found = results["measures"]["all"][name]
        texts.append(f"{words[:1].upper()}{words[1:]}: {_change(name, found)}.")
    for name in WITHOUT_MODEL:
        found = results["against_no_model"][name]["edit_similarity"]
        is_beaten = found["low"] > 0
        texts.append(
            f"{'Better' if is_beaten else 'Not shown to be better'} than the {NO_MODEL[name]}, by edit similarity: "
            f"{found['after']:.3f} against {found['before']:.3f}, difference {found['gain']:+.3f} "
            f"({found['low']:+.3f} to {found['high']:+.3f})."
        )
    before, after = results["memorised"]["before"]["answers"], results["memorised"]["after"]["answers"]
    texts.append(
        f"{count(after)} of {count(results['measures']['all']['exact_match']['gaps'])} answers repeat training text that was "
        f"not asked for (a line of 20 characters or a passage of 50); before training it was {count(before)}."
    )
    return texts


def _change(name: str, found: Mapping[str, float]) -> str:
    is_lower_better = name == "bits_per_byte"
    better, worse = found["high"] < 0, found["low"] > 0
    if not is_lower_better:
        better, worse = worse, better
    verdict = "better" if better else "worse" if worse else "no evidence of a change"
    return (
        f"{found['before']:.3f} before, {found['after']:.3f} after, {verdict} "
        f"(difference {found['gain']:+.3f}, 95 % interval {found['low']:+.3f} to {found['high']:+.3f})"
    )


def _lede(results: Mapping[str, Any]) -> str:
    held, first = results["heldout"], results["states"]["earlier"]
    return (
        f"A {results['plan']['family']} base was tuned on {count(held['files']['training'])} files "
        f"({size(first['bytes'])}), and asked before and after for {count(sum(held['gaps'].values()))} gaps in code that it "
        "had not seen."
    )


def _gains(name: str, measures: Mapping[str, Any]) -> Html:
    rows = []
    for group, words in GROUPS.items():
        if group in measures:
            found = measures[group][name]
            interval = f"{found['low']:+.3f} to {found['high']:+.3f}"
            numbers = (f"{found['before']:.3f}", f"{found['after']:.3f}", f"{found['gain']:+.3f}", interval)
            rows.append((words, *numbers, f"{count(found['gaps'])} in {count(found['files'])}"))
    title = f"{WORDS[name][:1].upper()}{WORDS[name][1:]}{', less is better' if name == 'bits_per_byte' else ''}"
    head = ("Gaps", "Before", "After", "Gain", "95 % interval", "Gaps in files")
    return fill('<div class="block">{table}</div>', table=table(title, head, rows))


def _baselines(results: Mapping[str, Any]) -> Html:
    names = [name for name in WORDS if name != "bits_per_byte"]
    rows: list[Sequence[str]] = []
    for name in WITHOUT_MODEL:
        found = results["against_no_model"][name]
        rows.append((NO_MODEL[name], *(f"{found[measure]['before']:.3f}" for measure in names)))
    tuned = results["measures"]["all"]
    rows.append(("the tuned model", *(f"{tuned[measure]['after']:.3f}" for measure in names)))
    told = (
        "The nearest training line is what a plain index would give: the line whose surroundings share the most, and the "
        "rarest, words with the gap's, or that begins as the typed one does. The most frequent line is "
        f"“{results['most_frequent_line']}”. No line that is asked for stands in the training side, so neither can copy a "
        "whole right one."
    )
    head = ("All gaps", *(f"{WORDS[name][:1].upper()}{WORDS[name][1:]}" for name in names))
    return join([table("Against no model at all", head, rows), fill("<p>{told}</p>", told=told)])


def _answers(answers: Sequence[Mapping[str, str]]) -> Html:
    rows = [
        (
            f"{row['path'].rpartition('/')[2]}, {GROUPS[row['kind']]}",
            *(_code(row[name]) for name in ("typed", "middle", "before", "after", "nearest_line")),
        )
        for row in answers
    ]
    head = ("Gap", "Typed", "True", "Before", "After", "Nearest training line")
    told = fill("<p>{text}</p>", text="Chosen by their place among the gaps, not by how they look.")
    return join([told, table("Some gaps with all answers", head, rows, n_text=6)])


def _code(text: str) -> Html:
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return fill('<code style="white-space:pre-wrap;overflow-wrap:anywhere">{text}</code>', text=shown)


def _data(results: Mapping[str, Any]) -> Html:
    held, states = results["heldout"], results["states"]
    rows = [
        ("files read", count(states["earlier"]["files"])),
        ("files kept by the recipe", count(states["earlier"]["kept"])),
        ("trained on", count(held["files"]["training"])),
        ("watched for the end of training", count(held["files"]["validation"])),
        ("files with gaps", count(held["files"]["held"])),
        ("near-duplicates of the training side, left out", count(held["near_duplicates"])),
        ("lines that could be asked for", count(held["lines"]["candidates"])),
        ("of these, in the training side literally: left out", count(held["lines"]["literal"])),
        ("of these, trivial (blank, brackets, imports): not asked for", count(held["lines"]["trivial"])),
        ("literal copies among the gaps, trivial lines aside", count(held["literal_copies"])),
    ]
    parts = [table("Held back", ("What", "Number"), rows)]
    reasons = [(reason, count(number)) for reason, number in states["earlier"]["left_out"].items()]
    if reasons:
        parts.append(table("Files left out, by reason", ("Reason", "Files"), reasons))
    if held["trivial_lines_in_blocks"]:
        lines = [(_code(line), count(number)) for line, number in held["trivial_lines_in_blocks"].items()]
        parts.append(table("Trivial lines inside of blocks that the training side has, too", ("Line", "Times"), lines))
    found = {name: number for name, number in states["earlier"]["redactions"].items() if number}
    told = ", ".join(f"{name} {count(number)}" for name, number in found.items()) or "none was found"
    parts.append(fill("<p>Personal data and keys that were replaced: {told}.</p>", told=told))
    return join(fill('<div class="block">{part}</div>', part=part) for part in parts)


def _use(results: Mapping[str, Any]) -> Html:
    serve, memory, training = results["serve"], results["memory"], results["training"]
    tried = serve["tried"]
    rows: list[Sequence[str | Html]] = [
        ("serve it", _code(serve["line"])),
        (
            "tried here",
            f"{tried['answers']} answers of a server that was started"
            if tried["answers"]
            else f"no: {tried['why_not']}",
        ),
        ("settings of editors", ", ".join(serve["editors"]) or "none for this type of model yet"),
        ("GGUF file", serve["gguf"] or f"none: {serve['why_no_gguf']}"),
        ("steps of training", f"{count(training['steps'])} of {count(training['planned_steps'])} planned"),
        ("one answer, alone", _latency(results["latency"])),
        ("memory of training", _memory(memory)),
        ("time of all steps", duration(sum(row["seconds"] for row in results["steps"].values()))),
    ]
    return table("How to use it, and what it took", ("What", "Value"), rows, n_text=2)


def _latency(found: Mapping[str, Mapping[str, float]]) -> str:
    return (
        f"{duration(found['after']['median_seconds'])} by transformers on this machine, "
        f"{duration(found['before']['median_seconds'])} before (medians)"
    )


def _memory(memory: Mapping[str, Any]) -> str:
    if not memory.get("peak_bytes"):
        return f"estimated {size(memory['estimated_bytes'])}; the system does not say how much it was"
    share = memory["peak_bytes"] / memory["estimated_bytes"] - 1
    return f"estimated {size(memory['estimated_bytes'])}, at most {size(memory['peak_bytes'])} ({percent(share)} off)"

"""Write the demo's report as one HTML page that loads nothing and runs no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from hf_santa.demo.report.samples import samples
from hf_santa.demo.report.schema import DemoReport, Score, validate
from hf_santa.demo.report.sections import against_unigram, funnel, scores, steps, training, used_by, versions
from hf_santa.pages.charts import NBSP, Html, count, duration, escape, fill, join, page_style, percent, size

# SantaCoder as published: parameters counted on the model, 600,000 steps of 192 sequences of 2,048 tokens
# (arXiv 2301.03988 §6.2), pass@1 on HumanEval in Python (model card).
SANTACODER_PARAMETERS = 1_124_886_528
SANTACODER_TOKENS = 600_000 * 192 * 2048
SANTACODER_PASS_AT_1 = 0.18


def render(report: Mapping[str, Any]) -> str:
    """Return a report as one HTML page with inline style and charts; the same report gives the same bytes.

    Raises ValueError naming the key that is missing or holds something else than `DemoReport` says.
    """
    checked = validate(report)
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        style=page_style(),
        title=escape(checked["title"]),
        lede=_lede(checked),
        headline=_headline(checked),
        limits=_limits(checked),
        used_by=used_by(checked),
        funnel=funnel(checked),
        training=training(checked),
        samples=samples(checked),
        scores=scores(checked),
        steps=steps(checked),
        versions=versions(checked),
    )


def _large(number: int) -> str:
    """A number is rounded to three figures in words: 1.25 million."""
    for unit, worth in (("billion", 10**9), ("million", 10**6)):
        if number >= 0.9995 * worth:
            figures = number / worth
            return f"{figures:.3g}{NBSP}{unit}" if figures < 999.5 else f"{figures:,.0f}{NBSP}{unit}"
    return count(number)


def _times(ratio: float) -> str:
    """A ratio is rounded to three figures."""
    return f"{float(f'{ratio:.3g}'):,.0f}"


def _lede(report: DemoReport) -> Html:
    machine = report["machine"]
    return fill(
        "Source code in; a dataset, a trained model, a measured score and a running demo out. "
        "Done in {seconds} on {cores} CPU core{s}, with no GPU and no account.",
        seconds=duration(sum(step["seconds"] for step in report["steps"])),
        cores=machine["cores"],
        s="" if machine["cores"] == 1 else "s",
    )


def _pass_at_1(scores: Sequence[Score]) -> tuple[float, float, int] | None:
    """Pass@1 of the model and of the control over all languages, weighted by programs, or None without any."""
    chosen = [score for score in scores if score["metric"] == "pass@1" and score["programs"]]
    programs = sum(score["programs"] for score in chosen)
    if not programs:
        return None
    model = sum(score["value"] * score["programs"] for score in chosen) / programs
    control = sum(score["reference_value"] * score["programs"] for score in chosen) / programs
    return model, control, programs


def _headline(report: DemoReport) -> Html:
    ends = [(funnel["stages"][0], funnel["stages"][-1]) for funnel in report["funnel"] if funnel["stages"]]
    n_in, n_out = (sum(end[i]["files"] for end in ends) for i in (0, 1))
    b_in, b_out = (sum(end[i]["bytes"] for end in ends) for i in (0, 1))
    score = _pass_at_1(report["scores"])
    reused = sum(step["reused"] for step in report["steps"])
    seconds = sum(step["seconds"] for step in report["steps"])
    items = (
        ("Source files, in → out", f"{n_in:,} → {n_out:,}", f"{size(b_in)} → {size(b_out)}"),
        (
            "Bits per byte, unseen files",
            f"{report['training']['bits_per_byte']:.2f}",
            against_unigram(report["training"]),
        ),
        ("pass@1 of the model", percent(score[0]), f"our own solutions: {percent(score[1])}")
        if score
        else ("pass@1 of the model", "not scored", "no program was run"),
        ("Time, all steps", duration(seconds), f"{len(report['steps'])} steps, {reused} reused from an earlier run"),
    )
    rows = (
        fill(
            '<div><dt>{name}</dt><dd class="big">{value}</dd><dd class="sub">{note}</dd></div>',
            name=name,
            value=value,
            note=note,
        )
        for name, value, note in items
    )
    return fill('<dl class="headline">\n{rows}\n</dl>', rows=join(rows))


def _scored(scores: Sequence[Score]) -> Html:
    """How many programs passed, how far the intervals reach, and what the control says of the metric."""
    score = _pass_at_1(scores)
    if score is None:
        return Html("This run did not measure whether its programs work.")
    model, control, programs = score
    widest = max((score for score in scores if score["metric"] == "pass@1"), key=lambda score: score["high"])
    return fill(
        "Of {programs} programs it wrote, {model} passed their tests (pass@1); so few programs leave room for up to "
        "{high} in {label}. Our own solutions, sent through the same metric as a control, scored {control}{verdict}",
        programs=count(programs),
        model=percent(model),
        high=percent(widest["high"]),
        label=widest["label"],
        control=percent(control),
        verdict=", so what is missing is missing in the model, not in the metric."
        if control > 1 - 1e-9
        else ": part of what is missing is the fault of the metric or of a toolchain. Mend that first.",
    )


def _limits(report: DemoReport) -> Html:
    """What the scores of this very run say about the model, beside SantaCoder's own."""
    training = report["training"]
    smaller = SANTACODER_PARAMETERS / max(training["parameters"], 1)
    fewer = SANTACODER_TOKENS / max(training["tokens"], 1)
    return fill(
        "<p>With {parameters} parameters and {seconds} of training, the model {learned} {scored} "
        "Don&rsquo;t use what it writes for anything but seeing that every part of the system works.</p>\n"
        '<p class="note">SantaCoder itself has {santa_parameters} parameters, {smaller} times as many, and read '
        "{santa_tokens} tokens, {fewer} times as many. It reports a pass@1 of {santa_pass} on HumanEval in Python, "
        "another and harder set of problems than the one here.</p>",
        parameters=_large(training["parameters"]),
        seconds=duration(training["seconds"]),
        learned="has learned how source code looks: indentation, keywords, common names. What code does is beyond it."
        if training["bits_per_byte"] < training["unigram_bits_per_byte"]
        else "has not learned even how source code looks: a table of token counts predicts it as well.",
        scored=_scored(report["scores"]),
        santa_parameters=_large(SANTACODER_PARAMETERS),
        santa_tokens=_large(SANTACODER_TOKENS),
        smaller=_times(smaller),
        fewer=_times(fewer),
        santa_pass=percent(SANTACODER_PASS_AT_1),
    )

"""Write each section of the report page from its part of a checked report."""

from collections.abc import Sequence

from hf_santa.demo.report.samples import LANGUAGES, code_block
from hf_santa.demo.report.schema import DemoReport, Funnel, Guesser, Infill, Score, Training
from hf_santa.pages.charts import (
    NBSP,
    Html,
    bar,
    between,
    count,
    duration,
    fill,
    intervals,
    join,
    loss_curves,
    percent,
    size,
    stage_bars,
    table,
)

_PII = {"EMAIL_ADDRESS": "e-mail addresses", "IP_ADDRESS": "IP addresses", "KEY": "keys"}


def against_unigram(training: Training) -> str:
    """Return the unigram score of a run, and by how much the model beats it."""
    model, unigram = training["bits_per_byte"], training["unigram_bits_per_byte"]
    if not unigram:
        return "no unigram baseline"
    gain = 1 - model / unigram
    return f"unigram {unigram:.2f}: {percent(abs(gain))} {'better' if gain >= 0 else 'worse'}"


def _facts(pairs: Sequence[tuple[str, str | Html]]) -> Html:
    rows = (fill("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value) for name, value in pairs)
    return fill('<dl class="facts">\n{rows}\n</dl>', rows=join(rows))


def used_by(report: DemoReport) -> Html:
    """Return the lines of a user with their output, and whether the classes that load the folder agree."""
    blocks = [
        fill(
            '<div class="use"><h3>{title}</h3>\n{code}\n{output}\n</div>',
            title=use["title"],
            code=code_block(use["code"], f"{use['title']}: code"),
            output=code_block(use["output"], f"{use['title']}: output", "out")
            if use["output"]
            else Html('<p class="note">It printed nothing.</p>'),
        )
        for use in report["used_by"]
    ]
    lines = join(blocks) or Html("<p>No lines were run.</p>")
    parity = report["parity"]
    classes = join((fill("<code>{name}</code>", name=name) for name in parity["classes"]), " and ")
    return fill(
        "{lines}\n<p>The same folder was loaded by {classes}; the greatest difference between their logits is "
        "<strong>{difference}</strong>. {report}</p>",
        lines=lines,
        classes=classes or "no class",
        difference=f"{parity['max_abs_logit_difference']:g}",
        report=parity["report"],
    )


def funnel(report: DemoReport) -> Html:
    """Return what was read, what was redacted, and what each stage left of each language."""
    corpus, redactions = report["corpus"], report["redactions"]
    spans = [f"{count(n)} {_PII.get(kind, kind)}" for kind, n in sorted(redactions.items()) if kind != "files"]
    return fill(
        "<p>{files} files, {size}, were read from {roots}. {redacted}</p>"
        '\n<ul class="key" aria-hidden="true">'
        '<li><svg class="chart"><rect class="fill" width="28" height="10" rx="2"/></svg>files</li>'
        '<li><svg class="chart"><rect class="second" y="3" width="28" height="4" rx="2"/></svg>size</li></ul>'
        '\n<div class="three">\n{languages}\n</div>',
        files=count(corpus["files"]),
        size=size(corpus["bytes"]),
        roots=", ".join(corpus["roots"]) or "nowhere",
        redacted=f"Personal data was redacted in {count(redactions['files'])} files: {', '.join(spans)}."
        if redactions["files"]
        else "No personal data was found in them.",
        languages=join(
            _funnel_of(i, funnel) for i, funnel in enumerate(sorted(report["funnel"], key=lambda f: not f["lang"]))
        )
        or Html("<p>No language was found in the corpus.</p>"),
    )


def _funnel_of(index: int, funnel: Funnel) -> Html:
    """Bars of one language, and the reasons for what was left out."""
    lang, stages, rejects = funnel["lang"], funnel["stages"], funnel["rejects"]
    heading = fill("<h3>{lang}</h3>", lang=lang or "Other files")
    is_empty = not stages or not stages[0]["files"]
    if not lang:  # of no known language: left out while reading
        body = Html()
    elif is_empty:
        body = fill("<p>No {lang} files were found.</p>", lang=lang)
    else:
        bars = [(_words(stage["name"]), stage["files"], stage["bytes"]) for stage in stages]
        body = stage_bars(f"funnel-{index}", f"{lang}: files and size after each stage", bars)
    if not rejects:
        listed = Html() if is_empty else fill('<p class="note">No {lang} file was left out.</p>', lang=lang)
    else:
        listed = table(
            f"Left out of {lang or 'all other files'}",
            ("Reason", "Files", "Size"),
            (
                (
                    fill("{reason} <small>in {stage}</small>", reason=_words(r["reason"]), stage=_words(r["stage"])),
                    count(r["files"]),
                    size(r["bytes"]),
                )
                for r in rejects
            ),
        )
    return fill("<div>{heading}\n{body}\n{listed}</div>", heading=heading, body=body, listed=listed)


def _words(name: str) -> str:
    return name.replace("_", " ")


def training(report: DemoReport) -> Html:
    """Return the loss against its baseline, with the size of the run."""
    training = report["training"]
    loss = [(point["step"], point["loss"]) for point in training["curve"]]
    held = [(point["step"], point["bits_per_byte"]) for point in training["heldout"]]
    chart = (
        loss_curves("loss", loss, held, training["unigram_bits_per_byte"])
        if loss or held
        else Html("<p>No curve was recorded.</p>")
    )
    facts = _facts(
        (
            ("Parameters", count(training["parameters"])),
            ("Tokens read", count(training["tokens"])),
            ("Steps", count(training["steps"])),
            ("Time", duration(training["seconds"])),
            ("Tokens per second", f"{training['tokens'] / max(training['seconds'], 1e-9):,.0f}"),
            ("Sequence length", count(training["seq_len"])),
            ("Fill-in-the-middle rate", percent(training["fim_rate"])),
            ("Held-out files", f"{count(training['heldout_files'])}, {size(training['heldout_bytes'])}"),
        )
    )
    return fill(
        "<p>Held-out files cost the model <strong>{model} bits per byte</strong> ({against}). A unigram model knows "
        "how often each token occurs, and nothing of order. Lower is better.{stopped}</p>\n{chart}\n{facts}\n{beside}",
        model=f"{training['bits_per_byte']:.2f}",
        against=against_unigram(training),
        stopped=" The time limit ended the training before its last planned step."
        if training["stopped_by_time"]
        else "",
        chart=chart,
        facts=facts,
        beside=_beside(training["guessers"]),
    )


def _beside(guessers: Sequence[Guesser]) -> Html:
    """Return the table of the model and of what counting alone is worth."""
    if not guessers:
        return Html()
    rows = (
        (
            one["name"],
            " ".join(f"{bits:.2f}" for bits in one["bits_per_byte"]) or "-",
            " ".join(percent(lines["exact_match"]) for lines in one["lines"]) or "-",
            " ".join(between(lines["low"], lines["high"]) for lines in one["lines"]) or "-",
            " ".join(count(lines["tasks"]) for lines in one["lines"]) or "-",
        )
        for one in guessers
    )
    return fill(
        '<div class="block"><h3>{title}</h3>\n<p>The tables only count: a 5-gram table knows which token most often follows the '
        "last four. A model is worth its training where it is above them.</p>\n{table}</div>",
        title="Beside what counting alone is worth",
        table=table(
            "Files held back: cost, and single lines filled in exactly",
            ("Model or table", "Bits per byte", "Lines equal to the truth", "Interval", "Lines"),
            rows,
        ),
    )


def scores(report: DemoReport) -> Html:
    """Show scores with their intervals and their control, and the languages that have none."""
    parts = [
        fill(
            "<p>Programs ran in a child process with a time limit; sandbox: <code>{sandbox}</code>.</p>",
            sandbox=report["sandbox"],
        )
    ]
    parts += [
        fill(
            "<p><strong>{language} was not scored.</strong> {message} A missing toolchain is no failure of the "
            "model and counts nowhere.</p>",
            language=LANGUAGES.get(missing["language"], missing["language"]),
            message=missing["message"],
        )
        for missing in report["missing_toolchains"]
    ]
    parts.append(_score_chart(report["scores"]) if report["scores"] else Html("<p>No program was scored.</p>"))
    parts.append(_infill_chart(report["infill"]) if report["infill"] else Html("<p>No infilling task was scored.</p>"))
    return join(parts)


def _score_chart(scores: Sequence[Score]) -> Html:
    title = "Programs that pass their tests"
    numbers = table(
        title,
        ("Language", "Metric", "Model", "Interval", "Control", "Programs"),
        (
            (
                score["label"],
                score["metric"],
                percent(score["value"]),
                between(score["low"], score["high"]),
                percent(score["reference_value"]),
                count(score["programs"]),
            )
            for score in scores
        ),
        n_text=2,
    )
    rows = [(f"{s['label']}, {s['metric']}", s["value"], s["low"], s["high"], s["reference_value"]) for s in scores]
    return fill(
        '<div class="block"><h3>{title}</h3>\n<ul class="key">'
        '<li><svg class="chart" aria-hidden="true"><path class="whisker" d="M0 6h28"/>'
        '<circle class="dot" cx="14" cy="6" r="6"/></svg>model, with its interval</li>'
        '<li><svg class="chart" aria-hidden="true"><path class="control" d="M14-1 21 6 14 13 7 6z"/></svg>'
        "control: our own solutions through the same metric</li></ul>\n{chart}</div>",
        title=title,
        chart=intervals("pass", title, rows, numbers),
    )


def _infill_chart(infill: Sequence[Infill]) -> Html:
    title = "Infilled lines equal to the truth"
    numbers = table(
        title,
        ("Language", "Exact match", "Interval", "Tasks"),
        (
            (
                row["label"],
                percent(row["exact_match"]),
                between(row["low"], row["high"]),
                count(row["tasks"]),
            )
            for row in infill
        ),
    )
    rows = [(f"{row['label']}, exact match", row["exact_match"], row["low"], row["high"], None) for row in infill]
    return fill(
        '<div class="block"><h3>{title}</h3>\n{chart}</div>',
        title=title,
        chart=intervals("infill", title, rows, numbers),
    )


def steps(report: DemoReport) -> Html:
    """Show seconds and memory of each step, as numbers over bars."""
    steps = report["steps"]
    if not steps:
        return Html("<p>No step was recorded.</p>")
    most_seconds = max(step["seconds"] for step in steps) or 1
    most_memory = max(step["peak_rss_mb"] for step in steps) or 1
    rows = (
        (
            fill(
                "{name}{reused}<code>{summary}</code>",
                name=step["name"],
                reused=Html(' <span class="chip">reused</span>') if step["reused"] else Html(),
                summary=step["summary"],
            ),
            fill("{value}{bar}", value=duration(step["seconds"]), bar=bar(step["seconds"] / most_seconds)),
            fill(
                "{value}{bar}", value=f"{step['peak_rss_mb']:,.0f}{NBSP}MB", bar=bar(step["peak_rss_mb"] / most_memory)
            ),
        )
        for step in steps
    )
    return fill(
        '<div class="steps">{table}</div>',
        table=table("Wall time and peak memory", ("Step", "Time", "Peak memory"), rows),
    )


def versions(report: DemoReport) -> Html:
    """Return the machine, and the versions of what ran on it."""
    machine = report["machine"]
    here = (
        ("Platform", machine["platform"]),
        ("CPU cores", count(machine["cores"])),
        ("Memory", f"{machine['memory_gib']:.1f}{NBSP}GiB"),
        ("bf16 on the CPU", "yes" if machine["bf16"] else "no"),
    )
    return _facts((*here, *sorted(report["versions"].items())))

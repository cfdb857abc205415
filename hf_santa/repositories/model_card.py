"""Write the model's card and its scores for the Hub; every number comes from a results file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from hf_santa.files import read_json
from hf_santa.repositories.write import PACKAGES

LICENSE_LINK = "https://huggingface.co/spaces/bigcode/bigcode-model-license-agreement"
NAME = "SantaCoder, built with hf-santa"


@dataclass(frozen=True)
class CardWords:
    """What the owner of a model says of it: its name, its licence with the address of the text, and what it was made from."""

    title: str = NAME
    license: str = "bigcode-openrail-m"
    license_link: str | None = None
    base_model: str | None = None

    def header(self) -> dict[str, str]:
        """Return the front matter's keys of these."""
        link = self.license_link or (LICENSE_LINK if self.license == "bigcode-openrail-m" else None)
        found = {"license": self.license, "license_link": link, "base_model": self.base_model}
        return {key: value for key, value in found.items() if value}

    def sentence(self) -> str:
        """Return the card's sentence about the licence."""
        link = self.header().get("license_link")
        name = "BigCode OpenRAIL-M v1" if self.license == "bigcode-openrail-m" else self.license
        told = f"[{name}]({link})" if link else f"The weights are under {name}"
        if self.license == "bigcode-openrail-m":
            return f"{told}, which restricts some uses: read it before you use or pass on the model."
        return f"{told}." if not link else f"The weights are under {told}."


def write_model_card(
    model: Path,
    *,
    words: CardWords = CardWords(),
    measures: Mapping[str, Any] | None = None,
    funnel: Mapping[str, Any] | None = None,
    demo: Mapping[str, Any] | None = None,
    results: Sequence[Path] = (),
) -> None:
    """Write README.md, and `.eval_results/` where there are results of Hub benchmarks.

    `words` are its owner's, `measures` is what training wrote, `funnel` what the recipe wrote, `demo` the demo's own results.json, `results`
    files of `hf-santa eval score`. What is not given is not on the card.

    Raises:
        ValueError: a results file cannot be reported.
    """
    from eval_multipl_e.suite.report_hub import eval_results_files, model_index
    from eval_multipl_e.suite.results import read_measured

    rows = read_measured(results)
    index = model_index(rows, words.title) if rows else []
    if demo:
        index = _joined(words.title, index, _demo_index(demo))
    config = read_json(model / "config.json", _CONFIG, "Save the model again.")
    entries = funnel["funnel"] if funnel else []
    languages = [entry["lang"] for entry in entries if entry["lang"] and entry["stages"][-1]["files"]]
    header = {
        **words.header(),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": ["code"],
        **({"programming_language": languages} if languages else {}),
        "tags": [
            "code",
            "santacoder",
            "fill-in-the-middle",
            "multi-query-attention",
            *(["gguf"] if _gguf(model) else []),
        ],
        **({"model-index": index} if index else {}),
    }
    text = Template((PACKAGES / "modeling_santa" / "card.md").read_text()).substitute(
        front_matter=yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120),
        title=words.title,
        trained_how=_trained_how(measures, funnel),
        facts=_facts(config, measures, funnel),
        gguf=_gguf(model),
        scores=_scores(rows, demo, measures),
        languages_told=f"It has seen {_words(languages)} alone." if languages else "It has seen few languages.",
        data_told="Every training file is in the dataset that is named at the top of this page, with its path."
        if funnel
        else "",
        n_positions=f"{config['n_positions']:,}",
        licence_told=words.sentence(),
    )
    (model / "README.md").write_text(text)
    for name, content in eval_results_files(rows).items() if rows else ():
        (model / ".eval_results").mkdir(exist_ok=True)
        (model / ".eval_results" / name).write_text(content)


_CONFIG = dict.fromkeys(("n_layer", "n_head", "n_embd", "n_positions", "vocab_size"), int) | {"multi_query": bool}
MEASURES = {
    "parameters": int,
    "tokens": int,
    "fim_rate": float | int,
    "heldout_files": int,
    "bits_per_byte": float,
    "unigram_bits_per_byte": float,
}
"""What the card tells of a training's `measures.json`: types by key."""
_SHARE = {"value": float, "low": float, "high": float, "tasks": int}
DEMO = {"completions": {"results": [{"problem": int}], "intervals": dict}, "infill_exact_match": {"all": _SHARE}}
"""What the card tells of a demo's `results.json`: types by key."""


def _gguf(model: Path) -> str:
    """Say how to serve the GGUF file beside the weights; empty where there is none."""
    from modeling_santa.editor_config import editor_config
    from modeling_santa.errors_santa import ModelError

    file = next(iter(sorted(model.glob("model-*.gguf"))), None)
    if file is None:
        return ""
    try:
        command = editor_config(model, "llama-server").replace("model.gguf", file.name).strip()
    except ModelError:  # it has no fill-in-the-middle tokens, so it completes only
        return (
            f"## In llama.cpp\n\n`{file.name}` holds the same model for llama.cpp: `llama-server -m {file.name}`.\n\n"
        )
    return (
        f"## In llama.cpp and in editors\n\n`{file.name}` holds the same model for llama.cpp and what is built on it. This serves it for "
        f"llama.vscode and llama.vim, which ask at `/infill`:\n\n```sh\n{command}\n```\n\n"
    )


def _words(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _trained_how(measures: Mapping[str, Any] | None, funnel: Mapping[str, Any] | None) -> str:
    if not measures:
        return ""
    made = f" on the recipe `{funnel['recipe']}` of the dataset that was made with it" if funnel else ""
    return f"It was trained for {measures['tokens']:,} tokens{made}."


def _facts(config: Mapping[str, Any], measures: Mapping[str, Any] | None, funnel: Mapping[str, Any] | None) -> str:
    kind = "multi-query" if config["multi_query"] else "multi-head"
    shape = f"{config['n_layer']} layers, {config['n_head']} heads ({kind}), {config['n_embd']} wide"
    facts = {"shape": f"{shape}, {config['n_positions']:,} learned positions, vocabulary {config['vocab_size']:,}"}
    if measures:
        facts = {
            "parameters": f"{measures['parameters']:,}",
            **facts,
            "trained on": f"{measures['tokens']:,} tokens, fill-in-the-middle rate {measures['fim_rate']}",
            f"bits per byte of {measures['heldout_files']} files that it did not see": f"**{measures['bits_per_byte']:.3f}** "
            f"({_compared(measures['bits_per_byte'], measures['unigram_bits_per_byte'])})",
        }
        if gram := measures.get("baselines", {}).get("five_gram"):
            facts["bits per byte of a 5-gram table of the same tokens"] = f"{gram['bits_per_byte']:.3f}"
    if funnel:
        files = sum(entry["stages"][-1]["files"] for entry in funnel["funnel"])
        facts["training data"] = f"{files:,} files after {_words(funnel['order'])}"
    return "\n".join(f"| {name} | {value} |" for name, value in facts.items())


def _compared(bits: float, unigram_bits: float) -> str:
    """Return how a model compares with one that knows only how often each token comes."""
    fewer = round(100 * (1 - bits / unigram_bits))
    words = f"{fewer} % fewer" if fewer > 0 else f"{-fewer} % more" if fewer < 0 else "no fewer"
    return f"a unigram model of the same tokens: {unigram_bits:.3f}, so {words}"


def _lines_of(measures: Mapping[str, Any]) -> list[str]:
    """Return rows for the single lines of files held back: the model in both orders, and what counting alone is worth."""
    exact, bars = measures.get("exact_match") or {}, measures.get("baselines") or {}
    found = {
        "prefix first": exact.get("psm"),
        "suffix first": exact.get("spm"),
        "for comparison, a 5-gram table of the training tokens": bars.get("five_gram", {}).get("exact_match"),
        "for comparison, always the most frequent training line": bars.get("most_frequent_line", {}).get("exact_match"),
    }
    return [
        f"| single lines of files that it did not see, {name} | exact_match | {one['value']:.3f} | {one['low']:.3f} to "
        f"{one['high']:.3f} | {one['tasks']} |"
        for name, one in found.items()
        if one
    ]


def _scores(rows: Sequence[Any], demo: Mapping[str, Any] | None, measures: Mapping[str, Any] | None) -> str:
    lines = [
        f"| {row.benchmark} | {row.metric} | {row.value:.3f} | {row.low:.3f} to {row.high:.3f} | {row.problems} |"
        for row in rows
    ]
    for benchmark, metric, value, (low, high), problems in _demo_rows(demo) if demo else ():
        lines.append(f"| {benchmark} | {metric} | {value:.3f} | {low:.3f} to {high:.3f} | {problems} |")
    lines += _lines_of(measures) if measures else []
    if not lines:
        return "It has not been measured yet."
    head = "| benchmark | metric | value | 95 % interval | problems |\n|---|---|---|---|---|"
    note = (
        "\n\nThe problems of the demo are a few dozen of our own, for showing that everything works. Their scores compare "
        "with no published ones."
        if demo
        else ""
    )
    return "\n".join([head, *lines]) + note


def _demo_rows(demo: Mapping[str, Any]) -> list[tuple[str, str, float, tuple[float, float], int]]:
    scores, exact = demo["completions"], demo["infill_exact_match"]["all"]
    problems = len({row["problem"] for row in scores["results"]})
    rows = [("demo problems", "exact_match", exact["value"], (exact["low"], exact["high"]), exact["tasks"])]
    if "pass@1" in scores:  # absent where every toolchain is
        rows.insert(0, ("demo problems", "pass@1", scores["pass@1"], tuple(scores["intervals"]["pass@1"]), problems))
    return rows


def _demo_index(demo: Mapping[str, Any]) -> list[dict[str, Any]]:
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="hf-santa-demo-problems",
            dataset_name=f"hf-santa demo problems ({problems} of our own, on no Hub)",
            metric_type=metric,
            metric_value=round(value, 6),
        )
        for _, metric, value, _, problems in _demo_rows(demo)
    ]
    found: list[dict[str, Any]] = eval_results_to_model_index(NAME, results)
    return found


def _joined(title: str, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": title, "results": [result for entry in (*first, *second) for result in entry["results"]]}]

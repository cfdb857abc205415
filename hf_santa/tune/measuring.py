"""Steps `before`, `after` and `baselines`: ask a model, and no model, for the gaps, and grade the answers."""

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_santa.baselines import most_frequent_line
from hf_santa.files import read_json, write_json
from hf_santa.tune.bases import FimBase, open_base
from hf_santa.tune.compare import graded_gap
from hf_santa.tune.gaps import is_trivial, known_lines
from hf_santa.tune.holding import read_lines
from hf_santa.tune.lookup import LineIndex

LINE_TOKENS, BLOCK_TOKENS = 32, 128
BATCH = 8
TIMED = 10  # gaps that are asked one by one to see how long one takes
LEAST_LETTERS = 20  # a shorter line is no sign of learning by heart


def measure_the_base(out: Path, settings: dict[str, Any]) -> str:
    """Measure the base as it is; write `before.json` and `before-latency.json`."""
    return _measured(out, "before", Path(settings["base"]), settings)


def measure_the_model(out: Path, settings: dict[str, Any]) -> str:
    """Measure what was trained; write `after.json` and `after-latency.json`."""
    return _measured(out, "after", out / "model", settings)


def measure_the_baselines(out: Path, settings: dict[str, Any]) -> str:
    """Grade the most frequent line of the training side, and the training line with the most similar surroundings."""
    del settings
    gaps = read_lines(out / "heldout" / "gaps.jsonl")
    texts = [row["content"] for row in read_lines(out / "heldout" / "training.jsonl")]
    line, index = most_frequent_line(texts), LineIndex(texts)
    answers = {"most_frequent_line": [line] * len(gaps), "nearest_line": [index.answer(gap) for gap in gaps]}
    grades = {
        name: [graded_gap(gap, answer) for gap, answer in zip(gaps, given, strict=True)]
        for name, given in answers.items()
    }
    found = {name: {"answers": given, "grades": grades[name]} for name, given in answers.items()}
    write_json(out / "baselines.json", {**found, "line": line})
    words = " ".join(
        f"{name}_similarity={statistics.fmean(grade['edit_similarity'] for grade in given):.3f}"
        for name, given in grades.items()
    )
    return f"lines={len(index.places)} {words}"


def _measured(out: Path, name: str, folder: Path, settings: dict[str, Any]) -> str:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    gaps = read_lines(out / "heldout" / "gaps.jsonl")
    seq_len = read_json(out / "plan.json", {"seq_len": int})["seq_len"]
    base = open_base(folder)
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
    if torch.cuda.is_available():
        model = model.to("cuda")
    answers = answered(model, base, gaps, seq_len)
    costs = costs_of(model, base, gaps, seq_len)
    grades = [graded_gap(gap, answer) | cost for gap, answer, cost in zip(gaps, answers, costs, strict=True)]
    texts = [row["content"] for row in read_lines(out / "heldout" / "training.jsonl")]
    copied = memorised(gaps, answers, texts)
    write_json(out / f"{name}.json", {"answers": answers, "grades": grades, "memorised": copied})
    latency = seconds_a_gap(model, base, gaps, seq_len)
    write_json(out / f"{name}-latency.json", {"median_seconds": latency, "gaps": min(TIMED, len(gaps))})
    del settings
    exact = statistics.fmean(grade["exact_match"] for grade in grades)
    near = statistics.fmean(grade["edit_similarity"] for grade in grades)
    bits = sum(grade["bits"] for grade in grades) / max(1, sum(grade["bytes"] for grade in grades))
    return (
        f"exact_match={exact:.3f} edit_similarity={near:.3f} bits_per_byte={bits:.3f} "
        f"memorised={copied['answers']}/{len(gaps)} median_s={latency:.3f}"
    )


def answered(model: Any, base: FimBase, gaps: Sequence[dict[str, Any]], seq_len: int) -> list[str]:
    """Return a model's greedy answers; those to gaps within a line end with the line, as an editor shows them."""
    found = [""] * len(gaps)
    for is_block in (False, True):
        numbers = [number for number, gap in enumerate(gaps) if (gap["kind"] == "block") == is_block]
        numbers.sort(key=lambda number: len(gaps[number]["prefix"]) + len(gaps[number]["suffix"]))
        for start in range(0, len(numbers), BATCH):
            chosen = numbers[start : start + BATCH]
            given = _asked(model, base, [gaps[number] for number in chosen], seq_len)
            for number, answer in zip(chosen, given, strict=True):
                found[number] = answer
    return found


def seconds_a_gap(model: Any, base: FimBase, gaps: Sequence[dict[str, Any]], seq_len: int) -> float:
    """Return the median time of one answer, asked alone, of some gaps spread over all."""
    chosen = gaps[:: max(1, len(gaps) // TIMED)][:TIMED]
    taken = []
    for gap in chosen:
        start = time.perf_counter()
        _asked(model, base, [gap], seq_len)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _asked(model: Any, base: FimBase, gaps: Sequence[dict[str, Any]], seq_len: int) -> list[str]:
    from eval_multipl_e.suite.completing import AnswerSettings, GapPrompt
    from eval_multipl_e.suite.model import Continuer
    from hf_santa.sampling import model_sampling

    is_block = gaps[0]["kind"] == "block"
    asked = AnswerSettings(
        form=base.form.name,
        temperature=0.0,
        max_new_tokens=min(BLOCK_TOKENS if is_block else LINE_TOKENS, base.context // 2),
    )
    ask = Continuer(model, base.tokenizer, model_sampling(), asked)
    stops = () if is_block else ("\n",)
    prompts = [GapPrompt(*surroundings(gap, seq_len), stops, gap["path"]) for gap in gaps]
    return [each.text for each in ask(prompts)]


def surroundings(gap: dict[str, Any], seq_len: int) -> tuple[str, str]:
    """Return the text before and after a gap, as much as a training sample has: twice as much before as after."""
    return gap["prefix"][-2 * seq_len :], gap["suffix"][:seq_len]


def costs_of(model: Any, base: FimBase, gaps: Sequence[dict[str, Any]], seq_len: int) -> list[dict[str, float]]:
    """Return what each true middle costs a model in bits, token by token after its prompt, and its bytes."""
    import torch

    from eval_multipl_e.suite.fim_forms import encode
    from hf_santa.tune.samples import plain_ids
    from modeling_santa.prompt_santa import fit

    found = []
    for gap in gaps:
        middle = plain_ids(base.tokenizer, gap["middle"])[: base.context // 2]
        room = base.context - len(middle)
        prompt, _ = encode(base.tokenizer, base.form, *surroundings(gap, seq_len), fit, room=room)
        ids = torch.tensor([*prompt, *middle], device=model.device)
        with torch.inference_mode():
            logits = model(ids[None, :-1], use_cache=False).logits[0, len(prompt) - 1 :].float()
        nats = torch.nn.functional.cross_entropy(logits, ids[len(prompt) :], reduction="sum").item()
        is_whole = len(middle) < base.context // 2
        text = gap["middle"] if is_whole else base.tokenizer.decode(middle)
        found.append({"bits": nats / math.log(2), "bytes": float(len(text.encode()))})
    return found


def memorised(gaps: Sequence[dict[str, Any]], answers: Sequence[str], training: Sequence[str]) -> dict[str, int]:
    """Return how many answers have a whole line of the training side in them, and how many 50 characters in a row of it.

    Trivial lines and those of fewer than 20 characters do not count, nor does what stands in the gap itself.
    """
    import numpy as np

    from data_recipes.store.training_index import normalised, passage_hashes

    known = known_lines(training)
    hashes = [passage_hashes(normalised(text)) for text in training]
    passages = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]))
    lines = copies = either = 0
    for gap, answer in zip(gaps, answers, strict=True):
        start = gap["prefix"].rpartition("\n")[2]
        own = {line.strip() for line in (start + gap["middle"]).split("\n")}
        said = [line.strip() for line in (start + answer).split("\n")]
        has_line = any(
            len(line) >= LEAST_LETTERS and line in known and line not in own and not is_trivial(line) for line in said
        )
        found = passage_hashes(normalised(start + answer))
        mine = passage_hashes(normalised(start + gap["middle"]))
        has_passage = bool(np.isin(found, passages).any() and not np.isin(found, mine).all())
        lines, copies, either = lines + has_line, copies + has_passage, either + (has_line or has_passage)
    return {"answers": either, "lines": lines, "passages": copies}

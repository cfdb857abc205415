"""Hold files back from training, and measure a model on them: bits per byte and infilled lines."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eval_multipl_e.scoring_estimator import bootstrap_interval
from eval_multipl_e.suite.infilling import exact_match, single_line_tasks
from modeling_santa.encode_santa import encode_text
from modeling_santa.fim_santa import FimMode, end_ids_of
from modeling_santa.prompt_santa import ordered_ids

CODES = {"Python": "py", "JavaScript": "js", "Java": "java"}
LINE_TOKENS = 32  # longest infilled line
BATCH = 16


def is_held_back(hexsha: str, share: float) -> bool:
    """Tell whether a file is held back: by its hash alone, so the choice survives any change elsewhere.

    >>> is_held_back("00000000", 0.1), is_held_back("ffffffff", 0.1)
    (True, False)
    """
    return int(hexsha[:8], 16) < share * 2**32


def line_tasks(files: Sequence[dict[str, Any]], *, count: int, seed: int) -> list[dict[str, str]]:
    """Return up to `count` tasks that mask one line of code each, spread over the files (hexsha, lang, content)."""
    problems = [
        {
            "name": f["hexsha"],
            "language": CODES[f["lang"]],
            "prompt": "",
            "tests": "",
            "canonical_solution": f["content"],
        }
        for f in sorted(files, key=lambda file: file["hexsha"])
        if f["lang"] in CODES
    ]
    if not problems:
        return []
    tasks = single_line_tasks(problems, per_problem=-(-count // len(problems)), seed=seed)
    keep = np.linspace(0, len(tasks) - 1, min(count, len(tasks))).astype(int).tolist()
    return [tasks[i] for i in keep]


def infilled(model: Any, tokenizer: Any, tasks: Sequence[dict[str, str]], mode: FimMode = "psm") -> list[str]:
    """Return the model's greedy middle of each task."""
    gaps = [(task["prefix"], task["suffix"]) for task in tasks]
    order = sorted(range(len(gaps)), key=lambda i: sum(map(len, gaps[i])))
    found = [""] * len(gaps)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        middles = model.infill(
            tokenizer,
            [gaps[i][0] for i in chosen],
            [gaps[i][1] for i in chosen],
            mode=mode,
            max_new_tokens=LINE_TOKENS,
            allow_truncated=True,
        )
        for i, middle in zip(chosen, middles, strict=True):
            found[i] = str(middle)
    return found


def graded(model: Any, tokenizer: Any, tasks: Sequence[dict[str, str]], mode: FimMode) -> dict[str, float]:
    """Return how near a model is to the true middles, in finer steps than a hit or a miss.

    Each true middle is read token by token after the prompt that `infilled` builds in the given mode: `bits_per_byte` is what
    it costs, `token_accuracy` the share of its tokens that are the likeliest, `stops` the share of middles after which the
    end is.
    """
    if not tasks:
        return {}
    bits, stops, rights, tokens, size = 0.0, 0, 0, 0, 0
    ends = set(end_ids_of(tokenizer))
    for task in tasks:
        middle = encode_text(tokenizer, task["middle"])[: model.config.n_positions // 2]
        before, after = (encode_text(tokenizer, task[side]) for side in ("prefix", "suffix"))
        # The same room as for an answer: a model can learn at which position of its context texts end.
        room = model.config.n_positions - max(LINE_TOKENS, len(middle))
        prompt = ordered_ids(tokenizer, before, after, room, mode=mode)
        ids = torch.tensor([*prompt, *middle], device=model.device)
        with torch.inference_mode():
            logits = model(ids[None], use_cache=False).logits[0, len(prompt) - 1 :].float()
        wanted, likeliest = ids[len(prompt) :], logits.argmax(dim=1).tolist()
        bits += torch.nn.functional.cross_entropy(logits[:-1], wanted, reduction="sum").item() / math.log(2)
        rights += sum(a == b for a, b in zip(likeliest, wanted.tolist(), strict=False))
        stops += likeliest[-1] in ends
        tokens += len(middle)
        size += len(tokenizer.decode(middle).encode())
    return {
        "bits_per_byte": bits / max(1, size),
        "token_accuracy": rights / max(1, tokens),
        "stops": stops / len(tasks),
        "tasks": len(tasks),
    }


def told(found: dict[str, float]) -> str:
    """Return the figures of `graded` in a line."""
    if not found:
        return "middles=0"
    return (
        f"middle_bits_per_byte={found['bits_per_byte']:.3f} token_accuracy={found['token_accuracy']:.3f} "
        f"stops={found['stops']:.3f}"
    )


def hits_of(tasks: Sequence[dict[str, str]], middles: Sequence[str]) -> list[float]:
    """Return 1.0 for each middle equal to its line, whitespace at both ends aside, else 0.0."""
    return [exact_match([middle], [task["middle"]]) for task, middle in zip(tasks, middles, strict=True)]


def share_of(hits: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Return the share of hits with its 95 % interval and the number of tasks."""
    low, high = bootstrap_interval(hits, seed=seed)
    return {"value": sum(hits) / len(hits), "low": low, "high": high, "tasks": len(hits)}


def loss_of(model: Any, windows: npt.NDArray[np.int64]) -> float:
    """Return the cost in nats of all but the first token of the windows, left to right."""
    nats = 0.0
    with torch.inference_mode():
        for start in range(0, len(windows), BATCH):
            ids = torch.from_numpy(windows[start : start + BATCH]).to(model.device)
            logits = model(ids[:, :-1], use_cache=False).logits.float()
            nats += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
            ).item()
    return nats


def bits_per_byte(nats: float, windows: npt.NDArray[np.int64], bytes_of: Sequence[bytes]) -> float:
    """Return nats as bits for each byte of text that the windows stand for."""
    lengths = np.array([len(piece) for piece in bytes_of])
    return nats / math.log(2) / int(lengths[windows[:, 1:]].sum())

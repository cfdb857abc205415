"""Complete a task into a file, batch by batch, so that a killed run can go on."""

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.chat import ChatRequest, code_of_answer
from eval_multipl_e.suite.shards import Shard, digest, read_settings, settings_path, write_whole


@dataclass(frozen=True)
class GapPrompt:
    """What to continue: a text, a suffix if a gap is to be filled, texts that stop it, and the key of its draws."""

    text: str
    suffix: str | None
    stops: tuple[str, ...]
    key: str
    problem: Mapping[str, Any] | None = None  # where a chat model is asked


@dataclass(frozen=True)
class Continued:
    """A continuation without its stop; `end` is "token", "stop" or "length", `left_out` counts prompt tokens cut.

    Of a chat model, `how` says what its code is (see `ChatCode`), and `answer` is all that it said.
    """

    text: str
    end: str
    left_out: int
    how: str = ""
    answer: str = ""


@dataclass(frozen=True)
class AnswerSettings:
    """How a model is asked.

    Attributes:
        form: How a gap is told to the model: `auto`, a name of `fim_forms.FORMS`, or a file; see `fim_forms.form_of`.
        chat: Ask as a chat model is asked; None continues text.
        temperature: 0 takes the likeliest token.
        top_p: The share of the likeliest tokens that is drawn from, above 0 and at most 1.
        max_new_tokens: The longest answer, in tokens.

    Raises:
        EvalError: a number is outside its range.
    """

    form: str = "auto"
    chat: ChatRequest | None = None
    temperature: float = 0.2
    top_p: float = 0.95
    max_new_tokens: int = 512

    def __post_init__(self) -> None:
        if not self.temperature >= 0 or not 0 < self.top_p <= 1:
            raise EvalError(
                f"temperature={self.temperature} and top_p={self.top_p}: give 0 (greedy) or more, and 0 < top_p <= 1."
            )
        if self.max_new_tokens < 1:
            raise EvalError(f"max_new_tokens={self.max_new_tokens} is below 1.")


def of_answer(answer: str, prompt: GapPrompt, end: str) -> Continued:
    """Return the code of a chat model's answer as the continuation of its prompt."""
    code = code_of_answer(answer, prompt.problem or {})
    return Continued(code.text, end, 0, how=code.how, answer=answer)


Continue = Callable[[Sequence[GapPrompt]], Sequence[Continued]]


def complete_to_file(
    problems: Sequence[Mapping[str, Any]],
    continue_batch: Continue,
    out: Path,
    *,
    settings: Mapping[str, Any],
    n: int,
    batch_size: int,
    seed: int = 0,
    shard: Shard | None = None,
    tell: Callable[[int], object] = lambda _: None,
) -> dict[str, int]:
    """Complete a shard's batches into `out`, one row a sample, and go on where an earlier run stopped.

    The items, n samples of each problem in order, are cut into batches before shards take every n-th batch: a batch
    is the same in every shard and after every kill, so that the bytes are, too. `settings` and these arguments are
    kept beside the file; a file begun with others is refused. Returns how many rows there are, were there before, and
    were cut at the length limit. `tell` gets the number of rows after each batch.
    """
    if n < 1 or batch_size < 1:
        raise EvalError(f"n={n} and batch_size={batch_size}. Both must be 1 or more.")
    part = shard or Shard()
    whole = {
        **settings,
        "n": n,
        "batch_size": batch_size,
        "seed": seed,
        "problems": len(problems),
        "problems_sha256": digest(problems),
        "shard": [part.index, part.count],
    }
    items = [(problem, sample) for problem in problems for sample in range(n)]
    starts = range(0, len(items), batch_size)
    batches = [items[starts[i] : starts[i] + batch_size] for i in part.of(len(starts))]
    out.parent.mkdir(parents=True, exist_ok=True)
    _check_settings(out, whole)
    handle = os.open(out, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _lock(handle, out)
        done, rows = _kept(handle, out, batches)
        before, tally = len(rows), [row["end"] for row in rows]
        tell(before)
        for batch in batches[done:]:
            found = continue_batch([_prompt(problem, sample, seed) for problem, sample in batch])
            rows = [_row(*item, text) for item, text in zip(batch, found, strict=True)]
            _append(handle, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            tally += [row["end"] for row in rows]
            tell(len(rows))
    finally:
        os.close(handle)
    return {"rows": len(tally), "kept": before, "cut": tally.count("length")}


def _prompt(problem: Mapping[str, Any], sample: int, seed: int) -> GapPrompt:
    key = f"{seed}/{problem['language']}/{problem['name']}/{sample}"
    asked = problem.get("context", "") + problem["prompt"]
    return GapPrompt(asked, problem.get("suffix"), tuple(problem["stop_tokens"]), key, problem)


def _row(problem: Mapping[str, Any], sample: int, found: Continued) -> dict[str, Any]:
    row = {
        "name": problem["name"],
        "language": problem["language"],
        "sample": sample,
        # A lone surrogate, which no file can hold, stands for bytes that are no text.
        "completion": found.text.encode("utf-8", "replace").decode(),
        "end": found.end,
    }
    if found.how:
        row |= {"chat": found.how, "answer": found.answer.encode("utf-8", "replace").decode()}
    return {**row, "prompt_tokens_left_out": found.left_out} if found.left_out else row


def _check_settings(out: Path, wanted: Mapping[str, Any]) -> None:
    found = read_settings(out)
    if found is None:
        if out.exists() and out.stat().st_size:
            raise EvalError(
                f"{out} is there, but not its {settings_path(out).name}: how it was made is unknown. Give another --out."
            )
        write_whole(settings_path(out), json.dumps(wanted, indent=2) + "\n")
        return
    different = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if different:
        name = different[0]
        raise EvalError(
            f"{out} was begun with {name}={found.get(name)!r}, and now it is {wanted.get(name)!r}. Give another --out, or "
            "the same settings to go on."
        )


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise EvalError(f"{out} is being written by another process. Wait for it, or give another --out.") from error


def _kept(handle: int, out: Path, batches: Sequence[Sequence[Any]]) -> tuple[int, list[dict[str, Any]]]:
    """The number of whole batches in the file and their rows; what a kill left of a batch after them is cut off."""
    data = out.read_bytes()
    rows: list[dict[str, Any]] = []
    done = size = at = 0
    lines = data.split(b"\n")[:-1]  # what follows the last end of line is a row cut short, or nothing
    for batch in batches:
        if at + len(batch) > len(lines):
            break
        found = [_parsed(line, out, at + i + 1) for i, line in enumerate(lines[at : at + len(batch)])]
        for i, (row, (problem, sample)) in enumerate(zip(found, batch, strict=True)):
            wanted = (problem["language"], problem["name"], sample)
            if (row.get("language"), row.get("name"), row.get("sample")) != wanted:
                raise EvalError(f"Line {at + i + 1} of {out} is not {wanted}, which comes there. Give another --out.")
        size += sum(len(line) + 1 for line in lines[at : at + len(batch)])
        at += len(batch)
        rows += found
        done += 1
    if done == len(batches) and size != len(data):
        raise EvalError(f"{out} goes on after its last row. Something else wrote to it; give another --out.")
    os.ftruncate(handle, size)
    return done, rows


def _parsed(line: bytes, out: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EvalError(
            f"Line {number} of {out} is no JSON. Something else wrote to it; give another --out."
        ) from error
    return row if type(row) is dict else {}


def _append(handle: int, text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)

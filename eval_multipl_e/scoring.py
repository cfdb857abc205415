"""Build programs from completions, run them, and score them by pass@k."""

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .errors import EvalError
from .execution import MODES, STATUSES, Outcome, toolchain_problem
from .execution_batch import SPEEDS, BatchSettings, Progress, run_all, usable_processors
from .execution_cache import KeptOutcomes
from .languages import language_of
from .sandbox import resolve
from .scoring_estimator import mean_scores, pass_at_k
from .toolchains import missing_tool

DEFAULT_KS = (1, 10, 100)
GATE = "HF_ALLOW_CODE_EVAL"


@dataclass(frozen=True)
class _Item:
    problem: int
    completion: int
    language: str
    program: str


def score(
    predictions: Sequence[Sequence[str]],
    references: Sequence[str],
    languages: Sequence[str],
    *,
    prompts: Sequence[str] | None = None,
    k: int | Sequence[int] | None = None,
    num_workers: int | None = None,
    timeout_s: float | None = None,
    mode: str = "strict",
    sandbox: str = "auto",
    seed: int = 0,
    cache_dir: str | None = None,
    speed: str = "warm",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run every completion with its tests and return pass@k, overall and by language, with a row for each program.

    A program is prompt + completion + newline + tests, and identical ones are run once. With `cache_dir` outcomes are
    kept there, and a program that was run before by the same toolchain is not run again. `speed="cold"` builds every
    program with MultiPL-E's own command in place of a compiler kept warm. Problems whose toolchain is missing are not scored; they are
    named in a warning and in `missing_toolchains`. `k=None` stands for those of 1, 10 and 100 that there are enough
    completions for; a k given by the caller must not exceed the completions of any problem. `progress` is called with the
    number of programs that are done and of all to be run, from one worker's thread at a time.
    """
    check_gate()
    _check_columns(predictions, references, languages, prompts)
    ks = _check_ks(k, min(len(row) for row in predictions))
    way = _check_run(mode, num_workers, sandbox, speed)
    items = [
        _Item(i, j, languages[i], f"{prompts[i] if prompts is not None else ''}{completion}\n{references[i]}")
        for i, row in enumerate(predictions)
        for j, completion in enumerate(row)
    ]
    settings = BatchSettings(mode, way, timeout_s, num_workers or usable_processors(), speed)
    codes = list(dict.fromkeys(languages))
    kept = KeptOutcomes(cache_dir, mode)
    try:
        lacking = _lacking(items, settings, sandbox, kept)
        done, found = run_all([(item.language, item.program) for item in items], lacking, settings, kept, progress)
        versions = {code: kept.version(language_of(code)) for code in codes}
    finally:
        kept.close()
    outcomes = [done[item.language, item.program] for item in items]
    missing = _missing(items, outcomes, lacking)
    for row in missing:
        warnings.warn(str(row["message"]), RuntimeWarning, stacklevel=2)
    scores, intervals = _scores(items, outcomes, ks, seed)
    return {
        **scores,
        "intervals": intervals,
        "counts": {"all": _counts(outcomes), **{code: _counts(_of(items, outcomes, code)) for code in codes}},
        "missing_toolchains": missing,
        "toolchains": versions,
        "mode": mode,
        "sandbox": way,
        "results": [
            {
                **_row(item, outcome),
                "cached": (item.language, item.program) in found,
                "toolchain": versions[item.language],
            }
            for item, outcome in zip(items, outcomes, strict=True)
        ],
    }


def check_gate() -> None:
    """Refuse to run programs unless the user has said that they may be run."""
    if os.environ.get(GATE) != "1":
        raise EvalError(
            f"eval_multipl_e: {GATE} is not set to 1. This metric builds and runs programs written by a model, and "
            "such a program may do harm. They run in a sandbox without network, home folder or privileges, yet no "
            f"sandbox is perfect. When you accept that, set {GATE}=1."
        )


def _check_columns(
    predictions: Sequence[Sequence[str]],
    references: Sequence[str],
    languages: Sequence[str],
    prompts: Sequence[str] | None,
) -> None:
    columns = {"predictions": predictions, "references": references, "languages": languages}
    if prompts is not None:
        columns["prompts"] = prompts
    for name, column in columns.items():
        if column is None or isinstance(column, str | bytes | Mapping):
            kind = type(column).__name__
            raise EvalError(f"eval_multipl_e: {name} is {kind}, not a list. Give one entry for each problem.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise EvalError(f"eval_multipl_e: {found}. Give one of each for every problem.")
    if len(predictions) == 0:
        raise EvalError("eval_multipl_e: predictions is empty. Give at least one problem with one completion.")
    for code in dict.fromkeys(languages):
        language_of(code)
    _check_texts("references", references)
    _check_texts("prompts", prompts if prompts is not None else [])
    for i, row in enumerate(predictions):
        _check_completions(i, row)


def _check_completions(i: int, row: Sequence[str]) -> None:
    if row is None or isinstance(row, str | bytes | Mapping):
        kind = type(row).__name__
        raise EvalError(f"eval_multipl_e: predictions[{i}] is {kind}, not a list. Give a list of completions.")
    if len(row) == 0:
        raise EvalError(f"eval_multipl_e: predictions[{i}] is empty. Give at least one completion for each problem.")
    _check_texts(f"predictions[{i}]", row)


def _check_texts(name: str, texts: Sequence[str]) -> None:
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        kind = type(texts[wrong]).__name__
        raise EvalError(f"eval_multipl_e: {name}[{wrong}] is {kind}, not text. Give text, if need be an empty one.")


def _check_ks(k: int | Sequence[int] | None, n: int) -> list[int]:
    if k is None:
        return [each for each in DEFAULT_KS if each <= n]
    ks = [k] if isinstance(k, int) else list(k)
    if not ks:
        raise EvalError("eval_multipl_e: k is empty. Give one or more of 1, 10, 100 …, or None.")
    for each in ks:
        if isinstance(each, bool) or not isinstance(each, int) or each < 1:
            raise EvalError(f"eval_multipl_e: k={each!r} is no positive whole number.")
        if each > n:
            raise EvalError(
                f"eval_multipl_e: k={each} exceeds the {n} completions that the problem with the fewest has. "
                f"Draw at least {each} completions for each problem, lower k, or pass k=None."
            )
    return sorted(set(ks))


def _check_run(mode: str, num_workers: int | None, sandbox: str, speed: str) -> str:
    if speed not in SPEEDS:
        raise EvalError(f"eval_multipl_e: speed={speed!r} is unknown. Use 'warm' or 'cold'.")
    if mode not in MODES:
        raise EvalError(f"eval_multipl_e: mode={mode!r} is unknown. Use 'strict' or 'compat'.")
    if num_workers is not None and num_workers < 1:
        raise EvalError(f"eval_multipl_e: num_workers={num_workers} is below 1. Give 1 or more, or None.")
    return resolve(sandbox)


def _lacking(items: Sequence[_Item], settings: BatchSettings, sandbox: str, kept: KeptOutcomes) -> dict[str, str]:
    """What is wrong with the toolchain of each language that has a program to run; kept outcomes need none."""
    every = dict.fromkeys(item.language for item in items)
    codes = {code for code in every if missing_tool(language_of(code))}
    for item in items:
        if item.language not in codes and not _is_kept(item, settings, kept):
            codes.add(item.language)
    with ThreadPoolExecutor(settings.num_workers) as pool:
        said = pool.map(lambda code: toolchain_problem(code, sandbox), codes)
        return {code: problem for code, problem in zip(codes, said, strict=True) if problem is not None}


def _is_kept(item: _Item, settings: BatchSettings, kept: KeptOutcomes) -> bool:
    language = language_of(item.language)
    return kept.get(language, kept.key(language, item.program, settings.limit_s(item.language))) is not None


def _missing(items: Sequence[_Item], outcomes: Sequence[Outcome], lacking: Mapping[str, str]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], set[int]] = {}
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome.status == "ToolMissing":
            rows.setdefault((item.language, outcome.reason), set()).add(item.problem)
    return [
        {
            "language": code,
            "message": message,
            "problems": len(problems),
            "whole_language": code in lacking,
        }
        for (code, message), problems in rows.items()
    ]


def _scores(
    items: Sequence[_Item], outcomes: Sequence[Outcome], ks: Sequence[int], seed: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    passed: dict[int, list[bool]] = {}
    left_out: set[int] = set()
    language = {item.problem: item.language for item in items}
    for item, outcome in zip(items, outcomes, strict=True):
        passed.setdefault(item.problem, []).append((outcome.status, outcome.exit_code) == ("OK", 0))
        if outcome.status == "ToolMissing":
            left_out.add(item.problem)
    scored = [problem for problem in passed if problem not in left_out]
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for k in ks:
        values = [(language[p], pass_at_k(len(passed[p]), sum(passed[p]), k)) for p in scored]
        means, ranges = mean_scores(f"pass@{k}", values, seed=seed)
        scores |= means
        intervals |= ranges
    return scores, intervals


def _of(items: Sequence[_Item], outcomes: Sequence[Outcome], code: str) -> list[Outcome]:
    return [outcome for item, outcome in zip(items, outcomes, strict=True) if item.language == code]


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    found = [outcome.status for outcome in outcomes]
    return {"programs": len(found), **{status: found.count(status) for status in STATUSES if status in found}}


def _row(item: _Item, outcome: Outcome) -> dict[str, Any]:
    return {
        "problem": item.problem,
        "completion": item.completion,
        "language": item.language,
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "reason": outcome.reason,
        "stdout": outcome.stdout,
        "stderr": outcome.stderr,
        "seconds": outcome.seconds,
        "control": outcome.control,
    }

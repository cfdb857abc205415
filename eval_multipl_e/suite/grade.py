"""Grade the completions of a task: run programs, compare infilled lines and docstrings."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.execution import STATUSES
from eval_multipl_e.scoring import DEFAULT_KS, score
from eval_multipl_e.scoring_estimator import mean_scores, pass_at_k
from eval_multipl_e.suite.docstrings import first_sentence_line, sentence_bleu
from eval_multipl_e.suite.infilling import MATCH_MODES, exact_match, infilled_program
from eval_multipl_e.suite.problems import WholeProgram
from eval_multipl_e.suite.shards import Shard, digest
from eval_multipl_e.suite.unsatisfiable import unsatisfiable

Rows = Sequence[Mapping[str, Any]]


def mark(
    kind: str,
    problems: Rows,
    completions: Sequence[Sequence[str]],
    *,
    shard: Shard | None = None,
    k: Sequence[int] | None = None,
    seed: int = 0,
    is_run: bool = True,
    **running: Any,
) -> dict[str, Any]:
    """Return the scores of a task's completions, one list a problem, with a row for each.

    A shard marks every n-th problem; `merged_marks` puts shards together to the same numbers. With `is_run=False`
    infilled lines are compared and not run. `running` goes to `score`.
    """
    part = shard or Shard()
    own = list(part.of(len(problems)))
    if not own:
        raise EvalError(f"shard {part.index}/{part.count} of {len(problems)} problems is empty. Use fewer shards.")
    ks = _ks(k, completions) if kind != "docstring" and is_run else []
    about: dict[str, Any] = {
        "kind": kind,
        "shard": [part.index, part.count],
        "problems": len(problems),
        "problems_sha256": digest(problems),
        "completions_sha256": digest([{"texts": list(texts)} for texts in completions]),
        "k": ks,
        "seed": seed,
    }
    chosen = [(problems[i], completions[i]) for i in own]
    if kind == "docstring":
        rows = [_docstring_row(*pair) for pair in chosen]
        ran: dict[str, Any] = {}
    else:
        ran = _run(kind, chosen, ks, seed, running) if is_run else {}
        rows = ran.pop("results") if is_run else [[{"completion": j} for j in range(len(texts))] for _, texts in chosen]
        if kind == "infill":
            rows = [_infill_rows(*pair, row) for pair, row in zip(chosen, rows, strict=True)]
    results = [
        {"name": problems[i]["name"], "language": problems[i]["language"], **row, "problem": i}
        for i, found in zip(own, rows, strict=True)
        for row in found
    ]
    if ks and (names := unsatisfiable(problems)):
        about["unsatisfiable"] = names
    about |= {name: ran[name] for name in ("toolchains", "mode", "sandbox") if name in ran}
    whole = {row["language"] for row in ran.get("missing_toolchains", []) if row["whole_language"]}
    return summed(results, about, whole)


def summed(results: list[dict[str, Any]], about: Mapping[str, Any], whole: set[str]) -> dict[str, Any]:
    """Return scores, intervals and counts of marked rows; `whole` names the languages that no toolchain was there for."""
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for name, values, scale in _columns(results, about["k"]):
        means, ranges = mean_scores(name, values, seed=about["seed"])
        scores |= {key: scale * value for key, value in means.items()}
        intervals |= {key: [scale * end for end in ends] for key, ends in ranges.items()}
    out = {**scores, "intervals": intervals, **about}
    if any("status" in row for row in results):
        codes = dict.fromkeys(row["language"] for row in results)
        of = {code: [row["status"] for row in results if row["language"] == code] for code in codes}
        everything = [row["status"] for row in results]
        out["counts"] = {name: _counts(found) for name, found in {"all": everything, **of}.items()}
        out["missing_toolchains"] = _missing(results, whole)
    return {**out, "results": results}


def _columns(results: Rows, ks: Sequence[int]) -> list[tuple[str, list[tuple[str, float]], float]]:
    """What there is a mean of: (name, (language, value) of each problem, factor)."""
    by_problem: dict[int, list[Mapping[str, Any]]] = {}
    for row in results:
        by_problem.setdefault(row["problem"], []).append(row)
    groups = list(by_problem.values())
    columns = []
    runnable = [group for group in groups if all(row.get("status", "ToolMissing") != "ToolMissing" for row in group)]
    for k in ks:
        passed = [sum((row["status"], row["exit_code"]) == ("OK", 0) for row in group) for group in runnable]
        values = [
            (group[0]["language"], pass_at_k(len(group), count, k))
            for group, count in zip(runnable, passed, strict=True)
        ]
        columns.append((f"pass@{k}", values, 1.0))
    for name, scale in (*((f"exact_match/{mode}", 1.0) for mode in MATCH_MODES), ("bleu", 100.0)):
        if name in results[0]:
            means = [(group[0]["language"], sum(row[name] for row in group) / len(group)) for group in groups]
            columns.append((name, means, scale))
    return columns


def _ks(k: Sequence[int] | None, completions: Sequence[Sequence[str]]) -> list[int]:
    n = min(map(len, completions))
    ks = sorted({each for each in DEFAULT_KS if each <= n} if k is None else set(k))
    if ks and ks[-1] > n:
        raise EvalError(f"k={ks[-1]} exceeds the {n} completions of the problem with the fewest. Lower k.")
    return ks


def _run(
    kind: str, chosen: Sequence[tuple[Mapping[str, Any], Sequence[str]]], ks: Sequence[int], seed: int, running: Any
) -> dict[str, Any]:
    texts = [[_program(kind, problem, text) for text in found] for problem, found in chosen]
    ran = score(
        texts,
        [problem["tests"] for problem, _ in chosen],
        [problem["language"] for problem, _ in chosen],
        k=list(ks),
        seed=seed,
        **running,
    )
    rows: list[list[dict[str, Any]]] = [[] for _ in chosen]
    for row in ran["results"]:
        rows[row["problem"]].append(row)
    return {**ran, "results": rows}


def _program(kind: str, problem: Mapping[str, Any], text: str) -> str:
    """What runs before the tests: the prompt with its completion, unless that stands for both."""
    prelude = str(problem.get("prelude", ""))
    if isinstance(text, WholeProgram):
        return prelude + text
    return prelude + str(problem["prompt"]) + (infilled_program(problem, text) if kind == "infill" else text)


def _infill_rows(problem: Mapping[str, Any], texts: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    return [
        {
            **row,
            **{f"exact_match/{mode}": exact_match([text], [problem["middle"]], mode) for mode in MATCH_MODES},
            "generated": text,
            "middle": problem["middle"],
        }
        for text, row in zip(texts, rows, strict=True)
    ]


def _docstring_row(problem: Mapping[str, Any], texts: Sequence[str]) -> list[dict[str, Any]]:
    lines = [first_sentence_line(text) for text in texts]
    return [
        {
            "completion": j,
            "bleu": sentence_bleu(line, problem["reference"]),
            "generated": line,
            "reference": problem["reference"],
        }
        for j, line in enumerate(lines)
    ]


def _counts(found: Sequence[str]) -> dict[str, int]:
    return {"programs": len(found), **{status: found.count(status) for status in STATUSES if status in found}}


def _missing(results: Rows, whole: set[str]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], set[int]] = {}
    for row in results:
        if row["status"] == "ToolMissing":
            rows.setdefault((row["language"], row["reason"]), set()).add(row["problem"])
    return [
        {"language": code, "message": message, "problems": len(found), "whole_language": code in whole}
        for (code, message), found in rows.items()
    ]

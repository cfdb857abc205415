"""Read problems in MultiPL-E's form, and complete them with any function that continues text."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError

# Rows as MultiPL-E publishes them: name, language, prompt, tests, stop_tokens, and more that nothing here needs.
Problem = Mapping[str, Any]
Generate = Callable[[list[str], int], Sequence[Sequence[str]]]

_TEXTS = ("name", "language", "prompt")


class WholeProgram(str):
    """A completion that stands for its prompt, too: a chat model wrote it from the first line."""

    __slots__ = ()


def read_problems(path: str | Path) -> list[dict[str, Any]]:
    """Return the problems of a JSON-lines file, each checked to have the fields that completing and scoring need."""
    return checked_problems(read_rows(path), str(path))


def read_completions(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a completions file: name, language, and a list of completions.

    A file with a row for each sample, as `hf-santa eval complete` writes it, is put together by problem.
    """
    rows = read_rows(path)
    if "completion" in rows[0]:
        return _by_problem(rows, str(path))
    for number, row in enumerate(rows, 1):
        texts = row.get("completions")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise EvalError(
                f"Row {number} of {path}: 'completions' is no list of texts. Give one list for each problem."
            )
        _check_texts(row, ("name", "language"), number, str(path))
    return rows


def cut_at_stop(text: str, stop_tokens: Sequence[str]) -> str:
    r"""Return the text up to the first place where any stop token begins.

    >>> cut_at_stop("    return 1\n\ndef g():", ["\ndef", "\n#"])
    '    return 1\n'
    """
    return text[: min((at for stop in stop_tokens if stop and (at := text.find(stop)) >= 0), default=len(text))]


def complete(
    problems: Iterable[Problem], generate: Generate, *, n: int = 1, batch_size: int = 8, cut: bool = True
) -> list[dict[str, Any]]:
    r"""Return rows of a completions file: n completions for each problem, cut at the problem's stop tokens.

    `generate(prompts, n)` gives, for each prompt, n continuations without the prompt.

    >>> problem = {"name": "one", "language": "py", "prompt": "def one():\n", "tests": "", "stop_tokens": ["\ndef"]}
    >>> complete([problem], lambda prompts, n: [["    return 1\ndef two"] * n for _ in prompts])
    [{'name': 'one', 'language': 'py', 'completions': ['    return 1']}]
    """
    if n < 1 or batch_size < 1:
        raise EvalError(f"complete: n={n} and batch_size={batch_size}. Both must be 1 or more.")
    rows = checked_problems([dict(problem) for problem in problems], "problems")
    done = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        texts = generate([row["prompt"] for row in batch], n)
        counts = [len(each) for each in texts]
        if counts != [n] * len(batch):
            raise EvalError(
                f"complete: generate gave {counts} texts for {len(batch)} prompts and n={n}. Give n for each."
            )
        for row, each in zip(batch, texts, strict=True):
            stops = row["stop_tokens"] if cut else []
            cuts = [cut_at_stop(text, stops) for text in each]
            done.append({"name": row["name"], "language": row["language"], "completions": cuts})
    return done


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file, gzipped or not; an error names the line that is none."""
    rows = []
    # split at "\n" only: a JSON string may hold U+2028, at which splitlines would cut.
    for number, line in enumerate(_text_of(Path(path)).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise EvalError(f"Line {number} of {path} is no JSON: {error}. Give one object a line.") from error
        if type(row) is not dict:
            raise EvalError(f"Line {number} of {path} is {type(row).__name__}. Give one JSON object a line.")
        rows.append(row)
    if not rows:
        raise EvalError(f"{path} holds no rows. Give one JSON object a line.")
    return rows


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (EOFError, OSError, zlib.error) as error:
        raise EvalError(f"{path} is a damaged gzip file: {error}. Get it again.") from error
    except UnicodeDecodeError as error:
        raise EvalError(f"{path} is no UTF-8 text: {error}. Give JSON lines.") from error


def checked_problems(rows: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return the rows, each with the texts it needs, a list of stop tokens, and a name that no other has."""
    seen: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, 1):
        _check_texts(row, (*_TEXTS, "reference" if "reference" in row else "tests"), number, where)
        stops = row.setdefault("stop_tokens", [])
        if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
            raise EvalError(f"Row {number} of {where}: 'stop_tokens' is no list of texts.")
        key = (row["language"], row["name"])
        if key in seen:
            raise EvalError(f"Rows {seen[key]} and {number} of {where} are both {key}. Each problem may occur once.")
        seen[key] = number
    return rows


def _by_problem(rows: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[int, str]] = {}
    for number, row in enumerate(rows, 1):
        _check_texts(row, ("name", "language", "completion"), number, where)
        samples = found.setdefault((row["language"], row["name"]), {})
        sample = row.get("sample")
        if not isinstance(sample, int) or sample in samples:
            raise EvalError(
                f"Row {number} of {where} is sample {sample!r} of {row['name']!r}, and each may occur once, by number. "
                "Complete again into a new file."
            )
        samples[sample] = (WholeProgram if row.get("chat") == "program" else str)(row["completion"])
    for (_, name), samples in found.items():
        lacking = sorted(set(range(max(map(len, found.values())))) - samples.keys())
        if lacking:
            raise EvalError(
                f"{where} lacks sample {lacking[0]} of {name!r}. Let `hf-santa eval complete` finish, or merge all shards."
            )
    return [
        {"name": name, "language": language, "completions": [samples[i] for i in sorted(samples)]}
        for (language, name), samples in found.items()
    ]


def _check_texts(row: Problem, fields: Sequence[str], number: int, where: str) -> None:
    name = next((name for name in fields if not isinstance(row.get(name), str)), None)
    if name is not None:
        seen = type(row[name]).__name__ if name in row else "absent"
        found = ", ".join(sorted(row)) or "none"
        raise EvalError(
            f"Row {number} of {where}: {name!r} is {seen}, and text is needed. Fields found: {found}. "
            "MultiPL-E's schema is expected."
        )

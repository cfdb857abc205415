"""Measure what counting alone achieves on held-back files: the bars that a trained model must pass."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hf_santa.measures import LINE_TOKENS, hits_of, share_of

ORDER = 5
MOST_TOKENS = 50_000_000  # the table of a longer stream is made of its first so many; 4 GB at most
MOST_LINES = 5_000_000


def baselines(
    tokens: Any,
    tokenizer: Any,
    windows: Any,
    *,
    size: int,
    tasks: Sequence[dict[str, str]],
    texts: Iterable[str],
) -> dict[str, Any]:
    """Return what an n-gram table of the training tokens and copying the most frequent training line are worth.

    Args:
        tokens: The training stream.
        tokenizer: The `tokenizers.Tokenizer` it was packed with.
        windows: Token windows of the held-back files, (rows, length).
        size: The bytes of text that all but the first token of the windows stand for.
        tasks: Lines to infill, as of `line_tasks`.
        texts: The training files.
    """
    from modeling_santa.corpus.ngrams import NgramTable

    table = NgramTable(tokens[:MOST_TOKENS], tokenizer.get_vocab_size(with_added_tokens=True), ORDER)
    line = most_frequent_line(texts)
    breaks = line_breaks(tokenizer)
    lines = [line_after(table, tokenizer, task["prefix"], breaks) for task in tasks]
    return {
        "five_gram": {
            "bits_per_byte": float(table.bits(windows).sum()) / size,
            "exact_match": share_of(hits_of(tasks, lines)) if tasks else None,
        },
        "most_frequent_line": {
            "line": line,
            "exact_match": share_of(hits_of(tasks, [line] * len(tasks))) if tasks else None,
        },
    }


def most_frequent_line(texts: Iterable[str]) -> str:
    r"""Return the line, blanks at both ends aside, that stands most often in the texts; it has a letter or a digit in it.

    >>> most_frequent_line(["return x\n}\n", "}\n  return x", "}"])
    'return x'
    """
    counts: Counter[str] = Counter()
    left = MOST_LINES
    for text in texts:
        lines = [line.strip() for line in text.split("\n")[:left]]
        counts.update(line for line in lines if any(map(str.isalnum, line)))
        left -= len(lines)
        if left <= 0:
            break
    return min(counts, key=lambda line: (-counts[line], line), default="")


def line_after(table: Any, tokenizer: Any, prefix: str, breaks: Any) -> str:
    """Return the line that the table writes after a text, token by token, each the most frequent one.

    The text is cut before its last blanks, since a token often has a line's end and the next line's indentation in one;
    the first token is the most frequent of those that end a line, which `breaks` tells, one truth value a token.
    """
    ids = list(tokenizer.encode(prefix[-2000:].rstrip(), add_special_tokens=False).ids)
    new = [table.next_token(ids, breaks)]
    for _ in range(LINE_TOKENS):
        new.append(table.next_token([*ids, *new]))
        text: str = tokenizer.decode(new).lstrip()
        if "\n" in text:
            return text.split("\n", maxsplit=1)[0]
    return str(tokenizer.decode(new))


def line_breaks(tokenizer: Any) -> Any:
    """Return which tokens have the end of a line in them, (vocabulary,) of truth values."""
    import numpy as np

    from modeling_santa.tokenizer.train import token_bytes

    return np.array([b"\n" in piece for piece in token_bytes(tokenizer)])


def told_baselines(found: dict[str, Any]) -> str:
    """Return the baselines in a line."""
    gram, line = found["five_gram"], found["most_frequent_line"]
    words = f"five_gram={gram['bits_per_byte']:.3f}"
    if gram["exact_match"]:
        words += f" its_exact_match={gram['exact_match']['value']:.3f}"
        words += f" most_frequent_line_exact_match={line['exact_match']['value']:.3f}"
    return words

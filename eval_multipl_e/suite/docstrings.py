r"""Docstring generation of CodeXGLUE: prompts, cutting the answer, and smoothed BLEU-4.

Source: CodeXGLUE code-to-text (Lu et al. 2021), the left-to-right single-line setting of Fried et al. 2022, and the
BLEU of Papineni et al. 2002 with one added to every count of n-grams longer than one word (Lin and Och 2004).
"""

import html
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eval_multipl_e.errors import EvalError

LONGEST = 4  # n-grams of one to four words
QUOTES = ('"""', "'''")
# A word without underscores, or one sign: what is left of CodeXGLUE's two passes over a text once both have been made.
_WORD = re.compile(r"[^\W_]+|[^\s\w]|_")
_OPEN_QUOTE = re.compile(r"""[^'"]['"]\s*$""")
_TINY = sys.float_info.min  # keeps the logarithm of no match finite: such a text scores next to nothing
_OPENING = {"ruby": "\n=begin The goal of this function is to:\n"}
_OTHER_OPENING = "\n/* The goal of this function is to:\n"
LANGUAGES = ("python", "java", "javascript", "ruby", "php", "go")


def words_of(text: str) -> list[str]:
    r"""Return the words that CodeXGLUE counts: lower case, each sign a word, nothing after a tab.

    >>> words_of("Returns my_list[0]; don't ask.\tIgnored")
    ['returns', 'my', '_', 'list', '[', '0', ']', ';', 'don', "'", 't', 'ask', '.']
    """
    return _WORD.findall(text.strip().partition("\t")[0].strip().lower())


def sentence_bleu(prediction: str, reference: str) -> float:
    """Return the smoothed BLEU-4 of one text against one reference, between 0 and 1.

    The geometric mean of four n-gram precisions, where one is added to both counts for n > 1, times a brevity penalty
    that also adds one to both lengths. An empty prediction counts no n-grams at all, so that only the penalty is left.

    >>> sentence_bleu("return the sum", "Return the sum")
    1.0
    >>> round(sentence_bleu("return", "return x"), 6) == round(math.exp(1 - 3 / 2), 6)
    True
    """
    ours, theirs = words_of(prediction), words_of(reference)
    log_mean = 0.0
    for n in range(1, LONGEST + 1):
        found, wanted = _ngrams(ours, n), _ngrams(theirs, n)
        matches = (found & wanted).total()
        add = 1 if n > 1 else 0
        log_mean += math.log(matches + add + _TINY) - math.log(found.total() + add + _TINY)
    brevity = min(0.0, 1 - (len(theirs) + 1) / (len(ours) + 1))
    return math.exp(log_mean / LONGEST + brevity)


def smoothed_bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Return CodeXGLUE's score of a set: 100 times the mean of each text's smoothed BLEU-4.

    >>> smoothed_bleu(["Adds two numbers."], ["adds two numbers ."])
    100.0
    """
    for name, texts in (("predictions", predictions), ("references", references)):
        if texts is None or isinstance(texts, str | bytes):
            raise EvalError(f"smoothed_bleu: {name} is {type(texts).__name__}, not a list. Give one text an item.")
        wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
        if wrong is not None:
            raise EvalError(f"smoothed_bleu: {name}[{wrong}] is {type(texts[wrong]).__name__}, not text.")
    if len(predictions) != len(references):
        raise EvalError(
            f"smoothed_bleu: {len(predictions)} predictions and {len(references)} references. Give one of each."
        )
    if not predictions:
        raise EvalError("smoothed_bleu: no predictions. Give at least one.")
    pairs = zip(predictions, references, strict=True)
    return 100.0 * sum(sentence_bleu(ours, theirs) for ours, theirs in pairs) / len(predictions)


def docstring_problem(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    r"""Return a problem made of a row of CodeXGLUE's `code_to_text`.

    Python's prompt is the function up to its docstring, which is opened with three double quotes; in the other
    languages it is the whole function and a comment that asks for its goal.

    # Differs from the report: before a docstring in single quotes its harness also drops one blank of the indentation.

    >>> row = {"language": "python", "code": "def f():\n    '''Give one.'''\n    return 1", "docstring": "Give one.",
    ...        "docstring_tokens": ["Give", "one", "."]}
    >>> problem = docstring_problem(row, 0)
    >>> problem["prompt"].removesuffix(QUOTES[0]), problem["reference"]
    ('def f():\n    ', 'Give one .')
    """
    code: Any = row.get("code")
    docstring: Any = row.get("docstring")
    tokens: Any = row.get("docstring_tokens")
    language = row.get("language", "python")
    is_right = isinstance(code, str) and isinstance(docstring, str) and isinstance(tokens, list | tuple)
    if not is_right:
        raise EvalError(
            f"Row {number} is no row of CodeXGLUE's code_to_text: fields found are {', '.join(sorted(row)) or 'none'}. "
            "It needs 'code', 'docstring' and 'docstring_tokens'."
        )
    if language not in LANGUAGES:
        raise EvalError(f"Row {number} is in {language!r}. CodeXGLUE's languages are {', '.join(LANGUAGES)}.")
    if language == "python":
        if not docstring or docstring not in code:
            raise EvalError(f"Row {number}: its docstring does not stand in its code, where the prompt would end.")
        prompt, stops = _opened(code[: code.index(docstring)]), list(QUOTES)
    else:
        prompt, stops = code + _OPENING.get(language, _OTHER_OPENING), ["\n"]
    name = str(row.get("func_name") or "function")
    return {
        "name": f"{number}/{name}",
        "language": language,
        "prompt": prompt,
        "reference": reference_text(tokens),
        "stop_tokens": stops,
    }


def reference_text(tokens: Sequence[str]) -> str:
    """Return the docstring to compare with, from its tokens; the r of a raw docstring's quotes is no part of it.

    # Differs from the report: its harness drops a first letter r from every docstring, also from "returns".

    >>> reference_text(["r", "Gives", "a", "&lt;", "b"])
    'Gives a < b'
    """
    rest = tokens[1:] if tokens[:1] and tokens[0] == "r" else tokens
    return html.unescape(" ".join(rest).replace("\n", "")).strip()


def first_sentence_line(text: str) -> str:
    r"""Return what counts of a generated docstring: its first line that is not blank, up to closing quotes.

    >>> first_sentence_line('\n    Gives one.\n    More.\"\"\"')
    'Gives one.'
    """
    ends = [at for quote in QUOTES if (at := text.find(quote)) >= 0]
    return text[: min(ends, default=len(text))].strip().partition("\n")[0].strip()


def _opened(before: str) -> str:
    """The code before a docstring, whatever quotes it used, with three double quotes at its end."""
    for quote in QUOTES:
        if quote in before:
            before = before[: before.index(quote)]
            break
    single = _OPEN_QUOTE.search(before)
    return (before[: single.start() + 1] if single else before) + QUOTES[0]


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

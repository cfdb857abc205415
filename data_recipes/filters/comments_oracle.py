"""Count comments as the report's code does: with tokenize and ast for Python, with pygments otherwise.

It is what `compat="bigcode"` uses, and what the lexers are compared with. About a hundred times slower than these.
tokenize is the running Python's: from 3.12 on it stops in some broken files in which 3.11's goes on (a literal left
open), and the other way round (a bracket that closes nothing). The lexers count as 3.11 does on every version.
Source: bigcode-project/bigcode-dataset, preprocessing/utils/text_extraction.py.
"""

import ast
import io
import tokenize
import warnings
from collections.abc import Callable

from data_recipes.errors import DataError

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def comment_share_reference(content: str, lang: str) -> float:
    r"""Return the share of natural text; 0 for an empty file, where the report's code divides by zero.

    Raises `DataError` where pygments is not installed or has no lexer for the language.

    >>> comment_share_reference("x = 1  # one\n", "Python")
    0.23076923076923078
    """
    if not content:
        return 0.0
    count: Callable[[str], int] = _python_chars if lang == "Python" else lambda text: _pygments_chars(text, lang)
    return count(content) / len(content)


def _python_chars(content: str) -> int:
    return len(f"{_docstrings(content)}\n{_comments(content)}".strip())


def _docstrings(content: str) -> str:
    """The cleaned docstrings, joined; none for a file that does not parse, and none of async functions."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes of the file that is read
            tree = ast.parse(content)
        found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return "\n".join(text for text in found if text)


def _comments(content: str) -> str:
    """The text of the comments without any `#`; none for a file at which tokenize stops."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(content).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return ""
    return "".join(token.string for token in tokens if token.type == tokenize.COMMENT).replace("#", "")


def _pygments_chars(content: str, lang: str) -> int:
    try:
        import pygments
        from pygments.lexers import get_lexer_by_name
        from pygments.token import Comment
        from pygments.util import ClassNotFound
    except ImportError as error:
        raise DataError(
            "compat='bigcode' counts comments with pygments, which is not installed. pip install pygments."
        ) from error
    try:
        lexer = get_lexer_by_name(lang.lower())
    except ClassNotFound as error:
        raise DataError(
            f"comments: pygments has no lexer for {lang!r}. Leave out this language or compat='bigcode'."
        ) from error
    return sum(len(text) for kind, text in pygments.lex(content, lexer) if kind in (Comment.Multiline, Comment.Single))

"""Replace the body of key blocks (PEM, SSH, PGP, PuTTY) and keep their lines, so that files still parse.

A block may stand in one literal, in literals joined line by line, behind comment marks, or with its line ends
written as escapes. So only the runs of base64 letters change; quotes, operators, marks and indentation stay.
"""

import re
from collections.abc import Callable

ESCAPE = r"\\+(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{1,3}|.)|%[0-9A-Fa-f]{2}"
"""What a string or a URL reads as one character; it is never changed."""

_PARTS = re.compile(
    r"-{4,5} ?(?:BEGIN|END) [A-Z0-9 ]+?-{4,5}"
    r"|(?:Proc-Type|DEK-Info|Version|Encryption|Key-Derivation|P(?:ublic|rivate)-Lines|PuTTY-User-Key-File-[0-9]):"
    r"[^\r\n\\\"']*"
    rf"|(?:Comment|Private-MAC|Private-Hash):|<KEY>|{ESCAPE}|(?P<run>[A-Za-z0-9](?:[A-Za-z0-9+/]*[A-Za-z0-9])?)",
    re.DOTALL,
)
# A whole first line, which a replaced block keeps: half of one may be a password.
_HEADER = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]+?-{4,5}|PuTTY-User-Key-File-[0-9]:")
# No vowel: a run that was a name between two literals must not become a keyword.
_LETTERS = "bcdfghjklmnpqrstvwxz"
_CHARS = _LETTERS + "0123456789"
_SHORTEST = 3  # a prefix such as the b of b"…", or the end of the padding
_LONG = 16


def is_block(value: str) -> bool:
    """Tell whether a find is a key block and not a key of one line."""
    return "\n" in value or _HEADER.match(value) is not None


def is_replaced_block(block: str) -> bool:
    """Tell whether a block holds no key: its body has only what `replaced_block` and `tagged_block` write."""
    runs = (found["run"] for found in _PARTS.finditer(block) if found["run"])
    return all(len(run) < _SHORTEST or set(run) <= set(_CHARS) for run in runs)


def replaced_block(block: str, stream: bytes, *, is_plain: bool = False) -> str:
    """Return the block with its body drawn from a-z and 0-9: same header and footer, number and width of lines.

    `stream` holds at least one byte a character. `is_plain` writes x in place of all but the first eight letters.
    """
    start = 0

    def body(found: re.Match[str]) -> str:
        nonlocal start
        run = _drawn(found["run"], stream[found.start() : found.end()])
        if is_plain:
            head = max(0, 8 - start)
            run = run[:head] + "x" * (len(run) - head)
        start += len(run)
        return run

    return _with_body(block, body)


def tagged_block(block: str, stream: bytes) -> str:
    """Return the block with `<KEY>` in place of its first long run, the other long ones gone; lines stay lines."""
    tags = iter(["<KEY>"])

    def body(found: re.Match[str]) -> str:
        return (
            next(tags, "") if len(found["run"]) >= _LONG else _drawn(found["run"], stream[found.start() : found.end()])
        )

    return _with_body(block, body)


def _with_body(block: str, body: Callable[[re.Match[str]], str]) -> str:
    return _PARTS.sub(lambda found: body(found) if len(found["run"] or "") >= _SHORTEST else found[0], block)


def _drawn(run: str, stream: bytes) -> str:
    if run.isdigit():
        return str(1 + stream[0] % 9) * len(run)
    first = (_LETTERS if run[0].isalpha() else "123456789")[stream[0] % 9]
    return first + "".join(_CHARS[byte % len(_CHARS)] for byte in stream[1:])

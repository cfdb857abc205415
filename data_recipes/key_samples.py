"""Samples of the rules for keys, made up at run time: no file of this project holds anything that looks like a key.

A template names what to draw: `{w:36}` stands for 36 random letters and digits. What the rule should find stands
between « and ».
"""

import random
import re
from string import ascii_lowercase, ascii_uppercase, digits

_ALPHABETS = {
    "d": digits,
    "h": digits + "abcdef",
    "H": digits + "ABCDEF",
    "y": ascii_lowercase,
    "P": ascii_uppercase,
    "l": ascii_lowercase + digits,
    "p": ascii_uppercase + digits,
    "t": ascii_lowercase + "234567",
    "T": ascii_uppercase + "234567",
    "w": ascii_lowercase + ascii_uppercase + digits,
    "b": ascii_lowercase + ascii_uppercase + digits + "+/",
    "a": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "u": ascii_lowercase + ascii_uppercase + digits + "-_",
}
_CLASSES, _LONG = (str.isdigit, str.islower, str.isupper), 11
_PART = re.compile(r"\{(?:x:(?P<word>\w+)|(?P<kind>\w):(?P<count>[0-9]+))\}")


def sample(template: str, seed: int = 0) -> tuple[str, str]:
    """A text of a template, and the value in it that should be found, or "" where there is none.

    >>> text, value = sample("token = '«tk_{d:4}»'")
    >>> text == f"token = '{value}'", value[:3], len(value)
    (True, 'tk_', 7)
    """
    draw = random.Random(f"{seed} {template}")
    text = _PART.sub(lambda found: _drawn(found, draw), template)
    before, opened, rest = text.partition("«")
    value, _, after = rest.partition("»")
    return (before + value + after, value) if opened else (text, "")


def _drawn(found: re.Match[str], draw: random.Random) -> str:
    """Random characters of one alphabet that begin and end with a letter or digit; a long one has all classes."""
    if found["word"]:
        return found["word"]
    alphabet, count = _ALPHABETS[found["kind"]], int(found["count"])
    plain = [char for char in alphabet if char.isalnum()]
    drawn = draw.choices(alphabet, k=count)
    drawn[:1], drawn[-1:] = draw.choices(plain), draw.choices(plain)
    if count > _LONG:
        drawn[1:4] = (draw.choice([c for c in alphabet if is_one(c)] or plain) for is_one in _CLASSES)
    return "".join(drawn)

"""What a visitor sends: the text around a gap, the sampling settings, and the words that refuse bad ones.

Only the standard library is imported.
"""

import math
from dataclasses import dataclass

MARKERS = ("<FILL_HERE>", "<FILL-HERE>")  # the spellings of bigcode-playground and of santacoder-demo
MAX_CHARS = 100_000  # about 16 times what a context of 2,048 tokens can hold
MAX_TEMPERATURE = 2.0
MAX_SEED = 2**32 - 1


class RequestError(ValueError):
    """A request cannot be served as it stands; the message says what to change and never quotes the text."""


@dataclass(frozen=True)
class Prompt:
    """The text before the gap and, for an infill, the text after it; a suffix of None asks for a completion."""

    prefix: str
    suffix: str | None = None

    def with_middle(self, middle: str) -> str:
        r"""Return the whole text with `middle` in the gap, character for character.

        >>> Prompt("  a = ", "; b\n").with_middle("1")
        '  a = 1; b\n'
        """
        return self.prefix + middle + (self.suffix or "")


def find_markers(text: str) -> list[tuple[int, str]]:
    """Return (position, spelling) of every gap marker, first to last.

    >>> find_markers("x <FILL-HERE> y <FILL_HERE>")
    [(2, '<FILL-HERE>'), (16, '<FILL_HERE>')]
    """
    hits = []
    for marker in MARKERS:
        at = text.find(marker)
        while at >= 0:
            hits.append((at, marker))
            at = text.find(marker, at + len(marker))
    return sorted(hits)


def completion_prompt(text: str) -> Prompt:
    """Return the prompt that continues `text`; raises RequestError if it is empty or too long."""
    _check_length(text)
    if not text:
        raise RequestError("The text is empty. Write the first lines of some code to complete.")
    return Prompt(text)


def infill_prompt(text: str) -> Prompt:
    r"""Return the prompt that fills the one marker in `text`.

    Raises RequestError if the text is too long, or holds no marker or more than one.

    >>> infill_prompt("def f():\n    <FILL_HERE>\n    return x\n")
    Prompt(prefix='def f():\n    ', suffix='\n    return x\n')
    """
    _check_length(text)
    hits = find_markers(text)
    if not hits:
        raise RequestError(f"The text has no {MARKERS[0]} marker. Put exactly one where the code is missing.")
    if len(hits) > 1:
        raise RequestError(
            f"The text has {len(hits)} markers ({MARKERS[0]} or {MARKERS[1]}), but one gap can be filled at a time. "
            "Keep one and remove the others."
        )
    at, marker = hits[0]
    return Prompt(text[:at], text[at + len(marker) :])


def _check_length(text: object) -> None:
    if not isinstance(text, str):
        raise RequestError(f"The text arrived as {type(text).__name__}, but must be a string.")
    if len(text) > MAX_CHARS:
        raise RequestError(
            f"The text has {len(text):,} characters; at most {MAX_CHARS:,} are accepted. "
            "Send only the code around the place of interest."
        )


@dataclass(frozen=True)
class Settings:
    """How to sample: length in tokens, temperature (0 is greedy), nucleus mass, and the seed of the draw."""

    max_new_tokens: int = 64
    temperature: float = 0.2
    top_p: float = 0.95
    seed: int = 0

    def checked(self, max_new_tokens_limit: int) -> "Settings":
        """Return the settings with whole numbers as int; raises RequestError if one lies outside its range.

        >>> Settings(max_new_tokens=32.0, seed=7).checked(256)
        Settings(max_new_tokens=32, temperature=0.2, top_p=0.95, seed=7)
        """
        _check_range("max_new_tokens", self.max_new_tokens, 1, max_new_tokens_limit, whole=True)
        _check_range("temperature", self.temperature, 0, MAX_TEMPERATURE)
        _check_range("top_p", self.top_p, 0.01, 1)
        _check_range("seed", self.seed, 0, MAX_SEED, whole=True)
        return Settings(int(self.max_new_tokens), float(self.temperature), float(self.top_p), int(self.seed))


def _check_range(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    kind = "a whole number" if whole else "a number"
    wanted = f"{kind} from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"{name} arrived as {type(value).__name__}, but must be {wanted}.")
    if not math.isfinite(value) or not low <= value <= high or (whole and value != int(value)):
        raise RequestError(f"{name}={value} is out of range. Choose {wanted}.")

"""Make fill-in-the-middle (FIM) text: special tokens, permutation for training, prompt for infilling.

A document is cut into prefix, middle and suffix at two character positions and reordered, so that a
left-to-right model learns to write the middle last. Only the standard library is imported: the same file
serves training, evaluation, the Space and the Hub.

Source: report section 5.1; bigcode-project/Megatron-LM megatron/data/gpt_dataset.py (`permute`).
"""

import random
from dataclasses import dataclass
from typing import Any, Literal

from .errors_santa import ModelError

FimMode = Literal["psm", "spm"]


@dataclass(frozen=True)
class FimTokens:
    """The five special tokens of SantaCoder, in the order of their ids (49152 to 49156 in the original).

    SantaCoder spells them with hyphens; StarCoder with underscores.

    >>> FimTokens().prefix
    '<fim-prefix>'
    """

    end_of_text: str = "<|endoftext|>"
    prefix: str = "<fim-prefix>"
    middle: str = "<fim-middle>"
    suffix: str = "<fim-suffix>"
    pad: str = "<fim-pad>"

    def in_id_order(self) -> tuple[str, str, str, str, str]:
        """Return the five tokens in the order in which a tokenizer numbers them."""
        return (self.end_of_text, self.prefix, self.middle, self.suffix, self.pad)

    def find_in(self, text: str) -> str | None:
        """Return the special token that stands first in `text`, or None.

        >>> FimTokens().find_in("a = '<fim-middle>'")
        '<fim-middle>'
        """
        hits = [(at, token) for token in self.in_id_order() if (at := text.find(token)) >= 0]
        return min(hits)[1] if hits else None


TOKENS = FimTokens()
REST_OF_LINE, BLOCK = 0.25, 0.25  # shares among middles that follow lines; the others are one whole line
BLOCK_LINES = 16
DIALECTS = {
    "santacoder": TOKENS,
    "starcoder": FimTokens(prefix="<fim_prefix>", middle="<fim_middle>", suffix="<fim_suffix>", pad="<fim_pad>"),
}
# StarCoder's tokens of repositories and files; where a vocabulary has them they end an answer, also if it calls them plain.
OTHER_ENDS = ("<file_sep>", "<filename>", "<reponame>", "<repo_name>", "<gh_stars>")


def id_of_token(tokenizer: Any, token: str) -> int | None:
    """Return a token's id, or None if the vocabulary lacks it; `get_vocab` would copy the whole vocabulary."""
    known = tokenizer.convert_tokens_to_ids(token)
    return known if known is not None and tokenizer.convert_ids_to_tokens(known) == token else None


def ids_of_sentinels(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the five special tokens, by SantaCoder's spelling, in any of the known dialects.

    Raises:
        ModelError: the tokenizer lacks one of them in every dialect.
    """
    found: dict[str, int] = {}
    for spelled in zip(*(tokens.in_id_order() for tokens in DIALECTS.values()), strict=True):
        known = [known for token in spelled if (known := id_of_token(tokenizer, token)) is not None]
        if known:
            found[spelled[0]] = known[0]
    missing = [token for token in TOKENS.in_id_order() if token not in found]
    if missing:
        raise ModelError(f"infill: the tokenizer lacks {', '.join(missing)}. Use the tokenizer of a SantaCoder model.")
    return {token: found[token] for token in TOKENS.in_id_order()}


def end_ids_of(tokenizer: Any) -> list[int]:
    """Return the ids of all tokens that end an answer: every special token, those known by name, and the tokenizer's own end."""
    spelled = [token for tokens in DIALECTS.values() for token in tokens.in_id_order()]
    ids = {known for token in (*spelled, *OTHER_ENDS) if (known := id_of_token(tokenizer, token)) is not None}
    ids |= {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    own = getattr(tokenizer, "eos_token_id", None)
    return sorted(ids if own is None else ids | {own})


@dataclass(frozen=True)
class FimParts:
    """A document cut in three: `prefix + middle + suffix` is the document, character for character."""

    mode: FimMode
    prefix: str
    middle: str
    suffix: str

    def segments(self, tokens: FimTokens = TOKENS) -> tuple[tuple[str, str], ...]:
        """Return the training order as (special token, text after it) pairs.

        PSM is prefix, suffix, middle. SPM is variant 2 of Bavarian et al. (2022): the prefix and suffix
        tokens stand together and the model reads prefix and middle as one run.

        >>> FimParts("spm", "a", "b", "c").segments()
        (('<fim-prefix>', ''), ('<fim-suffix>', 'c'), ('<fim-middle>', 'ab'))
        """
        if self.mode == "psm":
            return ((tokens.prefix, self.prefix), (tokens.suffix, self.suffix), (tokens.middle, self.middle))
        return ((tokens.prefix, ""), (tokens.suffix, self.suffix), (tokens.middle, self.prefix + self.middle))


def split(
    text: str,
    *,
    seed: int,
    epoch: int,
    index: int,
    fim_rate: float = 0.5,
    spm_rate: float = 0.5,
    line_rate: float = 0.0,
) -> FimParts | None:
    """Draw how document number `index` is cut in epoch `epoch`; None means that it stays as it is.

    The draw depends on (seed, epoch, index) alone, never on the order of access or the worker. Both cuts
    are uniform over the len(text) + 1 character positions. An empty document is never cut. Exact for any
    text, also one that holds special tokens: callers that build token ids use this, not `permute`.

    Args:
        text: One whole document, or a piece of one.
        seed: The run's seed.
        epoch: Counts passes over the data, from 0.
        index: The document's number in the data.
        fim_rate: Share of documents that are cut, 0 to 1 (report: 0.5).
        spm_rate: Share of the cut ones that are ordered suffix first, 0 to 1 (report: 0.5).
        line_rate: Share of the cut ones whose middle is a line, the rest of one, or a block of lines (report: 0).
    """
    for name, rate in (("fim_rate", fim_rate), ("spm_rate", spm_rate), ("line_rate", line_rate)):
        if not 0.0 <= rate <= 1.0:
            raise ModelError(f"split: {name}={rate} is not a share. Choose {name} between 0 and 1.")
    draw = random.Random(f"{seed}/{epoch}/{index}")
    if not text or draw.random() >= fim_rate:
        return None
    first, second = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
    mode: FimMode = "spm" if draw.random() < spm_rate else "psm"
    if line_rate and draw.random() < line_rate:
        first, second = line_cuts(text, draw) or (first, second)
    return FimParts(mode, text[:first], text[first:second], text[second:])


def line_cuts(text: str, draw: random.Random) -> tuple[int, int] | None:
    r"""Draw the two cuts round what a person leaves out: None if no line has anything but blanks.

    Half of them take one line with its end, a quarter a line and the lines indented below it, and a quarter the rest of a
    line from any place in it, without its end. All lines but blank ones are as likely to be the first.

    >>> line_cuts("if a:\n    b()\n", random.Random(1))
    (0, 6)
    """
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        return None
    first = draw.choice(filled)
    start = sum(len(line) + 1 for line in lines[:first])
    kind, line = draw.random(), lines[first]
    if kind < REST_OF_LINE:
        return start + draw.randint(0, len(line)), start + len(line)
    last = first + 1
    if kind < REST_OF_LINE + BLOCK:
        indent = len(line) - len(line.lstrip())
        for number in range(first + 1, min(len(lines), first + BLOCK_LINES)):
            follower = lines[number]
            if follower.strip():
                if len(follower) - len(follower.lstrip()) <= indent:
                    break
                last = number + 1
    return start, min(len(text), start + sum(len(line) + 1 for line in lines[first:last]))


def permute(text: str, *, seed: int, epoch: int, index: int, fim_rate: float = 0.5, spm_rate: float = 0.5) -> str:
    r"""Return the training text of a document: as it is, or cut and reordered with the FIM sentinels.

    A text that itself holds one of the special tokens is returned as it is: written as one string, its own
    sentinels could not be told from ours. `split` has no such limit.

    >>> permute("def f():\n    return 1\n", seed=0, epoch=0, index=3, fim_rate=1.0, spm_rate=0.0)
    '<fim-prefix>def f<fim-suffix>:\n    return 1\n<fim-middle>()'
    """
    parts = split(text, seed=seed, epoch=epoch, index=index, fim_rate=fim_rate, spm_rate=spm_rate)
    if parts is None or TOKENS.find_in(text) is not None:
        return text
    return "".join(token + part for token, part in parts.segments())


def infill_prompt(prefix: str, suffix: str, mode: FimMode = "psm") -> str:
    r"""Return the prompt after which the model writes the middle.

    Either side may be empty. Sentinels inside `prefix` or `suffix` raise ModelError; `SantaForCausalLM.infill`
    takes such text, because it encodes the parts one by one.

    >>> infill_prompt("def f():\n    return ", "\n")
    '<fim-prefix>def f():\n    return <fim-suffix>\n<fim-middle>'
    """
    if mode not in ("psm", "spm"):
        raise ModelError(f"infill_prompt: mode={mode!r} is unknown. Choose 'psm' or 'spm'.")
    for name, part in (("prefix", prefix), ("suffix", suffix)):
        if (token := TOKENS.find_in(part)) is not None:
            raise ModelError(
                f"infill_prompt: the {name} holds the special token {token!r}. Remove it, "
                "or call model.infill(tokenizer, prefix, suffix), which encodes it as plain text."
            )
    return "".join(token + part for token, part in FimParts(mode, prefix, "", suffix).segments())

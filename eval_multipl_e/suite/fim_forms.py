"""Fill-in-the-middle forms: how a model is told prefix and suffix, and what ends the middle it writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval_multipl_e.errors import EvalError

PREFIX, SUFFIX, OPENING = (
    "PREFIX",
    "SUFFIX",
    "OPENING",
)  # places in an order that hold text or the tokenizer's own start


@dataclass(frozen=True)
class Form:
    """One way of asking: the order of sentinels and texts, the tokens that end an answer, and texts that do."""

    name: str
    order: tuple[str, ...]
    ends: tuple[str, ...]
    text_ends: tuple[str, ...] = ()

    @property
    def sentinels(self) -> tuple[str, ...]:
        """The tokens a tokenizer must have for this form."""
        return tuple(dict.fromkeys(part for part in self.order if part not in (PREFIX, SUFFIX, OPENING)))


# Ordered: the first form whose sentinels a tokenizer has is taken.
FORMS = {
    form.name: form
    for form in (
        # Report section 5.1: prefix, suffix, middle (PSM).
        Form(
            "santacoder",
            ("<fim-prefix>", PREFIX, "<fim-suffix>", SUFFIX, "<fim-middle>"),
            ("<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"),
        ),
        Form(
            "starcoder",
            ("<fim_prefix>", PREFIX, "<fim_suffix>", SUFFIX, "<fim_middle>"),
            ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<file_sep>"),
        ),
        # Fried et al. 2022: the gap is masked, and after the second mask the model writes what stood in the first.
        Form(
            "incoder",
            (OPENING, PREFIX, "<|mask:0|>", SUFFIX, "<|mask:1|>", "<|mask:0|>"),
            ("<|endofmask|>", "<|mask:0|>", "<|mask:1|>", "<|endoftext|>"),
            ("<|/ file",),  # InCoder's files end so, in plain text
        ),
        Form("left-to-right", (OPENING, PREFIX), ("<|endoftext|>",)),
    )
}


def form_of(tokenizer: Any, name: str = "auto") -> Form:
    """The form a tokenizer's sentinels stand for; `name` asks for one, whose sentinels must then be there."""
    vocabulary = tokenizer.get_vocab()
    if name == "auto":
        return next(form for form in FORMS.values() if all(token in vocabulary for token in form.sentinels))
    if name not in FORMS:
        raise EvalError(f"form {name!r} is unknown. Use auto, {', '.join(FORMS)}.")
    lacking = [token for token in FORMS[name].sentinels if token not in vocabulary]
    if lacking:
        raise EvalError(f"the tokenizer lacks {', '.join(lacking)}, which form {name!r} needs. Use form 'auto'.")
    return FORMS[name]


def end_ids(tokenizer: Any, form: Form) -> list[int]:
    """The ids of the tokens that end an answer, the tokenizer's own end among them."""
    vocabulary = tokenizer.get_vocab()
    ids = {vocabulary[token] for token in form.ends if token in vocabulary}
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return sorted(ids)


def encode(
    tokenizer: Any, form: Form, prefix: str, suffix: str | None, *, room: int | None = None
) -> tuple[list[int], int]:
    """The ids of a prompt and how many were left out to fit into `room`.

    With a suffix of None the prefix alone is continued. What stands farthest from the gap goes first; a suffix keeps
    at most half of the room where both sides are long. Sentinels spelled out in a text are encoded as plain text.
    """
    order = form.order if suffix is not None else (OPENING, PREFIX)
    vocabulary = tokenizer.get_vocab()
    start = opening_ids(tokenizer)
    sides = {PREFIX: _plain(tokenizer, prefix), SUFFIX: _plain(tokenizer, suffix) if SUFFIX in order and suffix else []}
    whole = len(sides[PREFIX]) + len(sides[SUFFIX])
    fixed = sum(len(start) if part == OPENING else 1 for part in order if part not in sides)
    if room is not None and whole + fixed > room:
        left = max(room - fixed, 0)
        after = min(len(sides[SUFFIX]), max(left // 2, left - len(sides[PREFIX])))
        sides[SUFFIX] = sides[SUFFIX][:after]
        before = min(len(sides[PREFIX]), left - after)
        sides[PREFIX] = sides[PREFIX][len(sides[PREFIX]) - before :]
    ids: list[int] = []
    for part in order:
        ids += start if part == OPENING else sides[part] if part in sides else [vocabulary[part]]
    return ids, whole - len(sides[PREFIX]) - len(sides[SUFFIX])


def opening_ids(tokenizer: Any) -> list[int]:
    """The ids a tokenizer puts before every text of its own accord, as InCoder's and Llama's do."""
    ids: Sequence[int] = tokenizer("")["input_ids"]
    has_end = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
    return list(ids[:-1] if has_end else ids)


def _plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

"""Define how each family of models is told what stands before and after a gap, and where its answer ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eval_multipl_e.errors import EvalError

PREFIX, SUFFIX, OPENING = (
    "PREFIX",
    "SUFFIX",
    "OPENING",
)  # places in an order that hold text or the tokenizer's own start


Fit = Callable[[Sequence[int], Sequence[int], int], tuple[list[int], list[int]]]
"""Cuts the ids before and after a gap to those nearest to it, at most so many."""

REPOSITORY = (
    *("<file_sep>", "<repo_name>", "<reponame>", "<filename>", "<gh_stars>", "<pr>", "<empty_output>"),
    *("<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>"),
    *("<|repo_name|>", "<|file_sep|>", "<|file_separator|>", "<|filename|>", "<|reponame|>"),
)  # what stands between files in training: never part of an answer


@dataclass(frozen=True)
class FimForm:
    """One way of asking for a middle.

    `order` has the sentinels and, as PREFIX, SUFFIX and OPENING, the places of the texts and of what the tokenizer puts
    before every text. `ends` are tokens that end an answer, `text_ends` texts that do. `marks` are more tokens by which
    a family's tokenizer is known. Where `is_suffix_bare`, the suffix is encoded without the blank that SentencePiece
    puts before a text. `middle_end` is the token that ends a middle in the family's training, where it is not the first
    of `ends`.
    """

    name: str
    order: tuple[str, ...]
    ends: tuple[str, ...]
    text_ends: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    is_suffix_bare: bool = False
    middle_end: str | None = None

    @property
    def sentinels(self) -> tuple[str, ...]:
        """The tokens a tokenizer must have for this form."""
        return tuple(dict.fromkeys(part for part in self.order if part not in (PREFIX, SUFFIX, OPENING)))


def _deep(words: str) -> str:
    """A token as DeepSeek spells it: with full-width bars, and words joined by U+2581."""
    return f"<\uff5c{words}\uff5c>"


_MELLUM = "mellum"
_BARS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
_WORDS = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
# Ordered: the first form whose sentinels and marks a tokenizer has is taken.
FORMS = {
    form.name: form
    for form in (
        # Report section 5.1: prefix, suffix, middle (PSM).
        FimForm(
            "santacoder",
            ("<fim-prefix>", PREFIX, "<fim-suffix>", SUFFIX, "<fim-middle>"),
            ("<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"),
        ),
        # StarCoder, StarCoder2, StableCode and the Granite code models.
        FimForm(
            "starcoder",
            ("<fim_prefix>", PREFIX, "<fim_suffix>", SUFFIX, "<fim_middle>"),
            ("<|endoftext|>", *_WORDS),
        ),
        # JetBrains' tokenizer has StarCoder's tokens; the suffix comes first.
        FimForm(
            _MELLUM,
            ("<fim_suffix>", SUFFIX, "<fim_prefix>", PREFIX, "<fim_middle>"),
            ("<|endoftext|>", *_WORDS),
        ),
        FimForm(
            "codegemma",
            (OPENING, "<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>"),
            ("<eos>", "<|file_separator|>", *_BARS),
            marks=("<|file_separator|>",),
            middle_end="<|file_separator|>",
        ),
        # Qwen2.5-Coder, Qwen3-Coder and Granite 4.
        FimForm(
            "qwen",
            ("<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>"),
            ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|end_of_text|>", *_BARS),
        ),
        FimForm(
            "deepseek",
            (OPENING, _deep("fim▁begin"), PREFIX, _deep("fim▁hole"), SUFFIX, _deep("fim▁end")),
            (*map(_deep, ("end▁of▁sentence", "begin▁of▁sentence", "fim▁begin", "fim▁hole", "fim▁end")), "<|EOT|>"),
        ),
        # Rozière et al. 2023: the prefix has SentencePiece's blank, the suffix has not.
        FimForm(
            "codellama",
            (OPENING, "▁<PRE>", PREFIX, "▁<SUF>", SUFFIX, "▁<MID>"),
            ("</s>", "▁<EOT>", "▁<PRE>", "▁<SUF>", "▁<MID>"),
            is_suffix_bare=True,
            middle_end="▁<EOT>",
        ),
        FimForm(
            "seed-coder",
            (OPENING, "<[fim-suffix]>", SUFFIX, "<[fim-prefix]>", PREFIX, "<[fim-middle]>"),
            ("<[end▁of▁sentence]>", "<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),
        ),
        # There is no token for the middle: it goes on after the prefix, which comes last.
        FimForm(
            "codestral",
            (OPENING, "[SUFFIX]", SUFFIX, "[PREFIX]", PREFIX),
            ("</s>", "[SUFFIX]", "[PREFIX]", "[MIDDLE]"),
            is_suffix_bare=True,
        ),
        # Fried et al. 2022: the gap is masked, and after the second mask the model writes what stood in the first.
        FimForm(
            "incoder",
            (OPENING, PREFIX, "<|mask:0|>", SUFFIX, "<|mask:1|>", "<|mask:0|>"),
            ("<|endofmask|>", "<|mask:0|>", "<|mask:1|>", "<|endoftext|>"),
            ("<|/ file",),  # InCoder's files end so, in plain text
        ),
        FimForm("left-to-right", (OPENING, PREFIX), ("<|endoftext|>",)),
    )
}


def form_of(tokenizer: Any, name: str = "auto") -> FimForm:
    """Return the form a tokenizer's sentinels stand for, or the one that `name` asks for: a known one, or a file."""
    vocabulary = tokenizer.get_vocab()
    if name == "auto":
        if _MELLUM in str(getattr(tokenizer, "name_or_path", "")).lower() and "<fim_suffix>" in vocabulary:
            return FORMS[_MELLUM]
        known = (form for form in FORMS.values() if form.name != _MELLUM)
        return next(form for form in known if all(token in vocabulary for token in (*form.sentinels, *form.marks)))
    form = named_form(name)
    # A known form's ends are those of several models; in a file of one's own an end that no model can say is a slip.
    needed = form.sentinels if name in FORMS else (*form.sentinels, *form.ends)
    lacking = [token for token in dict.fromkeys(needed) if token not in vocabulary]
    if lacking:
        raise EvalError(f"the tokenizer lacks {', '.join(lacking)}, which form {name!r} needs. Use form 'auto'.")
    return form


def named_form(name: str) -> FimForm:
    """Return the form of a name, or the one that a YAML or JSON file of `name`, `order` and `ends` describes.

    Raises:
        EvalError: there is no such form or file, or the file says something else.
    """
    if name in FORMS:
        return FORMS[name]
    path = Path(name)
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise EvalError(
            f"form {name!r} is unknown. Use auto, {', '.join(FORMS)}; or a .json or .yaml file of your own."
        )
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EvalError(f"form {name} can't be read: {' '.join(str(error).split())[:200]}.") from error
    fields = {"name", "order", "ends", "text_ends", "is_suffix_bare"}
    strange = sorted(found.keys() - fields) if isinstance(found, dict) else ["no mapping"]
    if strange:
        raise EvalError(
            f"form {name} holds {strange[0]!r}. Give order and ends, and if need be name, text_ends, is_suffix_bare."
        )
    for field in ("order", "ends", "text_ends"):
        value = found.setdefault(field, [])
        if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
            raise EvalError(f"form {name}: {field!r} is no list of texts.")
    if found["order"].count(PREFIX) != 1 or found["order"].count(SUFFIX) > 1:
        raise EvalError(
            f"form {name}: 'order' needs {PREFIX} once, and {SUFFIX} at most once. Found: {found['order']}."
        )
    return FimForm(
        str(found.get("name", path.stem)),
        tuple(found["order"]),
        tuple(found["ends"]),
        tuple(found["text_ends"]),
        is_suffix_bare=bool(found.get("is_suffix_bare", False)),
    )


def end_ids(tokenizer: Any, form: FimForm, configured: int | Sequence[int] | None = None) -> list[int]:
    """Return the ids of the tokens that end an answer.

    These are the form's, the tokenizer's own end and all its special tokens, those that separate files and
    repositories, and `configured`, the ends of the model's generation configuration.
    """
    vocabulary = tokenizer.get_vocab()
    ids = {vocabulary[token] for token in (*form.ends, *REPOSITORY) if token in vocabulary}
    ids |= {number for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special}
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    ids |= {configured} if isinstance(configured, int) else set(configured or ())
    return sorted(ids)


def encode(
    tokenizer: Any, form: FimForm, prefix: str, suffix: str | None, fit: Fit, *, room: int | None = None
) -> tuple[list[int], int]:
    """Return the ids of a prompt, and how many ids of the texts were left out.

    Sentinels spelled out in a text are encoded as plain text.

    Args:
        tokenizer: The model's tokenizer.
        form: Where the texts and the sentinels stand.
        prefix: The text before the gap.
        suffix: The text after the gap; None continues the prefix alone.
        fit: Called to cut the texts, where the prompt is longer than `room`.
        room: The most ids of a prompt; None is no limit.
    """
    order = form.order if suffix is not None else (OPENING, PREFIX)
    vocabulary = tokenizer.get_vocab()
    start = opening_ids(tokenizer)
    sides: dict[str, list[int]] = {PREFIX: _plain(tokenizer, prefix), SUFFIX: []}
    if SUFFIX in order and suffix:
        sides[SUFFIX] = (_bare if form.is_suffix_bare else _plain)(tokenizer, suffix)
    whole = len(sides[PREFIX]) + len(sides[SUFFIX])
    fixed = sum(len(start) if part == OPENING else 1 for part in order if part not in sides)
    if room is not None and whole + fixed > room:
        sides[PREFIX], sides[SUFFIX] = fit(sides[PREFIX], sides[SUFFIX], max(room - fixed, 0))
    ids: list[int] = []
    for part in order:
        ids += start if part == OPENING else sides[part] if part in sides else [vocabulary[part]]
    return ids, whole - len(sides[PREFIX]) - len(sides[SUFFIX])


def opening_ids(tokenizer: Any) -> list[int]:
    """Return the ids a tokenizer puts before every text of its own accord, as InCoder's and Llama's do."""
    ids: Sequence[int] = tokenizer("")["input_ids"]
    has_end = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
    return list(ids[:-1] if has_end else ids)


def _plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _bare(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text that goes on after another one: no blank is put before it."""
    anchor = _plain(tokenizer, "☺")
    whole = _plain(tokenizer, "☺" + text)
    return whole[len(anchor) :] if whole[: len(anchor)] == anchor else _plain(tokenizer, text)

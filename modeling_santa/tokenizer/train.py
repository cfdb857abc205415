"""Train the tokenizer: byte-level BPE with single digits, and the five special tokens last.

Source: report section 5.1 (49,152 tokens, digit splitter before the GPT-2 pattern, 600,000 rows).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import TOKENS

VOCAB_MULTIPLE = 128


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 49152, show_progress: bool = False) -> Tokenizer:
    """Train a byte-level BPE of at most `vocab_size` tokens, then append the five special tokens.

    Their ids are therefore the five after the last merge: 49152 to 49156 in the report. The same texts in the
    same order give the same tokenizer. Every byte is a token of its own, so any text can be encoded.

    Raises:
        ValueError: fewer than 256 tokens, or no text at all.
    """
    if vocab_size < 256:
        raise ModelError(f"train_tokenizer: vocab_size={vocab_size} leaves no room for the 256 bytes. Use 256 or more.")
    seen = _Counting(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=show_progress,
    )
    tokenizer.train_from_iterator(seen, trainer=trainer)
    if not seen.count:
        raise ModelError("train_tokenizer: no text was given. Check that the dataset folder has rows.")
    tokenizer.add_special_tokens(list(TOKENS.in_id_order()))
    tokenizer.encode_special_tokens = True  # a source text that spells one is text
    return tokenizer


class _Counting:
    """Passes texts on and counts them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = texts
        self.count = 0

    def __iter__(self) -> Any:
        for text in self.texts:
            self.count += 1
            yield text


def padded_vocab_size(tokenizer: Tokenizer) -> int:
    """Return the model's vocabulary: all tokens, rounded up to a multiple of 128 (report: 49157 to 49280)."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return -(-size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return a SHA-256 over vocabulary, merges and added tokens: equal for a tokenizer in memory and the same one saved."""
    about = json.loads(tokenizer.to_str())
    model, added = (
        about["model"],
        [[token["id"], token["content"], token["special"]] for token in about["added_tokens"]],
    )
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model.get("merges", [])]
    text = json.dumps([model["vocab"], merges, sorted(added)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_tokenizer(tokenizer: Tokenizer, out: Path, *, n_positions: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` so that AutoTokenizer opens the folder.

    Padding is on the left, as generation needs it, and uses <fim-pad>.
    """
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=TOKENS.end_of_text,
        eos_token=TOKENS.end_of_text,
        unk_token=TOKENS.end_of_text,
        pad_token=TOKENS.pad,
        extra_special_tokens=[TOKENS.prefix, TOKENS.middle, TOKENS.suffix],
        model_max_length=n_positions,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(out)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json` of SantaCoder; text that spells a special token is encoded as text.

    Raises:
        ModelError: the file is missing, or has not the five special tokens.
    """
    tokenizer = load_any_tokenizer(folder)
    missing = [token for token in TOKENS.in_id_order() if tokenizer.token_to_id(token) is None]
    if missing:
        raise ModelError(f"{folder} lacks {', '.join(missing)}. SantaCoder needs all five, hyphenated.")
    return tokenizer


def load_any_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json`, whatever its special tokens are; text that spells one is encoded as text.

    Raises:
        ModelError: the file is missing, or is no tokenizer.
    """
    path = folder if folder.is_file() else folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{path} does not exist. Name the folder that `hf-santa tokenizer train` wrote.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelError(f"{path} is no tokenizer ({error}). Train or download it again.") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """Return the bytes of every token id; special tokens have none."""
    byte_of = byte_level_alphabet()
    pieces = [b""] * tokenizer.get_vocab_size(with_added_tokens=True)
    special = set(TOKENS.in_id_order())
    for token, token_id in tokenizer.get_vocab(with_added_tokens=True).items():
        if token not in special:
            pieces[token_id] = bytes(byte_of[char] for char in token)
    return pieces


def byte_level_alphabet() -> dict[str, int]:
    """Return GPT-2's map from printable characters to bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}

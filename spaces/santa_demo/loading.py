"""The model, loaded as any user would load it, or one sentence saying why it cannot be."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import metadata_load
from settings import ModelSource, StartError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import cached_file, logging

END_OF_TEXT = "<|endoftext|>"
LONGEST_ANSWER = 512  # tokens


@dataclass(frozen=True)
class FimIds:
    """The ids of the three sentinels that frame an infill."""

    prefix: int
    middle: int
    suffix: int


@dataclass(frozen=True)
class LoadedModel:
    """The model with its tokenizer and the facts that the page shows about it."""

    model: Any
    tokenizer: Any
    source: ModelSource
    fingerprint: str
    parameters: int
    licence: str | None
    special_ids: frozenset[int]
    fim_ids: FimIds | None

    @property
    def n_positions(self) -> int:
        """The longest context, in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def max_new_tokens(self) -> int:
        """The longest answer, in tokens: at least half of the context is left to the prompt."""
        return min(LONGEST_ANSWER, self.n_positions // 2)


def load(source: ModelSource) -> LoadedModel:
    """Return the model, ready to generate on the GPU if there is one; raises StartError if it cannot be loaded."""
    logging.disable_progress_bar()
    pinned = {"revision": source.revision, "trust_remote_code": True}
    if not source.is_local:
        pinned["code_revision"] = source.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.path, revision=source.revision, trust_remote_code=True)
        model, report = AutoModelForCausalLM.from_pretrained(
            source.path, **pinned, dtype="auto", use_safetensors=True, output_loading_info=True
        )
        licence = _licence(source)
    except Exception as error:
        raise StartError(f"The model {source.path!r} cannot be loaded: {_first_line(error)}") from error
    if report["missing_keys"] or report["mismatched_keys"]:
        lacking = sorted(map(str, report["missing_keys"])) or sorted(map(str, report["mismatched_keys"]))
        raise StartError(
            f"The weights of {source.path!r} lack {len(lacking)} tensors that its config asks for, such as {lacking[0]}. "
            "Save the model again."
        )
    special = _special_ids(tokenizer)
    # A checkpoint's own sampling defaults must not change what the page says it does.
    model.generation_config = GenerationConfig(eos_token_id=sorted(special.values()), pad_token_id=special[END_OF_TEXT])
    parameters = model.num_parameters()  # packed weights are none any more
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    if model.device.type == "cpu" and hasattr(model, "optimize_for_cpu"):
        model.optimize_for_cpu("packed")
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        fingerprint=_fingerprint(source, model),
        parameters=parameters,
        licence=licence,
        special_ids=frozenset(special.values()),
        fim_ids=_fim_ids(special),
    )


def _special_ids(tokenizer: Any) -> dict[str, int]:
    """Return the ids of all special tokens; END_OF_TEXT stands for the tokenizer's own end whatever its spelling."""
    ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in tokenizer.all_special_tokens}
    known = tokenizer.get_vocab()
    ids |= {t: known[t] for t in ("<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>") if t in known}
    if END_OF_TEXT in known:
        ids[END_OF_TEXT] = known[END_OF_TEXT]
    elif tokenizer.eos_token_id is not None:
        ids[END_OF_TEXT] = int(tokenizer.eos_token_id)
    else:
        raise StartError(f"The tokenizer has no {END_OF_TEXT} token, so no text would ever end. Add it and save again.")
    return ids


def _fim_ids(special: Mapping[str, int]) -> FimIds | None:
    names = ("<fim-prefix>", "<fim-middle>", "<fim-suffix>")
    return FimIds(*(special[name] for name in names)) if all(name in special for name in names) else None


def _fingerprint(source: ModelSource, model: Any) -> str:
    """Return the commit of a repo, or the SHA-256 of a folder's weights, which is what the Hub shows per file."""
    if not source.is_local:
        # transformers notes the commit in its own configs, not in those that come with a repository's code.
        return f"commit {getattr(model.config, '_commit_hash', None) or source.revision or 'unknown'}"
    digest = hashlib.sha256()
    files = sorted(Path(source.path).glob("*.safetensors"))
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return f"weights sha256 {digest.hexdigest()}"


def file_of(source: ModelSource, name: str) -> str | None:
    """Return where a file of the model lies on this machine, or None if the model has no such file."""
    found = cached_file(source.path, name, revision=source.revision, _raise_exceptions_for_missing_entries=False)
    return str(found) if found else None


def _licence(source: ModelSource) -> str | None:
    """Return the licence id in the model card's front matter, or None without a card."""
    card = file_of(source, "README.md")
    licence = (metadata_load(card) or {}).get("license") if card else None
    return licence if isinstance(licence, str) else None


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__

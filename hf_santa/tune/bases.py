"""Open a base model of any family that fills gaps, and refuse one that can't before anything is computed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.suite.fim_forms import FimForm, form_of
from hf_santa.errors import HfSantaError
from modeling_santa.checkpoints import read_config
from modeling_santa.layouts_santa import is_original

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
MOST_PADDING = 1024  # rows of a vocabulary without a token; Qwen2.5's has 399
FAMILIES = (
    "SantaCoder, StarCoder, StarCoder2, Qwen2.5-Coder, Qwen3-Coder, DeepSeek-Coder, CodeLlama, CodeGemma or Granite"
)
WANTED_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja", "tokenizer.model")


class BaseError(HfSantaError):
    """A model can't be tuned; the message says what was seen and what could be done."""


@dataclass(frozen=True)
class FimBase:
    """A base: where it is, its architecture, its tokenizer, how it is told of a gap, and its context in tokens."""

    folder: Path
    kind: str
    tokenizer: Any
    form: FimForm
    context: int

    @property
    def is_santa(self) -> bool:
        """Whether our own class trains it and writes the canonical folder."""
        return self.kind == "gpt_bigcode" and self.form.name == "santacoder"


def folder_of_base(name: str) -> Path:
    """Return the folder of a base, which is fetched where the name is that of a repository on the Hub.

    Raises:
        BaseError: there is neither.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not _REPOSITORY.fullmatch(name):
        raise BaseError(f"--base {name}: there is no such folder. Give a model folder, or a repository as OWNER/NAME.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED_FILES)))
    except OSError as error:
        raise BaseError(
            f"--base {name}: there is no such folder, and no model of this name could be read from the Hub "
            f"({str(error).splitlines()[0][:160]}). Check the name and the network, or give a folder."
        ) from error


def open_base(folder: Path) -> FimBase:
    """Return a base after a look at its configuration, files and tokenizer; no weights are read.

    Raises:
        BaseError: it is no causal model, has pickled weights alone, no sentinels, or a tokenizer that is not its own.
        ModelError: it has no configuration.
    """
    config = read_config(folder)
    kind = str(config.get("model_type"))
    if is_original(config):
        raise BaseError(
            f"{folder} is in SantaCoder's original layout. Convert it first: hf-santa model convert {folder} NEW_FOLDER"
        )
    _check_class(folder, kind, config)
    if not list(folder.glob("*.safetensors")):
        raise BaseError(
            f"{folder} has no weights in safetensors{' but pickled ones' if list(folder.glob('*.bin')) else ''}. Download "
            "them, or convert a SantaCoder model: hf-santa model convert."
        )
    tokenizer = open_tokenizer(folder)
    _check_tokenizer(folder, tokenizer, config)
    form = form_of(tokenizer)
    if form.name == "left-to-right":
        raise BaseError(
            f"{folder}: its tokenizer has no fill-in-the-middle tokens, so the model can't be told of a gap. Choose a base "
            f"that has them ({FAMILIES}), or train one: hf-santa pretrain."
        )
    context = config.get("max_position_embeddings") or config.get("n_positions") or config.get("n_ctx")
    if not isinstance(context, int) or context < 64:
        raise BaseError(f"{folder / 'config.json'} names no context (max_position_embeddings or n_positions).")
    return FimBase(folder, kind, tokenizer, form, context)


def open_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder, by the rules of its own `tokenizer.json` where it has one.

    Raises:
        BaseError: it has none that can be opened.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # A tokenizer_config.json may name a class that splits texts otherwise than the tokenizer.json beside it.
    opener = PreTrainedTokenizerFast if (folder / "tokenizer.json").is_file() else AutoTokenizer
    try:
        return opener.from_pretrained(folder)
    except Exception as error:
        raise BaseError(
            f"{folder} has no tokenizer that can be opened ({' '.join(str(error).split())[:160]}). Copy tokenizer.json and "
            "tokenizer_config.json of the model into it."
        ) from error


def _check_class(folder: Path, kind: str, config: dict[str, Any]) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.get("is_encoder_decoder"):
        named = ", ".join(config.get("architectures") or ["unnamed"])
        raise BaseError(
            f"{folder} holds a model of type {kind!r} ({named}), which transformers has no causal language model for "
            f"without code of the repository's own. Choose a base like {FAMILIES}."
        )


def _check_tokenizer(folder: Path, tokenizer: Any, config: dict[str, Any]) -> None:
    """Refuse a tokenizer that has more tokens than the model, far fewer, or another token where the model ends a text."""
    size, vocabulary = len(tokenizer), config.get("vocab_size")
    advice = "Use the tokenizer that the model was trained with."
    if not isinstance(vocabulary, int) or size > vocabulary:
        raise BaseError(f"{folder}: its tokenizer has {size} tokens, and its model {vocabulary}. {advice}")
    if vocabulary - size > max(MOST_PADDING, vocabulary // 20):
        raise BaseError(
            f"{folder}: its tokenizer has {size} tokens, far fewer than the {vocabulary} of its model. {advice}"
        )
    eos = config.get("eos_token_id")
    ends = [eos] if isinstance(eos, int) else [each for each in eos or () if isinstance(each, int)]
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if ends and not special.intersection(ends):
        found = ", ".join(repr(tokenizer.convert_ids_to_tokens(end)) for end in ends)
        raise BaseError(
            f"{folder}: its model ends texts with id {ends[0]}, which is no special token of its tokenizer but {found}. "
            f"{advice}"
        )

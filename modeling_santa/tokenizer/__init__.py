"""Train the byte-level BPE tokenizer, open it, and encode many texts with it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeling_santa.tokenizer.train import load_tokenizer

_HOMES = {
    "load_tokenizer": "train",
}
__all__ = ["load_tokenizer"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

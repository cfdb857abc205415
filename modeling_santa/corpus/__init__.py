"""Pack texts into token shards, and draw training samples from them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeling_santa.corpus.fim_samples import FimDataset, read_tokens

_HOMES = {
    "FimDataset": "fim_samples",
    "read_tokens": "fim_samples",
}
__all__ = ["FimDataset", "read_tokens"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Read the tensors of a checkpoint, of a folder or the Hub; a missing or damaged file is named.

The class's `from_pretrained`, `convert_checkpoint`, `hf-santa model info` and fine-tuning all read through this file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import load_state_dict
from transformers.utils import cached_file

from .errors_santa import ModelError
from .layouts_santa import HEAD, canonical_names, check, expected_shapes

NAMES = ("model.safetensors", "pytorch_model.bin")
Place = str | os.PathLike[str]


def weight_files(place: Place, hub: Mapping[str, Any] | None = None) -> list[str]:
    """Return the paths of a checkpoint's files, safetensors before `.bin`; none if it has neither.

    Raises:
        ModelError: the index of a sharded checkpoint is damaged, or names a file outside of the checkpoint.
    """

    def found(name: str) -> str | None:
        path: str | None = cached_file(place, name, _raise_exceptions_for_missing_entries=False, **(hub or {}))
        return path

    for name in NAMES:
        index = found(f"{name}.index.json")
        if index is not None:
            shards = _shards(Path(index))
            paths = {shard: found(shard) for shard in shards}
            lacking = [shard for shard, path in paths.items() if path is None]
            if lacking:
                raise ModelError(f"{place} lacks {lacking[0]}, which {Path(index).name} names. Download it again.")
            return [path for path in paths.values() if path is not None]
        single = found(name)
        if single is not None:
            return [single]
    return []


def read_weights(
    place: Place, hub: Mapping[str, Any] | None = None, *, only_shapes: bool = False
) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint, all shards together; `only_shapes` gives them on the meta device, unread.

    Raises:
        ModelError: there are none, a file is damaged, or a pickle asks for more than tensors.
    """
    paths = weight_files(place, hub)
    if not paths:
        raise ModelError(f"{place} has neither {NAMES[0]} nor {NAMES[1]}. Name the folder of a saved model.")
    device = "meta" if only_shapes else "cpu"
    return {name: tensor for path in paths for name, tensor in _read(path, device).items()}


def check_weights(place: Place, config: Any, hub: Mapping[str, Any]) -> None:
    """Check names, shapes and dtypes of a canonical checkpoint without reading its numbers.

    More tensors than the model has are let pass: whoever opens the model reports them. So is a head that is missing.

    Raises:
        ModelError: as `layouts_santa.check`, and what `read_weights` raises.
    """
    if weight_files(place, hub):
        expected = {name: shape for name, shape in expected_shapes(config).items() if name != HEAD}
        check(canonical_names(read_weights(place, hub, only_shapes=True)), expected, may_have_more=True)


def check_loaded(place: Place, model: torch.nn.Module, missing: set[str]) -> None:
    """Check that an opened model got all of its tensors, and that they are finite.

    Raises:
        ModelError: with up to three of the names.
    """
    not_finite = [
        name
        for name, weight in model.named_parameters()
        if weight.device.type != "meta" and not torch.isfinite(weight.detach().sum(dtype=torch.float32))
    ]
    for what, found in (("missing", sorted(missing)), ("not finite", not_finite)):
        if found:
            raise ModelError(
                f"{place}: {len(found)} of the tensors that config.json asks for are {what}: {', '.join(found[:3])}"
                f"{', …' if len(found) > 3 else ''}. The model would answer with noise. "
                "Check that config.json belongs to these weights and that the download is whole."
            )


def _shards(index: Path) -> list[str]:
    """Return the files that an index names, which have to be files beside it."""
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{index} is no index of a sharded checkpoint ({error}). Download it again.") from error
    for shard in shards:
        if Path(shard).name != shard or shard.startswith("."):
            raise ModelError(f"{index} names {shard!r}, which is no file beside it. Do not trust this checkpoint.")
    return shards


def _read(path: str, device: str) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = load_state_dict(path, map_location=device, weights_only=True)
    except Exception as error:
        # UnpicklingError, RuntimeError, EOFError, OSError or SafetensorError, by what is wrong with the file; torch's
        # own message would go on to advise to load it all the same.
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0][:200]
        if path.endswith(".bin"):
            raise ModelError(
                f"{path} is refused ({type(error).__name__}: {reason}). Only tensors are unpickled, never code. "
                "Use a safetensors file, or download it again if it is damaged."
            ) from error
        raise ModelError(
            f"{path} cannot be read ({reason}). The file is damaged: save or download it again."
        ) from error
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ModelError(f"{path} holds something else than named tensors. Save the model's state dict.")
    return state

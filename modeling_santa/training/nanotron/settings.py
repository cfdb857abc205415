"""Read a training configuration, a name or a file, apply changes to it, and check every key.

Needs neither nanotron nor torch, so that a dry run answers at once.
"""

import contextlib
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from modeling_santa.errors_santa import ModelError
from modeling_santa.training.nanotron.recipes import RUN_RECIPES, SCHEMAS, as_config

MORE_KEYS = {
    "general": ("step", "consumed_train_samples", "benchmark_csv_path"),
    "parallelism": ("tp_linear_async_communication", "expert_parallel_size"),
    "model": ("ddp_bucket_cap_mb",),
    "tokenizer": ("tokenizer_revision", "tokenizer_max_length"),
    "checkpoints": ("save_initial_state",),
    "tokens": ("val_check_interval", "limit_val_batches", "limit_test_batches"),
}
"""Keys of nanotron's own that the table does not use, by section."""

OPTIONAL = {"fim": ("line_rate", "mode")}
"""Keys that files of an older hf-santa lack; left out, they are 0 and `whole`."""


def load_settings(name_or_file: str, *, schema: str = "0.4", gpus: int | None = None) -> dict[str, Any]:
    """Return the configuration of a training recipe, or that of a YAML file, checked.

    Raises:
        ValueError: there is no such recipe or file, it is no YAML mapping, or a key is unknown or missing.
    """
    if name_or_file in RUN_RECIPES:
        config = as_config(RUN_RECIPES[name_or_file], schema)
    else:
        config = _read(Path(name_or_file), name_or_file)
        check_keys(config, schema, name_or_file)
    if gpus is not None:
        _share(config, gpus)
    return config


def _read(path: Path, name_or_file: str) -> dict[str, Any]:
    if not path.is_file():
        near = difflib.get_close_matches(name_or_file, RUN_RECIPES, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelError(
            f"train: {name_or_file!r} is neither a file nor a configuration.{hint} There are: {', '.join(RUN_RECIPES)}."
        )
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"train: {path} is not YAML ({str(error)[:200]}).") from error
    if not isinstance(config, dict):
        raise ModelError(
            f"train: {path} holds a {type(config).__name__}, expected sections such as 'model' and 'tokens'."
        )
    return config


def check_keys(config: Mapping[str, Any], schema: str, place: str) -> None:
    """Check that every key is one that nanotron knows in this schema, and that none that a run needs is missing.

    Raises:
        ValueError: names the key, and the nearest known one or, where it belongs to the other schema, that.
    """
    _check_section(config, as_config(RUN_RECIPES["fim"], schema), place, (), schema)


def _check_section(
    found: Mapping[str, Any], known: Mapping[str, Any], place: str, path: tuple[str, ...], schema: str
) -> None:
    section = ".".join(path)
    allowed = [*known, *MORE_KEYS.get(section, ())]
    for key, value in found.items():
        if key not in allowed:
            raise ModelError(
                f"train: {place} has the unknown key {'.'.join((*path, str(key)))!r}.{_hint(str(key), allowed, schema, path)}"
            )
        if isinstance(known.get(key), dict):
            if not isinstance(value, dict):
                name = ".".join((*path, key))
                raise ModelError(f"train: {place}: {name} is {value!r}, expected a section.")
            if section != "model" or key != "init_method":  # there, `path` may stand in the place of `std`
                _check_section(value, known[key], place, (*path, key), schema)
        elif isinstance(known.get(key), int | float) and not isinstance(value, int | float):
            raise ModelError(
                f"train: {place}: {'.'.join((*path, key))} is {value!r}, expected a number such as {known[key]}."
            )
    missing = [key for key in known if key not in found and key not in OPTIONAL.get(section, ())]
    if missing:
        names = ", ".join(".".join((*path, key)) for key in missing)
        raise ModelError(
            f"train: {place} lacks {names}. Start from one of the files that `hf-santa train --list` names."
        )


def _hint(key: str, allowed: Iterable[str], schema: str, path: tuple[str, ...]) -> str:
    (other,) = (each for each in SCHEMAS if each != schema)
    section: Any = as_config(RUN_RECIPES["fim"], other)
    for name in path:
        section = section.get(name, {})
    if key in section:
        return f" It belongs to the schema of nanotron {other}: use --schema {other}."
    near = difflib.get_close_matches(key, list(allowed), 1)
    return f" Did you mean {near[0]!r}?" if near else f" Known here: {', '.join(allowed)}."


def change(config: dict[str, Any], settings: Iterable[str], schema: str) -> None:
    """Apply settings such as `tokens.train_steps=100`, whose values are read as YAML, and check the keys again.

    Raises:
        ValueError: a setting has no `=`, or its key is unknown.
    """
    for setting in settings:
        key, sign, value = setting.partition("=")
        *path, last = key.split(".")
        section: Any = config
        for name in path:
            section = section.setdefault(name, {}) if isinstance(section, dict) else None
        if not sign or not isinstance(section, dict):
            raise ModelError(f"train: --set {setting!r} is no setting. Write it as tokens.train_steps=100.")
        section[last] = _value(value)
    check_keys(config, schema, "--set")


def _value(text: str) -> Any:
    """Return the YAML value of a text, and a number where YAML sees none, as in 1e-3."""
    value = yaml.safe_load(text)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _share(config: dict[str, Any], gpus: int) -> None:
    """Keep the sequences of a step and share them among another number of GPUs."""
    tokens = config["tokens"]
    batch = tokens["micro_batch_size"] * tokens["batch_accumulation_per_replica"] * config["parallelism"]["dp"]
    if gpus < 1 or batch % gpus:
        raise ModelError(
            f"train: {batch} sequences a step cannot be shared by {gpus} GPUs. Choose a divisor of {batch}."
        )
    each = batch // gpus
    micro = max(size for size in range(1, tokens["micro_batch_size"] + 1) if each % size == 0)
    config["parallelism"]["dp"] = gpus
    tokens |= {"micro_batch_size": micro, "batch_accumulation_per_replica": each // micro}


def sequences_a_step(config: Mapping[str, Any]) -> int:
    """Return the number of sequences in one optimizer step, over all GPUs."""
    tokens = config["tokens"]
    return int(tokens["micro_batch_size"] * tokens["batch_accumulation_per_replica"] * config["parallelism"]["dp"])

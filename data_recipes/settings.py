"""The settings of a run, in one place: `run`, the stages at scale, the datasets builder and the command line take these."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from data_recipes.disk.files import SHARD_BYTES, checksum
from data_recipes.engine.processors import usable_processors
from data_recipes.errors import DataError
from data_recipes.filters.filter import COMPATS, Measuring
from data_recipes.filters.permissions import Permissions
from data_recipes.filters.registry import filters, thresholds_for
from data_recipes.pii.detector import Detector
from data_recipes.pii.recognizers import identity_of
from data_recipes.pii.redaction_key import RedactionKey, key_of_run
from data_recipes.pii.replacements import POLICY_VERSION, STYLES
from data_recipes.recipes import ALL, find_recipe
from data_recipes.sources.row import MAX_FILE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run makes of its source. Checked when it is made; the values can be sent to another machine.

    Attributes:
        recipe: A recipe's name, several, or "all" for every recipe for which the source has what it needs. The first
            is the default of `load_dataset(out)`; `base` is always among them.
        threads: Threads to work with; None: one a core.
        benchmarks: JSONL files or records whose strings are searched for, see `decontaminate`.
        filters: Filters that drop further files from the store: "xml", "html".
        permissions: Opt-outs and licences.
        tokenizer: A tokenizer.json or a folder that holds one, for recipe "fertility".
        compat: "report", or "bigcode" to follow BigCode's released code where it differs from the report.
        seed: Draws the replacements of personal data so that everyone can repeat, and guess, them: for tests.
        key_file: Draws them with the secret in this file. Without either the key is random and ends with the run.
        pii_types: The types of personal data to replace; None: e-mail addresses, IP addresses, keys, and what the
            recognizers find.
        style: How it is replaced: "santacoder", "starcoder" or "preserve", see `redact`.
        rules: A TOML file of rules for keys besides those of this package.
        recognizers: presidio's recognizers, or their names (`module:NAME`), that are asked, too.
        max_file_bytes: Larger files are rejected.
        shard_bytes: About so many bytes of content are in one parquet file of the store.
        keep_work: Keep the annotated shards in `.work` of the output, so that a run with other opt-outs or a part of
            the recipes redoes no shard. They are about as large as the store, and hold opted-out files.
    """

    recipe: str | tuple[str, ...] = "near_dedup"
    threads: int | None = None
    benchmarks: tuple[Any, ...] = ()
    filters: tuple[str, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
    tokenizer: str | None = None
    compat: str = "report"
    seed: int | None = None
    key_file: str | None = None
    pii_types: tuple[str, ...] | None = None
    style: str = "santacoder"
    rules: str | None = None
    recognizers: tuple[Any, ...] = ()
    max_file_bytes: int = MAX_FILE_BYTES
    shard_bytes: int = SHARD_BYTES
    keep_work: bool = False

    def __post_init__(self) -> None:
        self._set("recipe", self.recipe if isinstance(self.recipe, str) else tuple(self.recipe))
        for name in ("benchmarks", "filters", "recognizers", *(("pii_types",) if self.pii_types is not None else ())):
            self._set(name, _as_tuple(name, getattr(self, name)))
        self._set("permissions", self.permissions or Permissions())
        for name in ("tokenizer", "key_file", "rules"):
            self._set(name, None if getattr(self, name) is None else fspath(getattr(self, name)))
        for name in [self.recipe] if isinstance(self.recipe, str) else self.recipe:
            if name != ALL:
                find_recipe(name)
        known = filters("store")
        if unknown := [name for name in self.filters if name not in known]:
            raise DataError(f"filters={list(self.filters)} names {unknown}. Choose of {', '.join(known)}.")
        if self.compat not in COMPATS:
            raise DataError(f"compat={self.compat!r} is unknown. Choose one of {', '.join(COMPATS)}.")
        for name in ("threads", "max_file_bytes", "shard_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise DataError(f"{name}={value!r} is no whole number of 1 or more. Choose how many.")

        if self.style not in STYLES:
            raise DataError(f"style={self.style!r} is unknown. Choose one of {', '.join(STYLES)}.")
        self.redaction_key()
        self.detector()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def changed(self, **changes: Any) -> "RunSettings":
        """Return these settings with some of them changed; what is None stays as it is."""
        if unknown := sorted(changes.keys() - {item.name for item in fields(self)}):
            known = ", ".join(item.name for item in fields(self))
            raise TypeError(f"There is no setting {unknown[0]!r}. Settings: {known}.")
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def redaction_key(self, kept: Path | None = None) -> RedactionKey:
        """Return the key that replacements of personal data are drawn with.

        A random one is another at each call, or the one in the file `kept`.
        """
        return key_of_run(self.seed, self.key_file, kept)

    def detector(self) -> Detector:
        """Return what finds personal data."""
        return Detector(self.pii_types, self.rules, self.recognizers)

    def redaction(self) -> dict[str, Any]:
        """Return all that redaction depends on besides the key, as JSON values."""
        return {
            "policy": POLICY_VERSION,
            "types": list(self.detector().types),
            "style": self.style,
            "rules": None if self.rules is None else checksum(Path(self.rules)),
            "recognizers": [identity_of(one) for one in self.recognizers],
        }

    def measuring(self) -> Measuring:
        """Return what the filters measure with."""
        return Measuring(self.tokenizer, self.compat, self.threads or usable_processors())

    def thresholds(self, steps: Iterable[str] = ()) -> dict[str, Any]:
        """Return the thresholds of the store's filters and of some steps."""
        known = filters()
        named = [*filters("base"), *self.filters, *(step for step in steps if step in known)]
        return thresholds_for(self.compat, [name for name in known if name in named])


def _as_tuple(name: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str | PathLike) or hasattr(given, "keys"):
        raise DataError(f"{name} is a single value, {given!r}. Pass a list of them.")
    return tuple(given)

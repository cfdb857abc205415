"""All settings of a run in one object, for `run`, the stages at scale, the builder and the command line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from data_recipes.dedup.modes import MODES
from data_recipes.dedup.signatures import Mode
from data_recipes.disk.files import SHARD_BYTES, checksum
from data_recipes.engine.processors import usable_processors
from data_recipes.errors import DataError
from data_recipes.filters.filter import COMPATS, Measuring
from data_recipes.filters.own import load_files, load_installed
from data_recipes.filters.paths import PathChoice
from data_recipes.filters.permissions import Permissions
from data_recipes.filters.registry import filters, thresholds_for
from data_recipes.pii.detector import Detector
from data_recipes.pii.recognizers import identity_of
from data_recipes.pii.redaction_key import RedactionKey, key_of_run
from data_recipes.pii.replacements import POLICY_VERSION, STYLES
from data_recipes.recipe_file import is_recipe_file, read_recipe
from data_recipes.recipes import ALL, RECIPES, Recipe, find_recipe, mode_of
from data_recipes.sources.row import MAX_FILE_BYTES

RecipeName = str | PathLike[str] | Recipe
RecipeNames = RecipeName | Sequence[RecipeName]
"""A recipe's name, the path of a file with one, or the recipe itself; or several of them."""

_OF_A_RECIPE = ("filters", "pii_types", "style", "benchmarks", "classifier", "languages", "include", "exclude")
"""The settings that a recipe may come with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run makes of its source. Checked when it is made; the values can be sent to another machine.

    Attributes:
        recipe: A recipe's name, a `Recipe`, the path of a YAML file with one, several of these, or "all" for every
            built-in recipe for which the source has what it needs. The first is the default of `load_dataset(out)`;
            `base` is always among them.
        threads: Threads to work with; None: one a core.
        benchmarks: JSONL files or records whose strings are searched for, see `decontaminate`.
        filters: Filters that drop further files from the store: "xml", "html" and others of stage `store`.
        filter_modules: Python files that define filters of one's own; they are run.
        languages: Take the files of these languages alone; a kind (programming, markup, data, prose) is all of its own.
        include: Take only files whose path matches one of these patterns, written as in a `.gitignore`.
        exclude: Leave out files whose path matches one of these.
        permissions: Opt-outs and licences.
        tokenizer: A tokenizer.json or a folder that holds one, for recipe "fertility".
        classifier: A file that `hf-santa data classifier train` wrote, for recipe "quality".
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

    recipe: RecipeNames = "near_dedup"
    threads: int | None = None
    benchmarks: tuple[Any, ...] = ()
    filters: tuple[str, ...] = ()
    filter_modules: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
    tokenizer: str | None = None
    classifier: str | None = None
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
        lists = ("benchmarks", "filters", "filter_modules", "languages", "include", "exclude", "recognizers")
        for name in (*lists, *(("pii_types",) if self.pii_types is not None else ())):
            self._set(name, _as_tuple(name, getattr(self, name)))
        self._set("permissions", self.permissions or Permissions())
        for name in ("tokenizer", "classifier", "key_file", "rules"):
            self._set(name, None if getattr(self, name) is None else fspath(getattr(self, name)))
        load_installed()
        self._set("filter_modules", tuple(map(fspath, self.filter_modules)))
        load_files(self.filter_modules)
        chosen = tuple(_read(name) for name in _names(self.recipe))
        is_single = isinstance(self.recipe, str | PathLike | Recipe)
        self._set("recipe", chosen[0] if is_single else chosen)
        for name in self.chosen():
            if name != ALL:
                find_recipe(name)
        self._take_from_recipes()
        known = filters("store")
        if unknown := [name for name in self.filters if name not in known]:
            raise DataError(f"filters={list(self.filters)} names {unknown}. Choose of {', '.join(known)}.")
        if self.compat not in COMPATS:
            raise DataError(f"compat={self.compat!r} is unknown. Choose one of {', '.join(COMPATS)}.")
        for name in ("threads", "max_file_bytes", "shard_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise DataError(f"{name}={value!r} is no whole number of 1 or more. Choose how many.")
        self.paths()
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
        return Measuring(
            self.tokenizer, self.compat, self.threads or usable_processors(), self.every_threshold(), self.classifier
        )

    def thresholds(self, steps: Iterable[str] = ()) -> dict[str, Any]:
        """Return the thresholds of the store's filters and of some steps."""
        known = filters()
        named = [*filters("base"), *self.filters, *(step for step in steps if step in known)]
        return self._with_changes([name for name in known if name in named])

    def every_threshold(self) -> dict[str, Any]:
        """Return the thresholds of all filters."""
        return self._with_changes(list(filters()))

    def _with_changes(self, names: list[str]) -> dict[str, Any]:
        changes = {name: value for recipe in self.own_recipes() for name, value in recipe.thresholds.items()}
        return {name: changes.get(name, value) for name, value in thresholds_for(self.compat, names).items()}

    def modes(self) -> dict[str, Mode]:
        """Return the modes of near-deduplication by name, with the numbers of the recipes."""
        changes = {mode: made for recipe in self.own_recipes() for mode, made in recipe.near_dedup.items()}
        return {name: replace(mode, **changes.get(name, {})) for name, mode in MODES.items()}

    def own_recipes(self) -> list[Recipe]:
        """Return the recipes that are no built-in ones."""
        return [recipe for recipe in self.chosen() if isinstance(recipe, Recipe) and recipe.name not in RECIPES]

    def chosen(self) -> list[str | Recipe]:
        """Return the recipes, each by its name or itself."""
        return [name if isinstance(name, Recipe) else fspath(name) for name in _names(self.recipe)]

    def paths(self) -> PathChoice:
        """Return which files are taken by language and path."""
        return PathChoice(self.languages, self.include, self.exclude)

    def filter_module_sums(self) -> dict[str, Any]:
        """Return what filters of one's own there are, by checksum and version: other ones may decide otherwise."""
        return {"files": load_files(self.filter_modules), "installed": load_installed()}

    def _take_from_recipes(self) -> None:
        """Check that the recipes agree, since a store has one value of each; take settings that were left as they are."""
        own = self.own_recipes()
        for kind in ("thresholds", "near_dedup", "settings"):
            for name in {name for recipe in own for name in getattr(recipe, kind)}:
                _agreed(own, kind, name)
        for recipe in own:
            for other in (find_recipe(name) for name in self.chosen() if name != ALL):
                if shared := _shared_change(recipe, other):
                    seen = f"recipes {recipe.name!r} and {other.name!r} have other numbers for {shared!r}"
                    raise DataError(f"{seen}. A store has one of each: write two stores.")
            for name, value in recipe.settings.items():
                default = next(item.default for item in fields(self) if item.name == name)
                if name in _OF_A_RECIPE and getattr(self, name) == default:
                    self._set(name, value)


def _names(given: RecipeNames) -> Sequence[RecipeName]:
    return [given] if isinstance(given, str | PathLike | Recipe) else given


def _agreed(recipes: Sequence[Recipe], kind: str, name: str) -> None:
    """Raise where two recipes give something different values."""
    values = [(recipe.name, getattr(recipe, kind)[name]) for recipe in recipes if name in getattr(recipe, kind)]
    for other, value in values[1:]:
        if value != values[0][1]:
            seen = f"recipe {values[0][0]!r} has {name} {values[0][1]!r}, recipe {other!r} {value!r}"
            raise DataError(f"{seen}. A store has one value: write two stores.")


def _shared_change(own: Recipe, other: Recipe) -> str | None:
    """Return a step of another recipe whose numbers one's own recipe changes and the other does not."""
    known: Mapping[str, Any] = filters()
    for step in other.steps:
        mode = mode_of(step)
        if mode and own.near_dedup.get(mode, {}) != other.near_dedup.get(mode, {}):
            return mode
        for name in known[step].thresholds if step in known else ():
            if own.thresholds.get(name) != other.thresholds.get(name):
                return step
    return None


def _as_tuple(name: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str | PathLike) or hasattr(given, "keys"):
        raise DataError(f"{name} is a single value, {given!r}. Pass a list of them.")
    return tuple(given)


def _read(name: RecipeName) -> str | Recipe:
    if isinstance(name, Recipe):
        return name
    return read_recipe(name) if is_recipe_file(name) else fspath(name)

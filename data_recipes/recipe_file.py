"""Read a user's recipe from a YAML file; an error names file, line and what was expected."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import yaml

from data_recipes.dedup.signatures import NUM_PERM
from data_recipes.engine.shingles import NGRAM
from data_recipes.errors import DataError
from data_recipes.filters.registry import filters
from data_recipes.pii.replacements import STYLES
from data_recipes.recipes import NEAR_DEDUP_MODES, RECIPES, Recipe, check_name

ENDINGS = (".yaml", ".yml")
MAX_BYTES = 1 << 20
_MOST_PARENTS = 32


def is_recipe_file(name: Any) -> bool:
    """Return whether a recipe is given as a path and not by its name."""
    return isinstance(name, PathLike) or (isinstance(name, str) and name.endswith(ENDINGS))


def read_recipe(path: str | PathLike[str]) -> Recipe:
    """Return the recipe that a YAML file describes.

    Fields: `name` (default: the file's), `summary`, `extends` (a built-in recipe or another file, whose fields hold where
    this file has none), `steps` (filters and modes of near-deduplication in order, each a name or `name: {number: value}`),
    `redaction` (`types`, `style`), `benchmarks`, `classifier`, `languages`, `include`, `exclude`.

    Raises:
        DataError: The file can't be read, or a field is not as expected; says in which line.
    """
    fields = _Fields()
    place = Path(fspath(path))
    _read_fields(place, fields, ())
    name = fields.name or place.stem
    try:
        check_name(name)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    summary = fields.summary or f"The recipe of {place.name}."
    return Recipe(
        name, summary, tuple(fields.steps), "one's own", fields.thresholds, fields.near_dedup, fields.settings
    )


class _Fields:
    """What was read so far; a child's fields come last and hold."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.summary: str | None = None
        self.steps: list[str] = []
        self.thresholds: dict[str, Any] = {}
        self.near_dedup: dict[str, dict[str, Any]] = {}
        self.settings: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class _Node:
    """A value of the file and where it is."""

    file: Path
    node: yaml.Node

    def error(self, text: str, expected: str) -> DataError:
        """Return the error that names the line."""
        return DataError(f"{self.file}, line {self.node.start_mark.line + 1}: {text}. Expected {expected}.")

    def shown(self) -> str:
        """Return the value as the file has it, cut short."""
        mark, end = self.node.start_mark, self.node.end_mark
        text = (mark.buffer or "")[mark.pointer : end.pointer].strip().rstrip("\0")
        return text if len(text) <= 40 else f"{text[:37]}..."

    def fields(self, expected: str) -> dict[str, tuple["_Node", "_Node"]]:
        """Return the keys and values of a mapping by the keys' text."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"{self.shown()!r} is no mapping", expected)
        found: dict[str, tuple[_Node, _Node]] = {}
        for key, value in self.node.value:
            name = _Node(self.file, key).text("a name")
            if name in found:
                raise _Node(self.file, key).error(f"{name!r} is given twice", "it once")
            found[name] = (_Node(self.file, key), _Node(self.file, value))
        return found

    def items(self, expected: str) -> list["_Node"]:
        """Return the items of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"{self.shown()!r} is no list", expected)
        return [_Node(self.file, item) for item in self.node.value]

    def text(self, expected: str) -> str:
        """Return a single word or sentence."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            raise self.error(f"{self.shown()!r} is no text", expected)
        return str(self.node.value)

    def texts(self, expected: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(item.text(expected) for item in self.items(expected))

    def value(self) -> Any:
        """Return a number, text, list or mapping as Python has it."""
        try:
            return yaml.constructor.SafeConstructor().construct_document(self.node)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self.error(f"{self.shown()!r} is not readable", "a number, text, list or mapping") from error


def _read_fields(path: Path, into: _Fields, chain: tuple[Path, ...]) -> None:
    """Read a file's fields, after those of the recipe that it extends."""
    resolved = path.resolve()
    if resolved in chain or len(chain) > _MOST_PARENTS:
        names = " extends ".join(str(one.name) for one in (*chain, resolved))
        raise DataError(f"{path}: a recipe that extends itself: {names}. Remove one `extends`.")
    root = _Node(path, _composed(path))
    found = root.fields(f"fields of {', '.join(_READERS)}")
    for name, (key, _) in found.items():
        if name not in _READERS:
            raise key.error(f"field {name!r} is unknown", f"one of {', '.join(_READERS)}")
    if "extends" in found:
        _extend(found["extends"][1], into, (*chain, resolved))
    for name, (_, value) in found.items():
        _READERS[name](value, into)


def _composed(path: Path) -> yaml.Node:
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_BYTES:
            raise DataError(f"{path}: no recipe file ({size:,} bytes). Expected YAML of less than {MAX_BYTES:,} bytes.")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 at byte {error.start}. Write it as UTF-8 text.") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Pass the path of a recipe's YAML file.") from error
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                line = token.start_mark.line + 1
                raise DataError(f"{path}, line {line}: a YAML alias (*{token.value}). Write the value out.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{path}, line {line}: no YAML: {error.problem}. Repair it.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: no YAML: {str(error)[:120]}. Repair it.") from error
    if node is None:
        raise DataError(f"{path} is empty. Expected fields of {', '.join(_READERS)}.")
    return node


def _extend(value: _Node, into: _Fields, chain: tuple[Path, ...]) -> None:
    """Take over the fields of the recipe that a file extends, but for its name and summary."""
    parent = value.text("a recipe's name or a .yaml file")
    if is_recipe_file(parent):
        place = value.file.parent / parent
        if not place.is_file():
            raise value.error(f"{parent!r} is no file", "the path of a recipe file, relative to this one")
        _read_fields(place, into, chain)
        into.name = into.summary = None
        return
    if parent not in RECIPES:
        raise value.error(f"recipe {parent!r} is unknown", f"one of {', '.join(RECIPES)}, or a .yaml file")
    into.steps = _plain_steps(RECIPES[parent])


def _plain_steps(recipe: Recipe) -> list[str]:
    """Return the steps of a recipe without the order in their names."""
    return [
        next((mode for mode in NEAR_DEDUP_MODES if step.startswith(f"{mode}_after_")), step) for step in recipe.steps
    ]


def _read_name(value: _Node, into: _Fields) -> None:
    into.name = value.text("a name")


def _read_summary(value: _Node, into: _Fields) -> None:
    into.summary = value.text("a sentence")


def _read_steps(value: _Node, into: _Fields) -> None:
    """Take steps and their numbers in place of those of a parent."""
    into.steps, into.thresholds, into.near_dedup = [], {}, {}
    into.settings.pop("filters", None)
    known, seen, dropping = filters(), set[str](), list[str]()
    for item in value.items("a list of filters and modes of near-deduplication"):
        name_at, numbers = _named(item)
        name = name_at.text("the name of a step")
        if name not in known and name not in NEAR_DEDUP_MODES:
            choices = ", ".join([*known, *NEAR_DEDUP_MODES])
            raise name_at.error(f"step {name!r} is unknown", f"one of {choices}")
        if name in seen:
            raise name_at.error(f"step {name!r} is given twice", "it once")
        seen.add(name)
        if name in NEAR_DEDUP_MODES:
            into.steps.append(name)
            into.near_dedup |= {name: _mode_numbers(numbers)} if numbers else {}
            continue
        {"recipe": into.steps, "store": dropping, "base": []}[known[name].stage].append(name)
        into.thresholds |= _filter_numbers(numbers, name, known[name].thresholds) if numbers else {}
    if dropping:
        into.settings["filters"] = tuple(dropping)


def _named(item: _Node) -> tuple[_Node, _Node | None]:
    """Return the name of a step and its numbers, if it has any: `name`, or `name: {number: value}`."""
    if not isinstance(item.node, yaml.MappingNode):
        return item, None
    pairs = list(item.fields("name: {number: value}").values())
    if len(pairs) != 1:
        raise item.error(f"{len(pairs)} names in one step", "one step an item of the list")
    name, numbers = pairs[0]
    return name, None if isinstance(numbers.node, yaml.ScalarNode) and not numbers.node.value else numbers


def _filter_numbers(value: _Node, step: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the thresholds that a step changes, of the same types as the filter's own."""
    found = {}
    names = ", ".join(known) or "none: it has no thresholds"
    for name, (key, given) in value.fields(f"thresholds of {step}: {names}").items():
        if name not in known:
            raise key.error(f"{step} has no threshold {name!r}", names)
        made = given.value()
        if (expected := _type_problem(made, known[name])) is not None:
            raise given.error(f"{name} is {given.shown()!r}", expected)
        found[name] = made
    return found


def _type_problem(value: Any, default: Any) -> str | None:
    """Return what was expected in place of a value; None where it is of the default's type."""
    if isinstance(default, Mapping):
        is_right = isinstance(value, dict) and all(
            isinstance(k, str) and (_is_number(v) or _is_percentile(v)) for k, v in value.items()
        )
        expected = "a mapping of languages to numbers or percentiles, for example {Python: 2.5, '*': 5%}"
        return None if is_right and value else expected
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, int | float):
        return None if _is_number(value) else f"a number, for example {default}"
    if isinstance(default, str):
        return None if isinstance(value, str) else "a text"
    return None if isinstance(value, list) else "a list"


def _is_percentile(value: Any) -> bool:
    """Return whether a value is a share of a language's files, from 0% to 100%."""
    found = isinstance(value, str) and re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value)
    return bool(found) and float(value[:-1]) <= 100


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_MODE_NUMBERS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "threshold": (lambda x: _is_number(x) and 0 < x <= 1, "a Jaccard similarity, above 0 and up to 1"),
    "ngram": (lambda x: x in {1, NGRAM} and not isinstance(x, bool), f"1 (distinct tokens) or {NGRAM} ({NGRAM}-grams)"),
    "is_verified": (lambda x: isinstance(x, bool), "true or false"),
    "bands": (
        lambda x: (
            isinstance(x, list)
            and len(x) == 2
            and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in x)
            and x[0] * x[1] <= NUM_PERM
        ),
        f"[bands, rows], whole numbers whose product is at most {NUM_PERM}",
    ),
}


def _mode_numbers(value: _Node) -> dict[str, Any]:
    found = {}
    for name, (key, given) in value.fields(", ".join(_MODE_NUMBERS)).items():
        if name not in _MODE_NUMBERS:
            raise key.error(f"near-deduplication has no {name!r}", ", ".join(_MODE_NUMBERS))
        made = given.value()
        is_right, expected = _MODE_NUMBERS[name]
        if not is_right(made):
            raise given.error(f"{name} is {given.shown()!r}", expected)
        found[name] = tuple(made) if isinstance(made, list) else made
    return found


def _read_redaction(value: _Node, into: _Fields) -> None:
    for name, (key, given) in value.fields("types, style").items():
        if name == "types":
            into.settings["pii_types"] = given.texts("a list of types, for example [EMAIL_ADDRESS, KEY]")
        elif name == "style":
            style = given.text(f"one of {', '.join(STYLES)}")
            if style not in STYLES:
                raise given.error(f"style {style!r} is unknown", f"one of {', '.join(STYLES)}")
            into.settings["style"] = style
        else:
            raise key.error(f"redaction has no {name!r}", "types, style")


def _read_benchmarks(value: _Node, into: _Fields) -> None:
    """Take the files of benchmarks, which are named relative to the recipe's file."""
    expected = "a list of JSONL files, relative to this one"
    places = [(item, value.file.parent / item.text(expected)) for item in value.items(expected)]
    for item, place in places:
        if not place.is_file():
            raise item.error(f"{item.shown()!r} is no file", expected)
    into.settings["benchmarks"] = tuple(str(place) for _, place in places)


def _read_classifier(value: _Node, into: _Fields) -> None:
    """Take the classifier's file, which is named relative to the recipe's file."""
    expected = "a file that `data classifier train` wrote, relative to this one"
    place = value.file.parent / value.text(expected)
    if not place.is_file():
        raise value.error(f"{value.shown()!r} is no file", expected)
    into.settings["classifier"] = str(place)


def _reader_of(name: str, expected: str) -> Callable[[_Node, _Fields], None]:
    def read(value: _Node, into: _Fields) -> None:
        into.settings[name] = value.texts(expected)

    return read


def _is_read_first(value: _Node, into: _Fields) -> None:
    """Do nothing: what is extended was read before the other fields."""


_READERS: Mapping[str, Callable[[_Node, _Fields], None]] = {
    "name": _read_name,
    "summary": _read_summary,
    "extends": _is_read_first,
    "steps": _read_steps,
    "redaction": _read_redaction,
    "benchmarks": _read_benchmarks,
    "classifier": _read_classifier,
    "languages": _reader_of("languages", "a list of languages, for example [Python, Go]"),
    "include": _reader_of("include", "a list of patterns as in a .gitignore"),
    "exclude": _reader_of("exclude", "a list of patterns as in a .gitignore"),
}

"""The offline check of a card: what the Hub would refuse, and what it would silently not understand."""

import fnmatch
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hf_santa.repositories.kinds import Kind, ReleaseError, files_of, split_card

LICENSES = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "odc-by", "bigcode-openrail-m", "openrail"})
COLORS = frozenset({"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"})
SIZES = frozenset({"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "n>10M"})
_REPO = re.compile(r"[\w.-]+/[\w.-]+")


class CardError(ReleaseError):
    """A card is not as the Hub wants it; the message lists everything that is wrong."""


def check_card(folder: Path, kind: Kind) -> None:
    """Refuse a repository whose README.md the Hub would refuse or misread.

    Raises:
        CardError: lists everything that is wrong.
    """
    problems = list(lint(folder, kind))
    if problems:
        raise CardError(f"{folder / 'README.md'}:\n  " + "\n  ".join(problems))


def lint(folder: Path, kind: Kind) -> Iterator[str]:
    """What is wrong with a repository's card; nothing for a good one."""
    readme = folder / "README.md"
    if not readme.is_file():
        yield "it is missing, and every repository needs a card. Stage the folder again."
        return
    try:
        header, body = split_card(readme.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        yield "it is not UTF-8. Save it as UTF-8."
        return
    except ReleaseError as error:
        yield str(error)
        return
    yield from _everywhere(header, body, folder)
    yield from _CHECKS[kind.name](header, folder)


def _everywhere(header: dict[str, Any], body: str, folder: Path) -> Iterator[str]:
    license_id = header.get("license")
    if license_id not in LICENSES | {"other"}:
        yield f"license is {license_id!r}. Expected one of {', '.join(sorted(LICENSES))}, or other."
    languages = header.get("language", [])
    for code in [languages] if isinstance(languages, str) else languages:
        if not re.fullmatch(r"[a-z]{2,3}|code|multilingual", str(code)):
            yield f"language {code!r} is no ISO 639 code. Natural languages go here, or `code`."
    tags = header.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        yield f"tags is {tags!r}. Expected a list of words."
    if not re.search(r"^# \S", body, re.MULTILINE):
        yield "there is no title. Begin the text with `# ` and a name."
    if found := re.search(r"\$(?:\w+|\{)", re.sub(r"```.*?```|`[^`\n]*`", "", body, flags=re.DOTALL)):
        yield f"the placeholder {found[0]} was never filled in."
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", body):
        if not (folder / target).is_file():
            yield f"the link to {target} leads to no file of this repository."


def _model(header: dict[str, Any], folder: Path) -> Iterator[str]:
    if header.get("license") != "bigcode-openrail-m" or not str(header.get("license_link", "")).startswith("https://"):
        yield "a model is under bigcode-openrail-m, with the address of its text as license_link."
    for key, expected in (("pipeline_tag", "text-generation"), ("library_name", "transformers")):
        if header.get(key) != expected:
            yield f"{key} is {header.get(key)!r}, expected {expected!r}."
    for name in header.get("datasets", []):
        if not _REPO.fullmatch(str(name)):
            yield f"datasets names {name!r}, expected NAMESPACE/NAME."
    for number, entry in enumerate(header.get("model-index", [])):
        yield from (f"model-index[{number}]{problem}" for problem in _index_problems(entry))
    yield from _eval_results(folder)


def _index_problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        yield " has no name."
        return
    results = entry.get("results")
    if not isinstance(results, list) or not results:
        yield " has no results."
        return
    for number, result in enumerate(results):
        if not isinstance(result, dict):
            yield f".results[{number}] is no mapping."
            continue
        missing = [
            f"{part}.{key}"
            for part, keys in (("task", ("type",)), ("dataset", ("type", "name")))
            for key in keys
            if not (result.get(part) or {}).get(key)
        ]
        if missing:
            yield f".results[{number}] lacks {', '.join(missing)}."
        for metric in result.get("metrics") or [{}]:
            if not metric.get("type") or not isinstance(metric.get("value"), int | float):
                yield f".results[{number}] has a metric without a type or a number as its value."


def _eval_results(folder: Path) -> Iterator[str]:
    import yaml
    from huggingface_hub import parse_eval_result_entries

    for path in sorted((folder / ".eval_results").glob("*.yaml")):
        try:
            entries = parse_eval_result_entries(yaml.safe_load(path.read_text("utf-8")))
        except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
            yield f".eval_results/{path.name} is not what the Hub reads: {error}"
            continue
        for entry in entries:
            if not _REPO.fullmatch(str(entry.dataset_id)):
                yield f".eval_results/{path.name} names the dataset {entry.dataset_id!r}, expected NAMESPACE/NAME."


def _dataset(header: dict[str, Any], folder: Path) -> Iterator[str]:
    for size in header.get("size_categories", []):
        if size not in SIZES:
            yield f"size_categories has {size!r}. Expected one of {', '.join(sorted(SIZES))}."
    configs = header.get("configs")
    if not isinstance(configs, list) or not configs:
        yield "configs is missing, so that load_dataset would guess the files."
        return
    names = list(files_of(folder))
    seen = set()
    for config in configs:
        name = config.get("config_name") if isinstance(config, dict) else None
        if not name or name in seen:
            yield f"configs has {'no config_name' if not name else f'{name!r} twice'}."
            continue
        seen.add(name)
        for part in config.get("data_files", []):
            pattern = str(part.get("path", ""))
            if pattern.startswith("/") or ".." in pattern.split("/"):
                yield f"config {name!r} reads {pattern!r}, which is not in this repository."
            elif not any(fnmatch.fnmatch(path, pattern) for path in names):
                yield f"config {name!r} reads {pattern!r}, and no file has such a name."


def _space(header: dict[str, Any], folder: Path) -> Iterator[str]:
    if not isinstance(header.get("title"), str) or not header["title"]:
        yield "title is missing."
    if header.get("sdk") != "gradio":
        yield f"sdk is {header.get('sdk')!r}, expected 'gradio'."
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(header.get("sdk_version", ""))):
        yield f"sdk_version is {header.get('sdk_version')!r}. Expected a full version, such as '6.31.0', in quotation marks."
    if not (folder / str(header.get("app_file", "app.py"))).is_file():
        yield f"app_file is {header.get('app_file')!r}, and there is no such file."
    for key in ("colorFrom", "colorTo"):
        if header.get(key, "red") not in COLORS:
            yield f"{key} is {header[key]!r}. Expected one of {', '.join(sorted(COLORS))}."
    if len(str(header.get("short_description", ""))) > 60:
        yield f"short_description has {len(header['short_description'])} characters, at most 60 are shown."
    for name in header.get("models", []):
        if not _REPO.fullmatch(str(name)):
            yield f"models names {name!r}, expected NAMESPACE/NAME."


_CHECKS: dict[str, Callable[[dict[str, Any], Path], Iterator[str]]] = {
    "model": _model,
    "dataset": _dataset,
    "metric": _space,
    "space": _space,
}

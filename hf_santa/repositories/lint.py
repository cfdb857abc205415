"""Check a card offline: what the Hub would refuse, and what it would silently misunderstand."""

import fnmatch
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hf_santa.repositories.hub_words import COLORS, LICENSES, SDKS, SIZES, is_language
from hf_santa.repositories.kinds import Kind, ReleaseError, data_files_of, files_of, split_card

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_PRELOADED = re.compile(r"[\w.-]+/[\w.-]+( [^\s,]+(,[^\s,]+)*( [0-9a-f]{40})?)?")


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
    """Return what is wrong with a repository's card; nothing for a good one."""
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
    yield from _license(header, folder)
    languages = header.get("language", [])
    for code in [languages] if isinstance(languages, str) else languages:
        if not is_language(code):
            yield f"language {code!r} is no ISO 639 or BCP 47 code, such as en or zh-Hans. Natural languages go here, or `code`."
    tags = header.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        yield f"tags is {tags!r}. Expected a list of words."
    if not re.search(r"^# \S", body, re.MULTILINE):
        yield "there is no title. Begin the text with `# ` and a name."
    if found := re.search(r"\$(?:\w+|\{)", re.sub(r"```.*?```|`[^`\n]*`", "", body, flags=re.DOTALL)):
        yield f"the placeholder {found[0]} was never filled in."
    if found := re.search(r"https?://(?:127\.0\.0\.1|localhost|0\.0\.0\.0)\b\S*", body):
        yield f"it sends its readers to {found[0]}, their own machine. Write the Space's address, or none."
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", body):
        if not (folder / target).is_file():
            yield f"the link to {target} leads to no file of this repository."


def _license(header: dict[str, Any], folder: Path) -> Iterator[str]:
    """Yield what is wrong with the licence: one identifier of the Hub's or a list; `other` has a name and its text."""
    found = header.get("license")
    names = found if isinstance(found, list) and found else [found]
    for name in names:
        if name not in LICENSES:
            yield f"license is {name!r}. Expected an identifier of the Hub's, such as apache-2.0 or gpl-3.0, or other."
    link = header.get("license_link")
    if "other" in names and header.get("license_name") is not None and not link:
        yield "license is other with a license_name and no license_link: give LICENSE, a file here, or the text's address."
    if link is not None and not str(link).startswith("https://") and not (folder / str(link)).is_file():
        yield f"license_link is {link!r}, which is neither an https address nor a file of this repository."


def _model(header: dict[str, Any], folder: Path) -> Iterator[str]:
    if header.get("license") == "bigcode-openrail-m" and not header.get("license_link"):
        yield "a model under bigcode-openrail-m names the address of its text as license_link."
    base = header.get("base_model", [])
    for name in [base] if isinstance(base, str) else base:
        if not _REPO.fullmatch(str(name)):
            yield f"base_model names {name!r}, expected NAMESPACE/NAME."
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
    sizes = header.get("size_categories", [])
    for size in [sizes] if isinstance(sizes, str) else sizes:
        if size not in SIZES:
            yield f"size_categories has {size!r}. Expected one of {', '.join(SIZES)}."
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
        try:
            patterns = data_files_of(config)
        except ReleaseError as error:
            yield str(error)
            continue
        for pattern in patterns:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                yield f"config {name!r} reads {pattern!r}, which is not in this repository."
            elif not any(fnmatch.fnmatch(path, pattern) for path in names):
                yield f"config {name!r} reads {pattern!r}, and no file has such a name."


def _space(header: dict[str, Any], folder: Path) -> Iterator[str]:
    if not isinstance(header.get("title"), str) or not header["title"]:
        yield "title is missing."
    sdk = header.get("sdk")
    if sdk not in SDKS:
        yield f"sdk is {sdk!r}, expected one of {', '.join(map(repr, SDKS))}."
    if sdk == "gradio" and not re.fullmatch(r"\d+\.\d+\.\d+", str(header.get("sdk_version", ""))):
        yield f"sdk_version is {header.get('sdk_version')!r}. Expected a full version, such as '6.31.0', in quotation marks."
    first = "index.html" if sdk == "static" else "app.py"
    if not (folder / str(header.get("app_file", first))).is_file():
        yield f"app_file is {header.get('app_file')!r}, and there is no such file."
    for key in ("colorFrom", "colorTo"):
        if header.get(key, "red") not in COLORS:
            yield f"{key} is {header[key]!r}. Expected one of {', '.join(sorted(COLORS))}."
    if len(str(header.get("short_description", ""))) > 60:
        yield f"short_description has {len(header['short_description'])} characters, at most 60 are shown."
    for name in header.get("models", []):
        if not _REPO.fullmatch(str(name)):
            yield f"models names {name!r}, expected NAMESPACE/NAME."
    yield from _machine(header)


def _machine(header: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the machine that a Space asks for, and with what is to lie on it before it starts."""
    from huggingface_hub import SpaceHardware

    hardware, loaded = header.get("suggested_hardware"), header.get("preload_from_hub")
    if header.get("sdk") == "static":
        if hardware or loaded:
            yield "a static Space runs on no machine. Take out suggested_hardware and preload_from_hub."
        return
    known = [machine.value for machine in SpaceHardware]
    if hardware is not None and hardware not in known:
        yield f"suggested_hardware is {hardware!r}. Expected one of {', '.join(known)}."
    for item in loaded if isinstance(loaded, list) else [] if loaded is None else [loaded]:
        if not _PRELOADED.fullmatch(str(item)):
            yield f"preload_from_hub has {str(item)[:80]!r}. Expected NAMESPACE/NAME, then FILE,FILE and a full commit if need be."


_CHECKS: dict[str, Callable[[dict[str, Any], Path], Iterator[str]]] = {
    "model": _model,
    "dataset": _dataset,
    "metric": _space,
    "space": _space,
}

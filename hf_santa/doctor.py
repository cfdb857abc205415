"""Show what this installation and this machine can do: `hf-santa doctor`."""

import argparse
import importlib.util
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from data_recipes.engine.processors import usable_processors
from hf_santa import __version__
from hf_santa.flags import add_json
from modeling_santa.memory_santa import free_memory, memory_limit

_PARTS = {  # extra: a package that only it, or what is built on it, brings
    "redact": "google-re2",
    "pii": "hyperscan",
    "presidio": "presidio-analyzer",
    "data": "pyarrow",
    "metric": "evaluate",
    "model": "torch",
    "space": "gradio",
    "finetune": "accelerate",
    "train": "nanotron",
    "scale": "datatrove",
    "hub": "huggingface_hub",
}
_KERNELS = {"dense": "plain weights", "packed": 'mode "packed"', "int8": 'mode "int8"', "int4": 'mode "int4"'}


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="show what this installation and this machine can do",
        description="Show versions, extras, processor, memory, the model's kernels for each number format, the metric's "
        "toolchains and its sandbox. Exit code 3 if something that can be installed is missing.",
    )
    add_json(parser)
    parser.set_defaults(func=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from eval_multipl_e.suite.machine import lines_of, look

    found: dict[str, Any] = {"installation": installation(), "machine": machine(), "model": kernels(), "metric": look()}
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for title, lines in {
            "Installation": _installation_lines(found["installation"]),
            "Machine": [
                f"{name.replace('_', ' '):<20}{'unknown' if value is None else value}"
                for name, value in found["machine"].items()
            ],
            "Model on this processor": _kernel_lines(found["model"]),
            "Metric": lines_of(found["metric"]),
        }.items():
            print("\n".join([title, *(f"  {line}" for line in lines), ""]))
    is_whole = found["metric"]["is_complete"] and not found["installation"]["out_of_range"]
    return 0 if is_whole else 3


def installation() -> dict[str, Any]:
    """Return versions, the extras that are installed, and packages outside of the range that was tried."""
    extras = {extra: _version(package) for extra, package in _PARTS.items()}
    return {
        "hf_santa": __version__,
        "python": platform.python_version(),
        "extras": extras,
        "out_of_range": _out_of_range(),
    }


def machine() -> dict[str, Any]:
    """Return processor, cores that may be used, and memory in GB, of the container if there is one; None is unknown."""
    return {
        "processor": f"{platform.machine()}, {_processor()}",
        "cores": os.cpu_count() or 1,
        "cores_usable": usable_processors(),
        "memory_gb": _gigabytes(memory_limit() or _physical_memory()),
        "memory_free_gb": _gigabytes(free_memory()),
    }


def kernels() -> dict[str, Any] | None:
    """Return which of the model's kernels work on this processor for each number format, or None without torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from modeling_santa.capabilities_santa import has_fast_bf16, has_kernel, isa

    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    table = {name: {kernel: has_kernel(kernel, dtype) for kernel in _KERNELS} for name, dtype in formats.items()}
    return {"instructions": isa(), "threads": torch.get_num_threads(), "kernels": table, "fast_bf16": has_fast_bf16()}


def _installation_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"hf-santa {found['hf_santa']}, Python {found['python']}"]
    for extra, version in found["extras"].items():
        shown = f"{_PARTS[extra]} {version}" if version else f"not installed: pip install 'hf-santa[{extra}]'"
        lines.append(f"{extra:<20}{shown}")
    lines += [f"{row['package']} {row['version']} is outside of {row['range']}" for row in found["out_of_range"] or ()]
    if found["out_of_range"] is None:
        lines.append("versions were not compared with the supported ranges: that needs the package 'packaging'")
    return lines


def _kernel_lines(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["torch is not installed: pip install 'hf-santa[model]'"]
    lines = [f"instructions        {found['instructions']}, {found['threads']} threads"]
    for dtype, works in found["kernels"].items():
        missing = [_KERNELS[kernel] for kernel, is_there in works.items() if not is_there]
        lines.append(f"{dtype:<20}{'every kernel works' if not missing else 'no kernel for ' + ', '.join(missing)}")
    if not found["fast_bf16"]:
        lines.append("bfloat16 saves memory here, but no time: model.float() is faster where memory allows")
    return lines


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _out_of_range() -> list[dict[str, str]] | None:
    """Return the installed packages that our own requirements do not allow, or None where nothing here can compare."""
    if importlib.util.find_spec("packaging") is None:
        return None
    from importlib import metadata

    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("hf-santa") or []
    except metadata.PackageNotFoundError:
        return []
    found = {}
    for requirement in map(Requirement, lines):
        version = _version(requirement.name)
        if version and not requirement.specifier.contains(version, prereleases=True):
            found[requirement.name] = {
                "package": requirement.name,
                "version": version,
                "range": str(requirement.specifier),
            }
    return [found[name] for name in sorted(found)]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(errors="replace") if info.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return named[1] if named else platform.processor() or sys.platform


def _gigabytes(size: int | None) -> float | None:
    return None if size is None else round(size / 1e9, 1)


def _physical_memory() -> int | None:
    """Return the machine's memory where Linux's files are hidden or absent, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None

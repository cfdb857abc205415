"""Show what this machine can run: toolchains with their versions, and the sandbox."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from eval_multipl_e.execution import toolchain_problem
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available, sandbox_failures
from eval_multipl_e.toolchains import missing_tool, toolchain_version


def look() -> dict[str, Any]:
    """Run a small program of every language and return what was found.

    `toolchains` has a row for each language, `sandbox` the way that works (None, and `sandbox_failures` says why), and
    `is_complete` says whether every language that can be had as a package of this system works behind a sandbox.
    """
    way = available()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(pool.map(lambda code: toolchain_problem(code, "auto" if way else "none"), LANGUAGES))
    rows = [
        {
            "language": row.code,
            "name": row.name,
            "version": toolchain_version(row.code),
            "problem": problem,
            "is_missing": missing_tool(row) is not None,
            "install": row.install,
            "was_run": row.is_run_here,
        }
        for row, problem in zip(LANGUAGES.values(), problems, strict=True)
    ]
    is_complete = bool(way) and not any(row["problem"] for row in rows if row["was_run"])
    failures = {} if way else sandbox_failures()
    return {"toolchains": rows, "sandbox": way, "sandbox_failures": failures, "is_complete": is_complete}


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return what was found as lines for a person."""
    lines = []
    for row in found["toolchains"]:
        lines.append(f"{row['language']:<8}{row['name']:<12}{row['version'] or 'missing: ' + str(row['install'])}")
        if row["problem"] and not row["is_missing"]:
            lines.append(f"        {row['problem']}")
    lacking = [row["language"] for row in found["toolchains"] if row["problem"]]
    if lacking:
        lines.append(f"left out of every score here: {', '.join(lacking)}")
    lines.append(f"sandbox: {found['sandbox'] or 'none works here'}")
    lines += [f"        {way}: {why}" for way, why in found["sandbox_failures"].items()]
    if not found["sandbox"]:
        lines.append("        allow user namespaces or install bubblewrap, or pass --sandbox none for trusted programs")
    return lines

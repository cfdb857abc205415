"""Read HumanEvalPack (Muennighoff et al. 2023) as problems to complete or bugs to mend, in four languages.

Its Go tests need testify and its Rust ones crates from a registry: they can't be run here and are no tasks.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eval_multipl_e.errors import EvalError

# Our codes of its configurations on the Hub.
CONFIGS: Mapping[str, str] = MappingProxyType({"py": "python", "js": "js", "java": "java", "cpp": "cpp"})
_FENCES = {"py": "#", "js": "//", "java": "//", "cpp": "//"}
# What its evaluator puts before every program, less numpy and boost, which are not everywhere.
_PYTHON_MODULES = (
    *(
        "math",
        "re",
        "sys",
        "copy",
        "datetime",
        "itertools",
        "collections",
        "heapq",
        "statistics",
        "functools",
        "hashlib",
    ),
    "string",
)
_HEADERS = (
    *("algorithm", "climits", "cmath", "cstring", "fstream", "iostream", "list", "map", "math.h", "numeric", "queue"),
    *("set", "sstream", "stack", "stdio.h", "stdlib.h", "string", "vector"),
)
_PRELUDES = {
    "py": "".join(f"import {name}\n" for name in _PYTHON_MODULES) + "from typing import *\nfrom collections import *\n",
    "cpp": "".join(f"#include<{name}>\n" for name in _HEADERS) + "using namespace std;\n",
}
# node's own console.assert prints and goes on.
_JS_ASSERT = (
    "console.assert = (is_so, ...said) => "
    "{ if (Boolean(is_so) === false) throw new Error(['assertion', ...said].join(' ')); };\n"
)


def pack_problem(row: Mapping[str, Any], number: int, *, code: str, is_fix: bool) -> dict[str, Any]:
    """Return a row as a problem: with its docstring to complete, or with a bug and its tests before it to mend.

    `context` is what only the model sees, `prelude` what only the program has. A function is cut where it closes in
    the first column, and the tests begin with that brace.

    Raises:
        EvalError: the row is none of HumanEvalPack's.
    """
    needed = ("task_id", "declaration", "buggy_solution", "prompt", "test", "entry_point")
    lacking = next((name for name in needed if not isinstance(row.get(name), str)), None)
    if lacking is not None:
        raise EvalError(
            f"Row {number} is no row of HumanEvalPack: it has no text for {lacking!r}. Fields found: "
            f"{', '.join(sorted(row)) or 'none'}."
        )
    test = row["test"]
    problem = {
        "name": row["task_id"].replace("/", "_"),
        "language": code,
        "prompt": row["declaration"] if is_fix else row["prompt"],
        "prelude": _PRELUDES.get(code, ""),
        "tests": test if code == "py" else f"}}\n{_closed(code, test)}",
        "stop_tokens": ["\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\nassert"] if code == "py" else ["\n}"],
    }
    if is_fix:
        asked = f"{_FENCES[code]} Fix bugs in {row['entry_point']}."
        problem["context"] = f"{row['declaration']}{row['buggy_solution']}\n{test}\n{asked}\n\n"
    return problem


def _closed(code: str, test: str) -> str:
    if code == "js":
        return _JS_ASSERT + test
    # Java's tests are a class of their own, whose name is the one that is started here.
    return test.replace("public class Main", "class Problem", 1) if code == "java" else test

"""The table of all languages, by MultiPL-E's codes."""

from collections.abc import Mapping
from types import MappingProxyType

from .errors import EvalError
from .languages_compiled import COMPILED
from .languages_interpreted import INTERPRETED
from .languages_newer import NEWER
from .languages_row import Language

# Every language by MultiPL-E's code: Python, JavaScript and Java first, the others by name.
LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        row.code: row
        for row in sorted(
            (*INTERPRETED, *COMPILED, *NEWER), key=lambda row: (row.code not in {"py", "js", "java"}, row.name.lower())
        )
    }
)
"""The languages that can be scored, by MultiPL-E's code: how a program is built, run and judged."""

# Other names of the same languages, as MultiPL-E's own files and evaluator use them.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "python": "py",
        "notypes.py": "py",
        "javascript": "js",
        "julia": "jl",
        "rust": "rs",
        "racket": "rkt",
        "go_test.go": "go",
        "humaneval_to_r.py": "r",
        "humaneval_to_dlang.py": "d",
        "adb": "ada",
    }
)


def language_of(code: str) -> Language:
    """Return the row of a code or of another name of it; an unknown code is an error that lists the known ones.

    >>> language_of("py").name
    'Python'
    >>> language_of("go_test.go").code
    'go'
    """
    if isinstance(code, str):
        row = LANGUAGES.get(ALIASES.get(code, code))
        if row is not None:
            return row
    known = ", ".join(LANGUAGES)
    raise EvalError(f"eval_multipl_e: language {code!r} is unknown. Use one of MultiPL-E's codes: {known}.")

"""The MultiPL-E metric: programs of many languages run safely and scored by pass@k. The folder is the metric Space."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .completions import complete, read_problems
    from .docstrings import smoothed_bleu
    from .estimator import pass_at_k
    from .execution import run_program
    from .infilling import exact_match, single_line_tasks
    from .languages import LANGUAGES
    from .scoring import score

_HOMES = {
    "LANGUAGES": "languages",
    "complete": "completions",
    "exact_match": "infilling",
    "pass_at_k": "estimator",  # not `pass_at_k.py`: the imported module would hide the function
    "read_problems": "completions",
    "run_program": "execution",
    "score": "scoring",
    "single_line_tasks": "infilling",
    "smoothed_bleu": "docstrings",
}

__all__ = [
    "LANGUAGES",
    "complete",
    "exact_match",
    "pass_at_k",
    "read_problems",
    "run_program",
    "score",
    "single_line_tasks",
    "smoothed_bleu",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""Run programs of 28 languages in a sandbox and score them by pass@k. This folder is also the metric's Space."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval_multipl_e.suite.docstrings import smoothed_bleu
    from eval_multipl_e.suite.infilling import exact_match, single_line_tasks
    from eval_multipl_e.suite.problems import complete, read_problems
    from eval_multipl_e.suite.rewarding import reward

    from .execution import run_program
    from .languages import LANGUAGES
    from .scoring import score
    from .scoring_estimator import pass_at_k

_HOMES = {
    "LANGUAGES": "languages",
    "complete": "suite.problems",
    "exact_match": "suite.infilling",
    "pass_at_k": "scoring_estimator",
    "read_problems": "suite.problems",
    "reward": "suite.rewarding",
    "run_program": "execution",
    "score": "scoring",
    "single_line_tasks": "suite.infilling",
    "smoothed_bleu": "suite.docstrings",
}

__all__ = [
    "LANGUAGES",
    "complete",
    "exact_match",
    "pass_at_k",
    "read_problems",
    "reward",
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

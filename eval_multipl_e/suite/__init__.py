"""Complete, grade and report whole benchmarks: what the metric on the Hub does not need."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval_multipl_e.suite.harness import lighteval_task, lm_eval_task
    from eval_multipl_e.suite.rewarding import Reward

_HOMES = {
    "Reward": "rewarding",
    "lighteval_task": "harness",
    "lm_eval_task": "harness",
}
__all__ = ["Reward", "lighteval_task", "lm_eval_task"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

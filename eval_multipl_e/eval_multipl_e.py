"""The metric that `evaluate.load` finds in this folder: pass@k, with a row for each program.

`evaluate` fetches the files that this one imports, and only those: every sibling that any of them needs is imported
here, flat, one a line, and nothing else is imported at the top but `datasets` and `evaluate`.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .errors import EvalError
from .execution import run_program
from .execution_batch import run_all
from .execution_cache import KeptOutcomes
from .execution_verdict import named
from .languages import LANGUAGES
from .languages_compiled import COMPILED
from .languages_interpreted import INTERPRETED
from .languages_newer import NEWER
from .languages_row import Language
from .sandbox import available
from .sandbox_box import Box
from .sandbox_forkserver import serve
from .sandbox_mounts import build
from .sandbox_native import NativeBox
from .sandbox_native_source import HELPER
from .sandbox_none import BareBox
from .sandbox_seccomp import REFUSED
from .sandbox_streams import Capture
from .sandbox_syscalls import clone
from .scoring import score
from .scoring_control import changed_program
from .scoring_estimator import bootstrap_interval, pass_at_k
from .toolchains import toolchain_version
from .toolchains_prepared import root
from .warm import Warm
from .warm_compilers import WarmCompilers
from .warm_interpreters import WarmInterpreters
from .warm_scripts import PYTHON
from .warm_sources import JAVA

__all__ = ["LANGUAGES", "MultiPLE", "available", "bootstrap_interval", "pass_at_k", "run_program", "toolchain_version"]

_DESCRIPTION = """
Runs completions of MultiPL-E problems with their tests, in a sandbox that needs neither Docker nor root, and gives
pass@k overall and for each language, with intervals, and the status, output and time of each program.
"""
_INPUTS = """
Args:
    predictions: a list of completions for each problem.
    references: the tests of each problem.
    languages: MultiPL-E's code of each problem's language: py, js, java, cpp …
    prompts: what each completion continues; None if the completions are whole programs.
    k: the ks of pass@k; None for those of 1, 10, 100 that there are enough completions for.
    num_workers: programs run side by side; None for one a core.
    timeout_s: the time limit of a run; None for MultiPL-E's limit of each language.
    mode: "strict" (exit code 0, the tests reached, and failed once a value of theirs is changed) or "compat" (MultiPL-E's own statuses).
    sandbox: "auto" (namespaces, else bubblewrap; an error where neither works), one of the two, or "none".
    seed: of the bootstrap intervals.
    cache_dir: a folder in which outcomes are kept from one evaluation to the next; None keeps nothing.
    speed: "warm" (compilers kept running) or "cold" (MultiPL-E's own command for each program).
Returns:
    pass@k and pass@k/CODE, intervals, counts, missing_toolchains, toolchains, mode, sandbox, results.
"""
_CITATION = """
@article{cassano2023multipl,
  title={MultiPL-E: A Scalable and Polyglot Approach to Benchmarking Neural Code Generation},
  author={Cassano, Federico and Gouwar, John and Nguyen, Daniel and others},
  journal={IEEE Transactions on Software Engineering},
  year={2023}
}
"""


class MultiPLE(evaluate.Metric):  # type: ignore[misc]  # evaluate ships no types
    """MultiPL-E's pass@k as an `evaluate` metric; `score` holds the work and the meaning of each argument."""

    def _info(self) -> Any:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Sequence(text), "references": text, "languages": text}),
            codebase_urls=["https://github.com/nuprl/MultiPL-E"],
            reference_urls=["https://arxiv.org/abs/2208.08227", "https://arxiv.org/abs/2107.03374"],
        )

    def compute(
        self,
        *,
        predictions: Sequence[Sequence[str]] | None = None,
        references: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Return the scores of these problems, or, without them, of those added before by `add` and `add_batch`."""
        given = {"predictions": predictions, "references": references, "languages": languages}
        if all(column is None for column in given.values()):
            return dict(super().compute(**settings))
        # Straight to the work: on its way through Arrow a None or an empty list would lose its meaning.
        return score(predictions, references, languages, **settings)  # type: ignore[arg-type]  # score checks for None

    def _compute(
        self, predictions: list[list[str]], references: list[str], languages: list[str], **settings: Any
    ) -> dict[str, Any]:
        return score(predictions, references, languages, **settings)

"""The stages of a run as datatrove pipeline steps, for more than one process or machine.

Three stages, each an executor's job that depends on the one before: the shards are annotated, the languages are made,
the card is written. A stage's ranks share its work by number and meet only in the output folder, which all machines
see; what a rank has finished, a marker with checksums tells, so that a rank that died is run again and redoes nothing
else. The result has the same bytes as `run` gives.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from data_recipes.annotate import Annotator
from data_recipes.decontamination.benchmarks import benchmark_strings
from data_recipes.disk.files import SHARD_BYTES, PathLike
from data_recipes.errors import DataError
from data_recipes.filters.permissions import Permissions
from data_recipes.pii.redaction_key import key_of_run
from data_recipes.pipeline import Run, planned
from data_recipes.sources.row import MAX_FILE_BYTES

EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run is made from, as values that can be sent to another machine."""

    source: str
    out: str
    recipe: str | tuple[str, ...] = "near_dedup"
    benchmarks: tuple[Any, ...] = ()
    filters: tuple[str, ...] = ()
    permissions: Permissions | None = None
    tokenizer: str | None = None
    compat: str = "report"
    # Without a seed or a key file each task draws a random key, which is then never written to a task's description.
    seed: int | None = None
    key_file: str | None = None
    max_file_bytes: int = MAX_FILE_BYTES
    shard_bytes: int = SHARD_BYTES
    threads: int = 1

    def run(self, report: Callable[[str], None] = print) -> Run:
        """The run itself, checked against its source."""
        annotator = Annotator(
            benchmark_strings(self.benchmarks),
            key_of_run(self.seed, self.key_file),
            self.max_file_bytes,
            progress=False,
            filters=self.filters,
            permissions=self.permissions,
            tokenizer=self.tokenizer,
            compat=self.compat,
            threads=self.threads,
        )
        return planned(
            Path(self.source),
            Path(self.out),
            self.recipe,
            annotator,
            threads=self.threads,
            shard_bytes=self.shard_bytes,
            report=report,
        )


class AnnotateShards(PipelineStep):
    """Annotates every world_size-th input shard, beginning with the rank's."""

    name, type = "annotate shards", "data_recipes"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Annotate this rank's shards; the data that comes in is passed on."""
        made = self.plan.run()
        for number in range(rank, len(made.inputs), world_size):
            made.annotate_shard(number)
            self.stat_update("shards")
        return data


class MakeLanguages(PipelineStep):
    """Removes the near-duplicates of every world_size-th language and writes its data and rejects."""

    name, type = "make languages", "data_recipes"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Make this rank's languages; the data that comes in is passed on."""
        made = self.plan.run()
        for lang in made.languages()[rank::world_size]:
            made.make_language(lang)
            self.stat_update("languages")
        return data


class FinishStore(PipelineStep):
    """Writes funnel, card and pictures; does whatever is still missing before it."""

    name, type = "finish store", "data_recipes"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Finish the store, on the first rank only; the data that comes in is passed on."""
        del world_size
        if rank == 0:
            self.plan.run().make()
        return data


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the stages run: `local` processes, `slurm` job arrays or `ray` tasks; -1 workers are as many as tasks."""

    executor: str = "local"
    tasks: int | None = None
    workers: int = -1
    partition: str | None = None
    time: str = "24:00:00"
    cpus_per_task: int = 1
    memory_gb_per_cpu: int = 4

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise DataError(f"executor={self.executor!r} is unknown. Choose one of {', '.join(EXECUTORS)}.")
        if self.executor == "slurm" and self.partition is None:
            raise DataError("executor='slurm' needs a partition. Pass partition=NAME; `sinfo` lists them.")
        if self.tasks is not None and self.tasks < 1:
            raise DataError(f"tasks={self.tasks} is less than 1. Choose how many tasks share the work.")

    def stage(self, step: PipelineStep, tasks: int, logs: Path, depends: Any) -> Any:
        """The executor of one stage."""
        common = {
            "pipeline": [step],
            "tasks": tasks,
            "workers": self.workers,
            "logging_dir": str(logs),
            "depends": depends,
        }
        if self.executor == "local":
            return LocalPipelineExecutor(**common)
        if self.executor == "ray":
            from datatrove.executor.ray import RayPipelineExecutor

            return RayPipelineExecutor(
                **common, cpus_per_task=self.cpus_per_task, mem_per_cpu_gb=self.memory_gb_per_cpu
            )
        return SlurmPipelineExecutor(
            **common,
            time=self.time,
            partition=self.partition,
            cpus_per_task=self.cpus_per_task,
            mem_per_cpu_gb=self.memory_gb_per_cpu,
            job_name=f"santa_{logs.name}",
            venv_path=str(Path(sys.prefix) / "bin" / "activate"),
            mail_type="NONE",
        )


def executors(plan: Plan, cluster: Cluster) -> list[Any]:
    """The executors of the three stages; running the last one runs those before it.

    datatrove's logs and marks of completion are kept beside the output, in a folder of this very run: with other
    settings or inputs another one is used.
    """
    made = plan.run()
    logs = Path(plan.out).with_name(f".{Path(plan.out).name}.datatrove") / made.key()[:12]
    tasks = cluster.tasks or len(made.inputs)
    stages = [(AnnotateShards(plan), tasks, "annotate"), (MakeLanguages(plan), tasks, "languages")]
    result: list[Any] = []
    for step, count, name in [*stages, (FinishStore(plan), 1, "finish")]:
        result.append(cluster.stage(step, count, logs / name, result[-1] if result else None))
    return result


def run_at_scale(
    source: PathLike,
    out: PathLike,
    recipe: str | Sequence[str] = "near_dedup",
    cluster: Cluster | None = None,
    *,
    threads: int | None = None,
    benchmarks: Sequence[Any] = (),
    filters: Sequence[str] = (),
    **settings: Any,
) -> None:
    """`run` as datatrove tasks; `source` and `out` must be seen by every machine. Slurm's jobs go on after it returns.

    Raises `DataError` for what `run` would refuse, before anything is submitted.
    """
    where = cluster or Cluster()
    plan = Plan(
        str(Path(source).resolve()),
        str(Path(out).resolve()),
        recipe if isinstance(recipe, str) else tuple(recipe),
        benchmarks=tuple(benchmarks),
        filters=tuple(filters),
        threads=threads or where.cpus_per_task,
        **settings,
    )
    made = plan.run()
    if made.is_done():
        print(f"step=store recipe={made.recipes[0].name} reused")
        return
    if where.executor == "ray":
        _start_ray()
    stages = executors(plan, where)
    if not made.work.exists():  # the output is not what datatrove's marks of completion speak of
        shutil.rmtree(Path(stages[0].logging_dir.path).parent, ignore_errors=True)
    for stage in stages[-1:] if where.executor == "slurm" else stages:
        stage.run()


def _start_ray() -> None:
    try:
        import ray
    except ImportError as error:
        raise DataError("executor='ray' needs ray, which is not installed. pip install 'datatrove[ray]'.") from error
    if not ray.is_initialized():
        ray.init()

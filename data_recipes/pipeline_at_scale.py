"""Run the same stages as datatrove tasks, in many processes or on many machines.

Three stages, each an executor's job that depends on the one before: the shards are annotated, the languages are made,
the card is written. Before the second, large languages go through the stages of `dedup.sharded`. A stage's ranks share its work by number and meet only in the output folder, which all machines
see; what a rank has finished, a marker with checksums tells, so that a rank that died is run again and redoes nothing
else. The result has the same bytes as `run` gives.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from data_recipes.dedup.sharded import STAGES
from data_recipes.disk.files import PathLike
from data_recipes.errors import DataError
from data_recipes.pipeline import Run, planned
from data_recipes.progress import Progress, reporter
from data_recipes.settings import RunSettings

__all__ = ["Cluster", "run_at_scale"]

EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True, slots=True)
class SourceAndSettings:
    """All that a run is made from, as values that can be sent to another machine."""

    source: str
    out: str
    settings: RunSettings

    def run(self, progress: Progress | None = None) -> Run:
        """Return the run itself, checked against its source."""
        return planned(Path(self.source), Path(self.out), self.settings, progress=progress or _printed)


def _printed(line: str) -> None:
    """Print a line at once: what a rank says is its log."""
    print(line, file=sys.stderr, flush=True)


class AnnotateShards(PipelineStep):
    """Annotates every world_size-th input shard, beginning with the rank's."""

    name, type = "annotate shards", "data_recipes"

    def __init__(self, plan: SourceAndSettings) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Annotate this rank's shards; the data that comes in is passed on."""
        made = self.plan.run()
        for number in range(rank, made.shard_count, world_size):
            made.annotate_shard(number)
            self.stat_update("shards")
        return data


class WriteTexts(PipelineStep):
    """Writes the texts of every world_size-th language that has rows enough to be deduplicated by many tasks."""

    name, type = "write texts", "data_recipes"

    def __init__(self, plan: SourceAndSettings, least_rows: int) -> None:
        super().__init__()
        self.plan, self.least_rows = plan, least_rows

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Write this rank's texts; the data that comes in is passed on."""
        made = self.plan.run()
        for part in made.languages()[rank::world_size]:
            made.stage_texts(part, self.least_rows)
        return data


class FindNearDuplicates(PipelineStep):
    """Does every world_size-th item of one stage of near-deduplication, of all languages whose texts are written."""

    name, type = "find near-duplicates", "data_recipes"

    def __init__(self, plan: SourceAndSettings, stage: str, parts: int) -> None:
        super().__init__()
        self.plan, self.stage, self.parts = plan, stage, parts

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Do this rank's items; the data that comes in is passed on."""
        made = self.plan.run()
        threads = self.plan.settings.threads or 1
        plans = [plan for part in made.languages() for plan in made.staged(part).plans(self.parts, threads)]
        items = [(plan, item) for plan in plans for item in range(plan.items(self.stage))]
        for plan, item in items[rank::world_size]:
            plan.do(self.stage, item)
            self.stat_update("items")
        return data


class MakeLanguages(PipelineStep):
    """Removes the near-duplicates of every world_size-th language and writes its data and rejects."""

    name, type = "make languages", "data_recipes"

    def __init__(self, plan: SourceAndSettings) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Make this rank's languages; the data that comes in is passed on."""
        made = self.plan.run()
        for part in made.languages()[rank::world_size]:
            made.make_language(part)
            self.stat_update("languages")
        return data


class FinishStore(PipelineStep):
    """Writes funnel, card and pictures; does whatever is still missing before it."""

    name, type = "finish store", "data_recipes"

    def __init__(self, plan: SourceAndSettings) -> None:
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
    """Where the stages run: `local` processes, `slurm` job arrays or `ray` tasks.

    The work is split into `parts` (default: one a shard), of which `parts_at_once` run at the same time (default: all).
    A language with `shared_from_rows` rows is deduplicated by all of them, a smaller one by one: the eight further stages
    cost some seconds of start each.
    """

    executor: str = "local"
    parts: int | None = None
    parts_at_once: int | None = None
    partition: str | None = None
    time: str = "24:00:00"
    cpus_per_task: int = 1
    memory_gb_per_cpu: int = 4
    shared_from_rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise DataError(f"executor={self.executor!r} is unknown. Choose one of {', '.join(EXECUTORS)}.")
        if self.executor == "slurm" and self.partition is None:
            raise DataError("executor='slurm' needs a partition. Pass partition=NAME; `sinfo` lists them.")
        for name in ("parts", "parts_at_once", "cpus_per_task", "memory_gb_per_cpu", "shared_from_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name}={value} is less than 1. Choose 1 or more.")

    def stage(self, step: PipelineStep, tasks: int, logs: Path, depends: Any) -> Any:
        """Return the executor of one stage."""
        common = {
            "pipeline": [step],
            "tasks": tasks,
            "workers": self.parts_at_once or -1,
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


def executors(plan: SourceAndSettings, cluster: Cluster) -> list[Any]:
    """Return the executors of the stages; running the last one runs those before it.

    datatrove's logs and marks of completion are kept beside the output, in a folder of this very run: with other
    settings or inputs another one is used.
    """
    made = plan.run()
    logs = Path(plan.out).with_name(f".{Path(plan.out).name}.datatrove") / made.key()[:12]
    tasks = cluster.parts or len(made.inputs)
    stages: list[tuple[PipelineStep, int, str]] = [(AnnotateShards(plan), tasks, "annotate")]
    if sum(pq.read_metadata(path).num_rows for path in made.inputs) >= cluster.shared_from_rows:
        stages.append((WriteTexts(plan, cluster.shared_from_rows), tasks, "texts"))
        stages += [(FindNearDuplicates(plan, stage, 4 * tasks), tasks, f"near-dedup-{stage}") for stage in STAGES]
    result: list[Any] = []
    for step, count, name in [*stages, (MakeLanguages(plan), tasks, "languages"), (FinishStore(plan), 1, "finish")]:
        result.append(cluster.stage(step, count, logs / name, result[-1] if result else None))
    return result


def run_at_scale(
    source: PathLike,
    out: PathLike,
    recipe: str | Sequence[str] | None = None,
    cluster: Cluster | None = None,
    *,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> None:
    """Do what `run` does as datatrove tasks. Slurm's jobs go on after it returns.

    Args:
        source: A parquet file or a folder of them; every machine must see it, and `out`, too.
        out: The folder to write.
        recipe: A recipe's name, several, or "all".
        cluster: Where the tasks run (default: local processes).
        settings: The settings to begin with (default: `RunSettings()`).
        progress: Takes a line if there is nothing to do (default: the logger `hf_santa.data`).
        **changes: Any other setting by its name in `RunSettings`.

    Raises:
        DataError: What `run` would refuse, before anything is submitted.
    """
    where = cluster or Cluster()
    config = (settings or RunSettings()).changed(recipe=recipe, **changes)
    config = config.changed(threads=config.threads or where.cpus_per_task)
    plan = SourceAndSettings(str(Path(source).resolve()), str(Path(out).resolve()), config)
    made = plan.run()
    if made.is_done():
        reporter(progress)(f"step=store recipe={made.recipes[0].name} reused")
        return
    start_engine(where)
    stages = executors(plan, where)
    if not made.work.exists():  # the output is not what datatrove's marks of completion speak of
        shutil.rmtree(Path(stages[0].logging_dir.path).parent, ignore_errors=True)
    for stage in stages[-1:] if where.executor == "slurm" else stages:
        stage.run()


def start_engine(cluster: Cluster) -> None:
    """Start what an executor needs to run: Ray, where it is chosen and not running yet.

    Raises:
        DataError: Ray is not installed.
    """
    if cluster.executor != "ray":
        return
    try:
        import ray
    except ImportError as error:
        raise DataError("executor='ray' needs ray, which is not installed. pip install 'datatrove[ray]'.") from error
    if not ray.is_initialized():
        ray.init()

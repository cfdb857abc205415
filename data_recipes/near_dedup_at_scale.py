"""Near-deduplication of one language by many processes or machines, as datatrove tasks, with the results of one process."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from data_recipes.dedup.sharded import STAGES, ShardedNearDedup
from data_recipes.disk.files import PathLike
from data_recipes.errors import DataError
from data_recipes.pipeline_at_scale import Cluster, start_engine

__all__ = ["near_duplicates_at_scale"]


class NearDedupStage(PipelineStep):
    """Does every world_size-th item of one stage, beginning with the rank's."""

    name, type = "near-dedup", "data_recipes"

    def __init__(self, plan: ShardedNearDedup, stage: str) -> None:
        super().__init__()
        self.plan, self.stage = plan, stage

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Do this rank's items; the data that comes in is passed on."""
        for item in range(rank, self.plan.items(self.stage), world_size):
            self.plan.do(self.stage, item)
            self.stat_update("items")
        return data


def near_duplicates_at_scale(
    source: PathLike | Sequence[PathLike],
    out: PathLike,
    mode: str = "near_dedup_verified",
    cluster: Cluster | None = None,
    *,
    priority: Sequence[str] = (),
    parts: int | None = None,
    keep_work: bool = False,
) -> list[Path]:
    """Find near-duplicates as `near_duplicates_of_files` does, in stages whose tasks share a folder.

    Args:
        source: A parquet file, a folder, or several of them, which every machine must see, and `out`, too.
        out: The folder to write `near-dedup-00000.parquet` and so on to: for each row of the source, in its order,
            what `near_duplicates` gives. `.work` in it takes the texts once more, and some 600 bytes a row.
        mode: "near_dedup", "near_dedup_alt" or "near_dedup_verified".
        cluster: Where the tasks run (default: local processes, one a processor).
        priority: Columns of which larger values are kept first.
        parts: In how many parts components are resolved (default: four a task).
        keep_work: Keep `.work`.

    Returns:
        The files written. With Slurm, those that the jobs will write after this returns.

    Raises:
        DataError: The source is unusable, or a value is out of range.
    """
    where = cluster or Cluster()
    sources = [source] if isinstance(source, str | os.PathLike) else source
    tasks = where.parts or where.parts_at_once or os.cpu_count() or 1
    plan = ShardedNearDedup(
        tuple(Path(item).resolve() for item in sources),
        Path(out).resolve(),
        mode,
        parts or 4 * tasks,
        tuple(priority),
        threads=where.cpus_per_task,
    )
    if any(plan.out.is_relative_to(item) for item in plan.sources):
        raise DataError(f"{out} lies inside the source, and would be read as part of it. Choose another folder.")
    logs = plan.out / ".datatrove" / plan.key[:12]
    if not plan.work.exists():  # datatrove's marks of completion speak of work that is gone
        shutil.rmtree(logs, ignore_errors=True)
    start_engine(where)
    made: list[Any] = []
    for stage in STAGES:
        count = max(1, min(tasks, plan.items(stage)))
        made.append(where.stage(NearDedupStage(plan, stage), count, logs / stage, made[-1] if made else None))
    if where.executor == "slurm":
        made[-1].run()
        return plan.outputs
    for executor in made:
        executor.run()
    if not keep_work:
        shutil.rmtree(plan.work, ignore_errors=True)
        shutil.rmtree(plan.out / ".datatrove", ignore_errors=True)
    return plan.outputs

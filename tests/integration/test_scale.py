"""The stages as datatrove tasks: the bytes of a run in one process, whatever the number of tasks, and after a kill."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

from data_recipes import pipeline_language
from data_recipes.errors import DataError
from data_recipes.pipeline import run
from data_recipes.pipeline_at_scale import Cluster, SourceAndSettings, executors, run_at_scale
from data_recipes.settings import RunSettings


def _quiet(_line):
    """Take a report line and say nothing."""


@pytest.fixture(scope="module")
def one_process(tmp_path_factory, write_stack):
    """A source of five shards, and the store that one process makes of it."""
    folder = tmp_path_factory.mktemp("scale")
    write_stack(folder / "stack", files=40, shards=5)
    run(folder / "stack", folder / "one" / "store", ["final", "stars"], progress=_quiet, seed=0)
    return folder / "stack", folder / "one" / "store"


def _bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


_SCRIPT = """
    import os, signal, sys
    from data_recipes import pipeline_at_scale
    step, _, rank = "".join(sys.argv[5:]).partition(":")  # from Python 3.13 on the fork server reads this file first, without arguments
    if step:
        stage = getattr(pipeline_at_scale, step)
        plain = stage.run
        def run(self, data, rank_=0, world_size=1):
            data = plain(self, data, rank_, world_size) if step == "AnnotateShards" else data
            if rank_ == int(rank):
                os.kill(os.getpid(), signal.SIGKILL)
            return data
        stage.run = run
    if __name__ == "__main__":
        source, out, tasks, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        pipeline_at_scale.run_at_scale(source, out, ["final", "stars"], pipeline_at_scale.Cluster("local", tasks, workers), progress=print, seed=0)
"""


def _run(source, out, tasks, workers, victim=""):
    script = out.parent / "scale_script.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    arguments = [str(source), str(out), str(tasks), str(workers), victim]
    said = out.parent / "said.txt"
    # Files, not pipes: datatrove's manager process outlives a killed parent and would hold them open.
    with said.open("w") as stream:
        child = subprocess.Popen(
            [sys.executable, script, *arguments], stdout=stream, stderr=stream, start_new_session=True
        )
        code = child.wait(timeout=300)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return code, said.read_text()


@pytest.mark.slow
def test_tasks_and_workers_change_nothing(one_process, tmp_path):
    """Three tasks, two at a time, give the bytes of a run in one process; a second run finds it done."""
    source, expected = one_process
    code, said = _run(source, tmp_path / "store", 3, 2)
    assert code == 0, said[-3000:]
    assert _bytes(tmp_path / "store") == _bytes(expected)
    assert _run(source, tmp_path / "store", 3, 2) == (0, "step=store recipe=final reused\n")


@pytest.mark.slow
def test_shared_near_deduplication_changes_nothing(tmp_path, write_stack):
    """Where the tasks share each language's near-deduplication, in all three modes, the bytes are those of one process."""
    write_stack(tmp_path / "stack", files=40, shards=5)
    recipes = ["near_dedup", "near_dedup_verified", "final"]
    run(tmp_path / "stack", tmp_path / "one" / "store", recipes, progress=_quiet, seed=0)
    cluster = Cluster("local", parts=2, parts_at_once=2, shared_from_rows=20)
    run_at_scale(tmp_path / "stack", tmp_path / "store", recipes, cluster, progress=_quiet, seed=0)
    assert _bytes(tmp_path / "store") == _bytes(tmp_path / "one" / "store")


def test_decisions_of_tasks_are_what_a_language_is_made_from(tmp_path, write_stack, monkeypatch):
    """Nothing is decided again where the stages are done; what they decided about other rows, or half, is not believed."""
    write_stack(tmp_path / "stack", files=40, shards=2)
    recipes = ["near_dedup_verified", "final"]
    run(tmp_path / "stack", tmp_path / "one" / "store", recipes, progress=_quiet, seed=0)
    settings = RunSettings().changed(recipe=recipes, seed=0)
    made = SourceAndSettings(str(tmp_path / "stack"), str(tmp_path / "store"), settings).run(_quiet)
    for number in range(made.shard_count):
        made.annotate_shard(number)
    modes = []
    for part in made.languages():
        made.stage_texts(part, 20)
        plans = made.staged(part).plans(3, 1)
        modes += [plan.mode for plan in plans]
        for plan in plans:
            plan.all()
        for plan in plans[:1]:
            rows = sum(piece.rows for piece in plan.pieces)
            assert made.staged(part).decisions(plan.mode, rows).num_rows == rows
            assert made.staged(part).decisions(plan.mode, rows + 1) is None
    assert set(modes) == {"near_dedup_verified", "near_dedup_alt"}
    decided = []
    alone = pipeline_language.near_duplicates_of_texts
    monkeypatch.setattr(
        pipeline_language,
        "near_duplicates_of_texts",
        lambda *given, **more: decided.append(len(given[0])) or alone(*given, **more),
    )
    made.make()
    assert max(decided, default=0) < 20
    assert _bytes(tmp_path / "store") == _bytes(tmp_path / "one" / "store")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["AnnotateShards:1", "MakeLanguages:0", "FinishStore:0"])
def test_a_killed_rank_is_run_again_and_nothing_else(one_process, tmp_path, victim):
    """After SIGKILL of a rank in any stage, a new run reuses the shards of the others and gives the same bytes."""
    source, expected = one_process
    assert _run(source, tmp_path / "store", 3, 1, victim)[0] == -signal.SIGKILL
    assert not (tmp_path / "store" / "funnel.json").exists()
    code, said = _run(source, tmp_path / "store", 3, 1)
    assert code == 0, said[-3000:]
    assert _bytes(tmp_path / "store") == _bytes(expected)
    made = {line.split()[1] for line in said.splitlines() if line.startswith("step=annotate") and "reused" not in line}
    assert made == ({"shard=0002.parquet"} if victim.startswith("Annotate") else set())


@pytest.mark.slow
def test_work_that_was_deleted_is_done_again(one_process, tmp_path):
    """Datatrove's marks of completion are not believed where the output is gone."""
    source, expected = one_process
    assert _run(source, tmp_path / "store", 2, 1)[0] == 0
    (tmp_path / "store").rename(tmp_path / "moved")
    assert _run(source, tmp_path / "store", 2, 1)[0] == 0
    assert _bytes(tmp_path / "store") == _bytes(expected)


def test_slurm_jobs_are_submitted_as_a_chain(one_process, tmp_path, monkeypatch):
    """Three job arrays are handed to sbatch, each after the one before; the scripts name partition, time and tasks."""
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        '#!/bin/sh\nfor last; do :; done\ncat "$last" >> "$0.log"\necho "called: $*" >> "$0.log"\n'
        'n=$(grep -c ^called: "$0.log"); echo "Submitted batch job $n"\n'
    )
    sbatch.chmod(sbatch.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    cluster = Cluster("slurm", parts=4, parts_at_once=2, partition="cpu", time="1:00:00")
    run_at_scale(one_process[0], tmp_path / "store", "stars", cluster)
    log = (sbatch.parent / "sbatch.log").read_text()
    assert [name for name in ("annotate", "languages", "finish") if f"--job-name=santa_{name}" in log] == [
        "annotate",
        "languages",
        "finish",
    ]
    assert "--partition=cpu" in log
    assert "--time=1:00:00" in log
    assert "afterok:1" in log


def test_a_cluster_that_can_not_be_is_named():
    """An unknown executor, Slurm without a partition and no tasks at all are errors before anything runs."""
    with pytest.raises(DataError, match=r"executor='dask' is unknown\. Choose one of local, slurm, ray"):
        Cluster("dask")
    with pytest.raises(DataError, match=r"executor='slurm' needs a partition\. Pass partition=NAME"):
        Cluster("slurm")
    with pytest.raises(DataError, match="parts=0 is less than 1"):
        Cluster(parts=0)


def test_ray_that_is_not_there_is_named(one_process, tmp_path, monkeypatch):
    """Without ray the executor says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match=r"executor='ray' needs ray, which is not installed\. pip install"):
        run_at_scale(one_process[0], tmp_path / "store", "base", Cluster("ray"))


def test_what_a_run_would_refuse_is_refused_before_it_is_submitted(one_process, tmp_path):
    """A missing column or tokenizer is an error at once, not in every task."""
    with pytest.raises(DataError, match="recipe 'fertility' counts tokens"):
        run_at_scale(one_process[0], tmp_path / "store", "fertility")


def test_other_settings_have_other_marks(one_process, tmp_path):
    """Datatrove's marks of completion lie in a folder of this very run's key."""
    plans = [SourceAndSettings(str(one_process[0]), str(tmp_path / "store"), RunSettings(seed=seed)) for seed in (0, 1)]
    folders = {stage.logging_dir.path for plan in plans for stage in executors(plan, Cluster())}
    assert len(folders) == 6

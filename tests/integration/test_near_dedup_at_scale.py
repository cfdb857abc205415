"""Near-deduplication as datatrove tasks: the decisions of one process for any number of tasks, and after a kill."""

import random
import signal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.dedup.on_disk import near_duplicates_of_files
from data_recipes.dedup.sharded import STAGES
from data_recipes.errors import DataError
from data_recipes.near_dedup_at_scale import near_duplicates_at_scale

_SCRIPT = """
    import os, signal, sys
    from data_recipes import near_dedup_at_scale
    from data_recipes.pipeline_at_scale import Cluster
    source, out, tasks, workers, victim = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    plain = near_dedup_at_scale.ShardedNearDedup.do
    def do(self, stage, item):
        plain(self, stage, item)
        if stage == victim and item == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if victim:
        near_dedup_at_scale.ShardedNearDedup.do = do
    if __name__ == "__main__":
        cluster = Cluster("local", tasks, workers)
        near_dedup_at_scale.near_duplicates_at_scale(source, out, "near_dedup_verified", cluster, parts=5)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four files of texts, a third of them near-duplicates, and what one process decides."""
    draw = random.Random(5)
    texts = []
    for _ in range(60):
        lines = [f"value_{draw.randrange(999)} = call_{draw.randrange(999)}(a, b)" for _ in range(40)]
        for _ in range(draw.choice([1, 2, 4])):
            changed = list(lines)
            changed[draw.randrange(40)] = f"other_{draw.randrange(999)} = 1"
            texts.append("\n".join(changed))
    draw.shuffle(texts)
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(4):
        pq.write_table(pa.table({"content": texts[number::4]}), folder / f"{number}.parquet")
    return folder, near_duplicates_of_files(folder, "near_dedup_verified", 1)


def _run(source, out, tasks, workers, victim=""):
    script = out.with_name("script.py")
    script.write_text(textwrap.dedent(_SCRIPT))
    arguments = [str(source), str(out), str(tasks), str(workers), victim]
    # Files, not pipes: datatrove's manager process outlives a killed parent and would hold them open.
    with out.with_name("said.txt").open("wb") as said:
        return subprocess.run(
            [sys.executable, str(script), *arguments], stdout=said, stderr=said, check=False, start_new_session=True
        ).returncode


def _decided(out):
    return pa.concat_tables(map(pq.read_table, sorted(out.glob("near-dedup-*.parquet"))))


@pytest.mark.parametrize(("tasks", "workers"), [(1, 1), (3, 2)])
def test_tasks_decide_as_one_process(corpus, tmp_path, tasks, workers):
    """One task and three give the same rows, and leave nothing else behind."""
    source, expected = corpus
    assert _run(source, tmp_path / "out", tasks, workers) == 0
    assert _decided(tmp_path / "out").equals(expected)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".parquet"}


def test_a_kill_in_every_stage_changes_nothing(corpus, tmp_path):
    """After a SIGKILL in each stage in turn the work goes on where it was, to the same decisions."""
    source, expected = corpus
    out = tmp_path / "out"
    for stage in STAGES:
        assert _run(source, out, 1, 1, stage) == -signal.SIGKILL
        assert (out / ".work" / f"{stage}-00000.done.json").exists()
    before = {path.name: path.stat().st_mtime_ns for path in (out / ".work").glob("*.done.json")}
    near_duplicates_at_scale(source, out, "near_dedup_verified", parts=5, keep_work=True)
    after = {path.name: path.stat().st_mtime_ns for path in (out / ".work").glob("*.done.json")}
    assert {name: after[name] for name in before} == before
    assert _decided(out).equals(expected)


def test_an_output_inside_its_source_is_refused(corpus):
    """The next run would read the decisions as rows."""
    with pytest.raises(DataError, match="lies inside the source"):
        near_duplicates_at_scale(corpus[0], corpus[0] / "out")

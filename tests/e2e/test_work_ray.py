"""Work by Ray on this machine's loopback: two nodes, and what is killed of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from work_cases import (
    QUICK,
    alive,
    completed,
    end_started,
    glm2x,
    plan_baseline,
    plan_store,
    results,
    start,
    starts,
    wait_until,
    workers,
)

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")

GENES = 12


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    replace(demo_split, seen=demo_split.seen[:GENES]).save(folder / "split.json")
    words = ("baseline", demo_cohort.folder, "--split", folder / "split.json", "--models", QUICK)
    plain = folder / "plain"
    more = ("--genes-out", plain / "genes.parquet", "--weights-out", plain / "weights.parquet")
    assert glm2x(*words, "--out", plain / "predictions.parquet", *more) == 0
    (folder / "genes").write_text("\n".join(demo_cohort.gene_ids[:4]) + "\n")
    plan_store(demo_cohort, folder / "genes", folder / "store")
    assert glm2x("embed", "run", folder / "store", "--workers", 1) == 0
    assert glm2x("embed", "finish", folder / "store") == 0
    return folder


@pytest.fixture
def work(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> Path:
    plan_baseline(demo_cohort, folder / "split.json", tmp_path / "work")
    return tmp_path / "work"


# a process of its own, since Ray takes over signals and leaves things open: two nodes with a CPU each
CLUSTER = """
import sys
from glm2x.work.launchers.ray import LOOPBACK, require_ray

require_ray()
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
for attempt in range(3):  # a busy machine starts it too slowly
    cluster = Cluster()
    try:
        cluster.add_node(node_ip_address=LOOPBACK, **node)
        second = cluster.add_node(node_ip_address="127.0.0.3", **node)
        break
    except Exception:
        cluster.shutdown()
else:
    raise SystemExit("Ray did not start")
print("ADDRESS", cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
cluster.shutdown()
"""


@contextmanager
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """Give the address of a cluster, and what kills its second node."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def kill() -> None:
        process.stdin.write("kill\n")
        process.stdin.flush()

    try:
        address = next(line.split()[1] for line in process.stdout if line.startswith("ADDRESS"))
        yield address, kill
    finally:
        process.communicate()


def finished(folder: Path, work: Path) -> None:
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")
    assert set(completed(work).values()) == {1}
    assert len(completed(work)) == GENES


def test_by_one_command_and_by_a_driver_that_is_killed(folder: Path, work: Path) -> None:
    """Ray is started by the command, and ends with it."""
    process = start("work", "run", work, "--launcher", "ray", "--workers", 2)
    wait_until(lambda: len(completed(work)) >= 2)
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(workers(work)))
    before = completed(work)
    assert 2 <= len(before) < GENES
    process = start("work", "run", work, "--launcher", "ray", "--workers", 2)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert sum(starts(work).values()) <= GENES + 2  # what two actors had in hand
    finished(folder, work)
    wait_until(lambda: not alive(workers(work)))


def test_an_actor_and_a_node_that_are_killed(folder: Path, work: Path) -> None:
    with two_nodes() as (address, kill_node):
        process = start("work", "run", work, "--launcher", "ray", "--ray-address", address)
        wait_until(lambda: len(workers(work)) == 2 and len(completed(work)) >= 2)
        os.kill(workers(work)[0], signal.SIGKILL)
        wait_until(lambda: len(workers(work)) >= 3 or len(completed(work)) == GENES)
        kill_node()
        told = process.communicate(timeout=300)[1]
        assert process.returncode == 0, told
        assert sum(starts(work).values()) <= GENES + 2  # of each that was killed, the shard in hand
        finished(folder, work)
    wait_until(lambda: not alive(workers(work)))


def test_embeddings_are_the_same_bytes(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    store = tmp_path / "store"
    plan_store(demo_cohort, folder / "genes", store)
    process = start("embed", "run", store, "--launcher", "ray", "--workers", 2)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert "windows went through the model" in told
    assert glm2x("embed", "finish", store) == 0
    assert results(store) == results(folder / "store")


def test_without_ray_it_says_how_to_install_it(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert glm2x("work", "run", work, "--launcher", "ray") == 2
    assert "pip install 'glm2x[ray]'" in capsys.readouterr().err

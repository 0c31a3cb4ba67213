"""Writers of an embedding store that are killed with SIGKILL, at each point and at any."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glm2x.embeddings.gc import collect
from glm2x.embeddings.store import Store
from glm2x.embeddings.verify import verify
from small_store import SPEC, content, key, values, write

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX systems")

LARGE = replace(SPEC, width=8_000)
SHARDS = [range(first, first + 6) for first in range(0, 48, 6)]  # of 1 MB
SMALL = [range(0, 3), range(3, 5), range(5, 8)]

POINTS = {  # and how many files are left there
    "in the shard": 2,
    "before the shard is renamed": 2,
    "before the index is written": 2,
    "before the index is renamed": 2,
    "in merging": 0,
}

# for each point a process, which kills itself in the second shard, when it comes there
DIES = """
import os, signal, sys
from pathlib import Path
from glm2x import files
from glm2x.embeddings import commit, shard
from glm2x.embeddings.store import Store
from small_store import SPEC, write

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(path, values):
    shard.write_tensor(path, values)
    path.write_bytes(path.read_bytes()[:100])
    die()

def work(folder, point):
    store = Store.create(folder, SPEC)
    write(store, range(0, 3))
    if point == "in the shard":
        commit.write_tensor = half
    elif point == "before the shard is renamed":
        commit.write_tensor = lambda path, values: (shard.write_tensor(path, values), die())
    elif point == "before the index is written":
        commit.write_rows = die
    elif point == "before the index is renamed":
        replace = files._replace
        files._replace = lambda old, new: die() if new.suffix == ".parquet" else replace(old, new)
    elif point == "in merging":
        write(store, range(3, 5))
        unlink = Path.unlink
        Path.unlink = lambda path, **k: unlink(path, **k) if path.name.startswith(".") else die()
        store.consolidate()
    write(store, range(3, 5))

for point in sys.argv[2:]:
    process = os.fork()
    if not process:
        work(Path(sys.argv[1], point), point)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL, point
"""

WRITES = """
import sys
from small_store import write
from test_store_kill import LARGE, SHARDS
from glm2x.embeddings.store import Store

store = Store.create(sys.argv[1], LARGE)
for numbers in SHARDS[:: int(sys.argv[2])]:
    write(store, numbers)
"""


def start(program: str, *words: object) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, words)], env=environment)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stores, by the point at which their writer was killed."""
    folder = tmp_path_factory.mktemp("killed")
    assert start(DIES, folder, *POINTS).wait(120) == 0
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_only_the_shard_in_hand_is_lost(killed: Path, tmp_path: Path, point: str) -> None:
    store = Store.open(killed / point)
    there = 5 if point == "in merging" else 3
    assert store.missing([key(number) for number in range(8)]) == [key(number) for number in range(there, 8)]
    assert torch.equal(store.gather([key(number) for number in range(there)]), values(range(there)))
    assert verify(store).problems == ()
    found = collect(store)
    assert len(found.removed) == POINTS[point]
    assert found.in_hand == ()
    for numbers in SMALL:
        write(store, numbers)
    store.consolidate()
    single = Store.create(tmp_path / "single", SPEC)
    for numbers in SMALL:
        write(single, numbers)
    single.consolidate()
    assert content(store.folder) == content(single.folder)


def test_two_writers_one_killed_a_third_resuming(tmp_path: Path) -> None:
    """Of the shards both write the first, and one every other; what is there is read meanwhile."""
    folder = tmp_path / "store"
    whole = values(range(48), LARGE)
    first, second = start(WRITES, folder, 1), start(WRITES, folder, 2)
    try:
        deadline = time.monotonic() + 120
        while not list((folder / "shards").glob(f".*.partial-*-{first.pid}")):
            assert first.poll() is None, "it was through before it was killed"
            assert time.monotonic() < deadline
        first.kill()
        assert first.wait(60) == -signal.SIGKILL
        while second.poll() is None:
            if (folder / "store.json").is_file():
                looked = Store.open(folder)
                there = [number for number in range(48) if key(number) in looked]
                for number in there:
                    assert torch.equal(looked.read(key(number)), whole[number])
        assert second.wait() == 0
    finally:
        first.kill()
        second.kill()
    third = Store.open(folder)
    for numbers in SHARDS:
        write(third, numbers)
    collect(third)
    single = Store.create(tmp_path / "single", LARGE)
    for numbers in SHARDS:
        write(single, numbers)
    assert content(folder) == content(single.folder)
    assert verify(third).problems == ()
    assert collect(third).removed == ()

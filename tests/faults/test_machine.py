"""A full disk, folders that may not be written to or go away, two of one command, a clock that is set back.

Each stage ends in the right files, or in one message that says what, where and what to do; never in other
files, a traceback, a half file under a final name, or not at all (`kill_server` gives up after a time). Then,
with the fault mended, the same command makes what an undisturbed one does.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
from kill_disk import disk
from kill_server import PATIENCE, Ended
from kill_world import (
    DATA,
    PLAN,
    VERBS,
    Stage,
    contents,
    copy_world,
    leftovers,
    require_nothing_half,
    staged,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by pidfd_open, of Linux")

SOAK = os.environ.get("GLM2X_SOAK") == "1"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage")) as one:
        yield one


def require_one_message(ended: Ended) -> None:
    """Check that a command ended in one message of ours that says what to do."""
    assert not ended.hung, ended.said
    assert ended.code in (1, 2), ended.said
    assert ended.said.count("glm2x: ") == 1, ended.said
    assert "  do:     " in ended.said
    assert "Traceback" not in ended.said


ROOMS = (
    [(name, n / 10) for name in VERBS for n in range(10)]
    if SOAK
    else [("extraction", 0.0), *((name, 0.6) for name in VERBS)]
)


@pytest.mark.parametrize(("name", "share"), ROOMS)
def test_the_disk_is_full(name: str, share: float, stage: Stage, tmp_path: Path) -> None:
    with disk(tmp_path) as small:
        copy_world(stage.world, tmp_path)
        small.fill(int(share * stage.wholes[name].bytes))
        ended = stage.run(name, tmp_path)
        require_one_message(ended)
        assert "the disk is full" in ended.said
        require_nothing_half(VERBS[name], tmp_path)
        assert leftovers(tmp_path) == []
        small.make_room()
        stage.require_same_again(name, tmp_path)


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))"


@pytest.mark.parametrize("name", VERBS)
def test_no_file_may_grow_so_large(name: str, stage: Stage, tmp_path: Path) -> None:
    """As by a quota, or a file system of small files: the system refuses the rest of a write."""
    copy_world(stage.world, tmp_path)
    largest = max(map(len, stage.wholes[name].contents.values()))
    ended = stage.run(name, tmp_path, setup=LIMITED.format(bytes=largest // 2))
    require_one_message(ended)
    assert leftovers(tmp_path) == []
    stage.require_same_again(name, tmp_path)


@pytest.mark.parametrize("name", VERBS)
def test_the_folder_may_not_be_written_to(name: str, stage: Stage, tmp_path: Path) -> None:
    with disk(tmp_path) as small:
        copy_world(stage.world, tmp_path)
        small.allow_writing(False)
        ended = stage.run(name, tmp_path)
        require_one_message(ended)
        assert "Read-only file system" in ended.said
        small.allow_writing(True)
        stage.require_same_again(name, tmp_path)


def test_what_is_read_may_lie_where_nothing_can_be_written(stage: Stage, tmp_path: Path) -> None:
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    with disk(read_only) as small:
        shutil.copytree(stage.world, read_only, dirs_exist_ok=True)
        small.allow_writing(False)
        copy_world(read_only, tmp_path)
        for name, verb in VERBS.items():
            ended = stage.run(name, tmp_path)
            assert ended.code == 0, ended.said
            assert contents(tmp_path / verb.out) == stage.wholes[name].contents


OUTPUTS = dict.fromkeys(VERBS, "results") | {
    "training": "results/run",
    "extraction": "store",
}
INPUTS = dict.fromkeys(("training", "extraction", "evaluation", "prediction"), "cohort")
GOING = [*OUTPUTS.items(), *INPUTS.items()]


@pytest.mark.parametrize("share", [n / 20 for n in range(20)] if SOAK else [0.5])
@pytest.mark.parametrize(("name", "going"), GOING, ids=[f"{going} of {name}" for name, going in GOING])
def test_a_folder_goes_away(name: str, going: str, share: float, stage: Stage, tmp_path: Path) -> None:
    copy_world(stage.world, tmp_path)
    touch = 1 + int(share * stage.wholes[name].touches)
    ended = stage.run(name, tmp_path, touch=touch, remove=tmp_path / going)
    out = tmp_path / VERBS[name].out
    if ended.code == 0:  # it was whole before, and may have gone with its folder then
        gone = VERBS[name].begins and not out.exists()
        assert gone or contents(out) == stage.wholes[name].contents
        return
    require_one_message(ended)
    if going == "cohort":
        (tmp_path / "cohort").symlink_to(stage.world / "cohort")
    else:
        assert not list(tmp_path.glob(f"{going}/**/*")), "it was made again, in part"
    if going == "store":
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(stage.world / "store", tmp_path / "store")
    stage.require_same_again(name, tmp_path)


def test_a_store_is_moved_away_while_workers_fill_it(stage: Stage, tmp_path: Path) -> None:
    """Nobody waits for workers that cannot go on, and none makes the folder again."""
    copy_world(stage.world, tmp_path)
    store, aside = tmp_path / "many", tmp_path / "moved away"
    words = [word if word != "20" else "1" for word in PLAN]
    assert stage.server.run(*words, "many", folder=tmp_path).code == 0

    def move() -> None:
        deadline = time.monotonic() + PATIENCE
        while not list(store.glob("log/*.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.005)
        store.rename(aside)

    thread = Thread(target=move)
    thread.start()
    ended = stage.server.run("embed", "run", "many", "--workers", "2", folder=tmp_path)
    thread.join()
    assert (ended.code, ended.hung) == (1, False)
    assert ended.said.count("glm2x: many has gone while it was being written to") == 1
    assert "Traceback" not in ended.said
    assert not store.exists()
    aside.rename(store)
    again = stage.server.run("embed", "run", "many", "--workers", "1", folder=tmp_path)
    assert again.code == 0, again.said
    assert stage.server.run("embed", "finish", "many", folder=tmp_path).code == 0


@pytest.mark.parametrize("name", VERBS)
def test_two_at_once(name: str, stage: Stage, tmp_path: Path) -> None:
    copy_world(stage.world, tmp_path)
    verb = VERBS[name]
    both = stage.server.run_copies(2, *verb.words, folder=tmp_path, below=tmp_path)
    assert sorted(ended.code for ended in both)[0] == 0, [ended.said for ended in both]
    for ended in both:
        if ended.code:
            require_one_message(ended)
    assert contents(tmp_path / verb.out) == stage.wholes[name].contents
    assert leftovers(tmp_path) == []


BACK = """
import time
now = [time.time()]

def back():
    now[0] -= 3600
    return now[0]

time.time = back
"""


def test_the_clock_is_set_back(stage: Stage, tmp_path: Path) -> None:
    """Times fall while commands run; and what they read, and a claim that lies there, are of the future."""
    world, future = tmp_path / "world", time.time() + 1e9
    shutil.copytree(stage.world, world)
    copy_world(world, tmp_path)
    (tmp_path / "store/claims").mkdir()
    for plan in (tmp_path / "store/plans").glob("*.parquet"):
        for shard in pl.read_parquet(plan)["shard"].unique():
            (tmp_path / "store/claims" / shard).touch()
    for folder in (world, tmp_path / "store"):
        for path in folder.rglob("*"):
            os.utime(path, (future, future))
    for name, verb in VERBS.items():
        ended = stage.run(name, tmp_path, setup=BACK)
        assert ended.code == 0, ended.said
        assert contents(tmp_path / verb.out) == stage.wholes[name].contents


@pytest.mark.parametrize("years", [-10, 10])
def test_an_index_is_older_or_of_the_future(years: int, stage: Stage, tmp_path: Path) -> None:
    """The indexes of what a cohort is built from are no reason to read anything else of it."""
    data, then = tmp_path / "data", time.time() + years * 3.2e7
    shutil.copytree(DATA, data)
    for index in (*data.glob("*.tbi"), *data.glob("*.fai"), *data.glob("*.gzi")):
        os.utime(index, (then, then))
    words = [word.replace(str(DATA), str(data)) for word in VERBS["build"].words]
    (tmp_path / "results").mkdir()
    ended = stage.server.run(*words, folder=tmp_path)
    assert ended.code == 0, ended.said
    assert contents(tmp_path / "results/built") == stage.wholes["build"].contents

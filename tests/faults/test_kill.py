"""`kill -9` at random moments of each stage, then the same command again: the files are those of a whole run.

Half of the moments are times, spread over what an undisturbed run takes; half are touches of the file system,
spread over all that it does (`kill_server`). What is compared of the files, and how, `kill_world` says. With
``GLM2X_SOAK=1`` there are 50 moments of each command.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kill_world import VERBS, Stage, Whole, contents, copy_world, leftovers, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by pidfd_open, of Linux")

SOAK = os.environ.get("GLM2X_SOAK") == "1"
MOMENTS = 50 if SOAK else 6


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage")) as one:
        yield one


def moment(name: str, number: int, whole: Whole) -> dict[str, float | int]:
    """Return one of `MOMENTS` moments: the first at once, the last before the last touch; seeded."""
    if number == 0:
        return {"after": 0.0}
    if number == MOMENTS - 1:
        return {"touch": whole.touches}
    part, parts = divmod(number - 1, 2)[0], (MOMENTS - 2) // 2
    share = (part + random.Random(f"{name} {number}").random()) / parts
    return {"after": share * whole.seconds} if number % 2 else {"touch": 1 + int(share * whole.touches)}


@pytest.mark.parametrize("number", range(MOMENTS))
@pytest.mark.parametrize("name", VERBS)
def test_killed_and_run_again(name: str, number: int, stage: Stage, tmp_path: Path) -> None:
    copy_world(stage.world, tmp_path)
    killed = stage.run(name, tmp_path, **moment(name, number, stage.wholes[name]))
    assert killed.killed or killed.code == 0, killed.said  # a moment in time may come too late
    assert killed.killed or number not in (0, MOMENTS - 1)
    assert "Traceback" not in killed.said
    stage.require_same_again(name, tmp_path)


@pytest.mark.parametrize("share", [n / 20 for n in range(20)] if SOAK else [0.7])
@pytest.mark.parametrize("name", VERBS)
def test_a_scheduler_ends_it(name: str, share: float, stage: Stage, tmp_path: Path) -> None:
    """SIGTERM leaves time to tidy up: nothing half-written remains, also before the command is run again."""
    copy_world(stage.world, tmp_path)
    touch = 1 + int(share * stage.wholes[name].touches)
    ended = stage.run(name, tmp_path, touch=touch, by=signal.SIGTERM)
    assert ended.code == 143, ended.said
    assert "Traceback" not in ended.said
    assert leftovers(tmp_path) == []
    stage.require_same_again(name, tmp_path)


DIES = """
import os, shutil, signal
from pathlib import Path

rename, left = Path.rename, {renames}

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def counted(path, target):
    global left
    left -= "built" in (path.name, Path(target).name)
    return die() if left < 0 else rename(path, target)

Path.rename = counted
shutil.rmtree = die
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_what_is_replaced_outlives_a_kill(renames: int, stage: Stage, tmp_path: Path) -> None:
    """`--force` is killed before the old cohort is moved away, before the new one moves in, and then."""
    build, whole = VERBS["build"], stage.wholes["build"]
    force = replace(build, words=(*build.words, "--force"), begins=False)
    copy_world(stage.world, tmp_path)
    assert stage.run("build", tmp_path).code == 0
    assert force.run(stage.server, tmp_path, setup=DIES.format(renames=renames)).killed
    if renames == 1:  # for a moment it is under neither name
        old = [path for path in (tmp_path / "results").iterdir() if ".replaced-" in path.name]
        assert not os.path.lexists(tmp_path / build.out)
        assert [contents(path) for path in old] == [whole.contents]
    else:
        assert contents(tmp_path / build.out) == whole.contents
    stage.require_same_again("build", tmp_path, force)

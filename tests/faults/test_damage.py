"""A file that was cut or in which a bit flipped, of every kind that glm2x writes: told, or no harm done.

Each command that reads a file back is run with the file damaged. It ends with an error of one message, or
does what it does with the whole file, byte for byte. `damage_files` says of every file which commands these
are, or why there are none; a file that it does not know fails `test_every_file_is_known`.

With GLM2X_SOAK=1 (``make soak``) every file is damaged at random, GLM2X_ROUNDS times (default: 100), instead
of four.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from damage_files import HINTS, READ, READERS, UNKNOWABLE, UNREAD, Reader, pattern_of
from damage_world import glm2x, inside, make_world

from glm2x.files import read_json

ROUNDS = int(os.environ.get("GLM2X_ROUNDS", "100")) if os.environ.get("GLM2X_SOAK") == "1" else 0
TABLES = (HINTS, READ, UNKNOWABLE, UNREAD)
NOT_COMPARED = ("made.json", ".lock")  # when and how

# what a damaged file makes a library warn of is a line on standard error to a user, and no result
pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Outcome:
    """What a command came to: its exit code, what it printed on standard output, and what it wrote."""

    code: int
    printed: str
    written: dict[str, bytes]


class World:
    """The files, whole, and a copy in which one is damaged at a time."""

    def __init__(self, folder: Path) -> None:
        self.whole, self.copy = folder / "whole", folder / "copy"
        self.whole.mkdir()
        with inside(self.whole):
            make_world()
        shutil.copytree(self.whole, self.copy)
        self._right: dict[str, Outcome] = {}

    def files(self) -> list[str]:
        """Return every file, by its path in the folder."""
        paths = (path.relative_to(self.whole) for path in self.whole.rglob("*"))
        return sorted(str(path) for path in paths if (self.whole / path).is_file())

    def restore(self, *names: str) -> None:
        """Bring files or folders of the copy back to what they were."""
        for top in {Path(name).parts[0] for name in names}:
            source, target = self.whole / top, self.copy / top
            if target.is_dir():
                shutil.rmtree(target)
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        shutil.rmtree(self.copy / "out", ignore_errors=True)

    def right(self, name: str, capsys: pytest.CaptureFixture[str]) -> Outcome:
        """Return what a command comes to with whole files."""
        if name not in self._right:
            self._right[name] = self.run(READERS[name], capsys)
            self.restore(*READERS[name].touched)
        return self._right[name]

    def run(self, reader: Reader, capsys: pytest.CaptureFixture[str]) -> Outcome:
        """Run a command in the copy; one that ends with a message writes nothing that is compared."""
        (self.copy / "out").mkdir(exist_ok=True)
        with inside(self.copy):
            capsys.readouterr()
            code = glm2x(*reader.words)
            printed = capsys.readouterr()
        if code in (1, 2):
            assert printed.err.startswith("glm2x: ") or "\nglm2x: " in printed.err
            assert "Traceback" not in printed.err
        places = [self.copy / name for name in ("out", *reader.results)]
        paths = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
        found = {
            str(path.relative_to(self.copy)): _told(path)
            for path in paths
            if path.is_file() and not path.name.endswith(NOT_COMPARED)
        }
        return Outcome(code, printed.out, found)


def _told(path: Path) -> bytes:
    """Return what a file says; of a cohort not the checksums of its sources, whose headers hold times."""
    if path.name != "cohort.json":
        return path.read_bytes()
    return json.dumps({k: v for k, v in read_json(path).items() if k != "sources"}).encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    return World(tmp_path_factory.mktemp("damage"))


def damages(whole: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    """Yield what may become of a file, with words for it."""
    size, rng = len(whole), random.Random(seed)

    def flipped(at: int) -> bytes:
        return whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]

    if not size:
        return
    if not ROUNDS:
        for at in (rng.randrange(min(size, 12)), size // 2, size - 1 - rng.randrange(min(size, 12))):
            yield f"a bit of byte {at} flipped", flipped(at)
        cut = rng.randrange(size)
        yield f"cut after {cut} bytes", whole[:cut]
        return
    for _ in range(ROUNDS):
        at = rng.randrange(size)
        yield f"a bit of byte {at} flipped", flipped(at)
    yield f"cut after {at} bytes", whole[:at]
    yield f"zeros from byte {at}", (whole[:at] + bytes(512) + whole[at + 512 :])[:size]
    yield f"a byte more at {at}", whole[:at] + b"0" + whole[at:]


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(pattern, reader) for pattern, readers in table.items() for reader in readers]


@pytest.mark.parametrize(("pattern", "reader"), pairs(READ))
def test_a_damaged_file_is_told_or_does_no_harm(
    world: World, pattern: str, reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right = world.right(reader, capsys)
    assert right.code == 0
    assert right.printed or right.written or reader == "check"
    told = 0
    for name in (name for name in world.files() if pattern_of(READ, name) == pattern):
        for what, damaged in damages((world.whole / name).read_bytes(), name + reader):
            (world.copy / name).write_bytes(damaged)
            got = world.run(READERS[reader], capsys)
            world.restore(name, *READERS[reader].touched)
            if got.code in (1, 2):
                told += 1
                continue
            assert got == right, f"{name}: {what}"
    assert told or pattern in NEVER_TOLD.get(reader, ())


# a command that reads nothing of a file but what is the same, or that does without it
NEVER_TOLD = {
    "build": ("sim/genotypes.vcf.gz.tbi", "sim/expression.bed.gz.tbi"),
    "consensus": ("sim/genotypes.vcf.gz.tbi", "sim/reference.fa.gz.gzi"),
}


@pytest.mark.parametrize(("pattern", "reader"), pairs(UNKNOWABLE))
def test_damaged_text_is_no_crash(
    world: World, pattern: str, reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.right(reader, capsys).code == 0
    for name in (name for name in world.files() if pattern_of(UNKNOWABLE, name) == pattern):
        for _, damaged in damages((world.whole / name).read_bytes(), name + reader):
            (world.copy / name).write_bytes(damaged)
            world.run(READERS[reader], capsys)
            world.restore(name, *READERS[reader].touched)


def test_a_damaged_hint_is_none(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The report with a damaged record is the one with that record, or the one without it."""
    name, reader = "linear.parquet.made.json", "evaluate"
    place = world.copy / name
    made = "out/e/made.json"

    def record() -> str:
        world.run(READERS[reader], capsys)
        return _without_times((world.copy / made).read_text())

    right = record()
    world.restore(name)
    place.unlink()
    without = record()
    world.restore(name)
    assert right != without
    for what, damaged in damages((world.whole / name).read_bytes(), name):
        place.write_bytes(damaged)
        assert record() in (right, without), what
        world.restore(name)


def _without_times(record: str) -> str:
    """Return what a record says of how things were made, without what differs at every run."""
    made = json.loads(record)
    told = [{k: v for k, v in one.items() if k not in _TIMES} for one in made["made"]]
    return json.dumps([told, made["unrecorded"]])


_TIMES = ("seconds", "peak", "child_peak", "outputs")


def test_every_file_is_known(world: World) -> None:
    """A new kind of file has to be put into a table of `damage_files`."""
    fits = {name: [pattern_of(table, name) for table in TABLES] for name in world.files()}
    assert not [name for name, patterns in fits.items() if not any(patterns)]
    for number, table in enumerate(TABLES):
        assert set(table) <= {patterns[number] for patterns in fits.values()}
    readers = {reader for table in (READ, UNKNOWABLE) for readers in table.values() for reader in readers}
    assert readers == set(READERS)

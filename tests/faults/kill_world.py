"""What the commands that are killed or starved work on, and what of their results is compared, and how.

Compared are all files below a result's folder, their names and their bytes, but for what says when and where:

======================================= =================================================================
``made.json``                            not compared: commands with their times, memory and processes; nor a
                                         half-written one
``run.json``                             as JSON, without ``seconds`` and ``started_by`` (torchrun, SLURM)
``history.jsonl``                        as JSON lines, without ``seconds``
``.lock``, ``claims/``, ``log/``         not compared: locks, and what processes of which id did when
======================================= =================================================================
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from kill_server import Ended, Server, server

from glm2x.embeddings.store import Store
from glm2x.embeddings.verify import verify
from glm2x.training.checkpoint import load_checkpoint

DATA = Path(__file__).parents[2] / "src/glm2x/demo/data"
PEOPLE = {"train": slice(0, 40), "validation": slice(40, 50), "test": slice(50, 80)}
_NOT_COMPARED = {"made.json", ".lock", "claims", "log"}
_JSON = {"run.json", "history.jsonl"}
_DROPPED = {"seconds", "started_by", "checksum", "history_sha256"}  # the last two are of the others, too


@dataclass(frozen=True)
class Verb:
    """A command that makes one thing.

    Attributes
    ----------
    words
        As typed in the folder of `make_world` or a copy of it.
    out
        What it makes.
    begins
        Whether it makes all of `out`, and refuses to when that is there.
    """

    words: tuple[str, ...]
    out: str
    begins: bool

    def run(self, server: Server, folder: Path, **options: Any) -> Ended:
        """Run it in a folder."""
        return server.run(*self.words, folder=folder, below=folder, **options)


_BUILD = (
    *(
        "cohort",
        "build",
        "--variants",
        f"{DATA}/genotypes.vcf.gz",
        "--reference",
        f"{DATA}/reference.fa.gz",
    ),
    *(
        "--expression",
        f"{DATA}/expression.bed.gz",
        "--individuals",
        f"{DATA}/individuals.tsv",
    ),
    *("--covariates", f"{DATA}/covariates.txt.gz", "--out"),
)
_SETTINGS = (
    *(
        "cohort=cohort",
        "split=split.json",
        "genes.reference=genes",
        "genes.personal=genes",
        "window=2048",
    ),
    *(
        "training.epochs=2",
        "training.reference.epochs=2",
        "training.batch_size=20",
        "training.device=cpu",
    ),
)
_SETS = tuple(word for setting in _SETTINGS for word in ("--set", setting))
PLAN = (
    *(
        "embed",
        "plan",
        "--backbone",
        "kmer",
        "--cohort",
        "cohort",
        "--window",
        "2048",
        "--keep",
        "mean",
    ),
    *("--device", "cpu", "--shard-haplotypes", "20", "--threads", "1", "--out"),
)
_TRAIN = ("train", "onehot-reference-then-personal", *_SETS, "--resume", "--set")
_PREDICT = ("predict", "trained/checkpoint", "--cohort", "cohort", "--out")
_SIDES = ("--cohort", "cohort", "--split", "split.json", "--out")

VERBS = {
    "build": Verb((*_BUILD, "results/built"), "results/built", begins=True),
    "extraction": Verb(("embed", "run", "store", "--workers", "1"), "store", begins=False),
    "training": Verb((*_TRAIN, "out=results/run"), "results/run", begins=False),
    "evaluation": Verb(
        ("evaluate", "linear.parquet", "deep.parquet", *_SIDES, "results/out"),
        "results/out",
        begins=True,
    ),
    "prediction": Verb((*_PREDICT, "results/new.parquet"), "results/new.parquet", begins=True),
}


class Whole(NamedTuple):
    """An undisturbed run: what it wrote, how long it took, and how often it touched the file system."""

    contents: dict[str, bytes]
    seconds: float
    touches: int

    @property
    def bytes(self) -> int:
        """What it wrote."""
        return sum(map(len, self.contents.values()))


class Stage(NamedTuple):
    """A server, a folder in which each of `VERBS` can be run, and what each makes undisturbed."""

    server: Server
    world: Path
    wholes: dict[str, Whole]

    def run(self, name: str, folder: Path, **options: Any) -> Ended:
        """Run one of `VERBS` in a folder that `copy_world` made."""
        return VERBS[name].run(self.server, folder, **options)

    def require_same_again(self, name: str, folder: Path, verb: Verb | None = None) -> None:
        """Run a command again after it was disturbed; check that its files are those of a whole run."""
        verb = verb or VERBS[name]
        require_nothing_half(verb, folder)
        was_there = os.path.lexists(folder / verb.out)
        again = verb.run(self.server, folder)
        if verb.begins and was_there:
            assert again.code == 2, again.said
            assert "is there already, and nothing is overwritten unasked" in again.said
        else:
            assert again.code == 0, again.said
        assert contents(folder / verb.out) == self.wholes[name].contents
        assert leftovers(folder) == []


@contextmanager
def staged(folder: Path, names: Sequence[str] = tuple(VERBS)) -> Iterator[Stage]:
    """Prepare a stage in an empty folder; of those verbs what each makes is known."""
    for name in ("logs", "world", *names):
        (folder / name).mkdir()
    with server(folder / "logs") as one:
        make_world(one, folder / "world")
        wholes = {}
        for name in names:
            verb = VERBS[name]
            copy_world(folder / "world", folder / name)
            ended = verb.run(one, folder / name)
            assert ended.code == 0, ended.said
            assert ended.touches > 0
            assert leftovers(folder / name) == []
            wholes[name] = Whole(contents(folder / name / verb.out), ended.seconds, ended.touches)
        yield Stage(one, folder / "world", wholes)


def make_world(server: Server, folder: Path) -> None:
    """Prepare a folder in which each of `VERBS` can be run."""
    _whole(server, folder, *_BUILD, "cohort")
    people = [line.split("\t")[0] for line in (DATA / "individuals.tsv").read_text().splitlines()[1:]]
    for side, which in PEOPLE.items():
        (folder / side).write_text("\n".join(people[which]) + "\n")
    genes = pl.read_parquet(folder / "cohort/genes.parquet")["gene"].to_list()
    (folder / "genes").write_text("\n".join(genes[:6]) + "\n")
    sides = [word for side in PEOPLE for word in (f"--{side}", side)]
    _whole(server, folder, "split", "cohort", *sides, "--out", "split.json")
    _whole(server, folder, *_TRAIN, "out=trained")
    _whole(server, folder, *_PREDICT, "deep.parquet")
    linear = (
        "--split",
        "split.json",
        "--models",
        "training-mean,ridge",
        "--out",
        "linear.parquet",
    )
    _whole(server, folder, "baseline", "cohort", *linear)
    _whole(server, folder, *PLAN, "store")


def copy_world(world: Path, folder: Path) -> None:
    """Make a folder like another: what commands change is copied, the rest is linked to."""
    (folder / "results").mkdir()
    for path in world.iterdir():
        if path.name == "store":
            shutil.copytree(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path)


def contents(path: Path) -> dict[str, bytes]:
    """Return what is compared of a file or folder, by name."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    found = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_file() and not _NOT_COMPARED.intersection(name.parts) and ".made.json" not in file.name:
            found[str(name)] = _reduced(file) if file.name in _JSON else file.read_bytes()
    return found


def require_nothing_half(verb: Verb, folder: Path) -> None:
    """Check that whatever lies under a final name is whole."""
    out = folder / verb.out
    for state in out.glob("**/state.json"):
        if not any(part.startswith(".") for part in state.relative_to(out).parts):
            load_checkpoint(state.parent)
    if (out / "store.json").is_file():
        assert verify(Store.open(out)).problems == ()


def leftovers(folder: Path) -> list[str]:
    """Return the half-written files and folders that remain.

    A record of how something was made may be among them, where a process was killed while it wrote that: the
    thing is whole then, and nothing is left to do for the same command.
    """
    hidden = (path for path in folder.rglob(".*") if path.name != ".lock" and ".made.json" not in path.name)
    return sorted(str(path.relative_to(folder)) for path in hidden)


def _reduced(path: Path) -> bytes:
    def drop(text: str) -> str:
        return json.dumps({key: value for key, value in json.loads(text).items() if key not in _DROPPED})

    text = path.read_text()
    return "\n".join(map(drop, text.splitlines() if path.suffix == ".jsonl" else [text])).encode()


def _whole(server: Server, folder: Path, *words: str) -> None:
    ended = server.run(*words, folder=folder)
    assert ended.code == 0, ended.said

"""A work folder: a plan, and the parts that its shards become.

======================== =========================================================================
``plan.json``             format version, kind, versions, inputs with their digests, resolved
                          arguments, threads a worker, device, and what each shard holds
``parts/NAME.part``       a shard's result, and after it the SHA-256 of that (32 bytes): a part is sound or
                          is none
======================== =========================================================================

What the kinds keep beside these is their own; `glm2x.work.unit` says what running leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from glm2x import __version__
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, require_sha256, sha256, write_aside, write_json
from glm2x.place import Place, place
from glm2x.seal import CHECKSUM, unsealed
from glm2x.work.unit import MISSING

FORMAT_VERSION = 1
PLAN, PARTS = "plan.json", "parts"
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Input:
    """Something that work reads.

    Attributes
    ----------
    path
        Where it lay when it was planned with.
    digest
        Of its content.
    """

    path: str
    digest: str


@dataclass(frozen=True)
class Plan:
    """What `plan.json` says.

    Attributes
    ----------
    kind
        What is made, a key of `glm2x.work.kinds.KINDS`.
    arguments
        Resolved, as the kind needs them; JSON.
    inputs
        By name.
    shards
        What each holds; JSON, as the kind needs it.
    titles
        The same for people to read.
    threads
        Of a worker on a CPU.
    device
        ``cpu``, ``cuda`` or ``mps``.
    files
        SHA-256 of what the kind keeps beside the plan, by path in the folder.
    """

    kind: str
    arguments: dict[str, Any]
    inputs: dict[str, Input]
    shards: list[Any]
    titles: list[str]
    threads: int
    device: str
    files: dict[str, str] = field(default_factory=dict)

    def input(self, name: str, moved: Path | None = None) -> Path:
        """Return where an input lies now: where `moved` says, or where it lay."""
        return moved or Path(self.inputs[name].path)

    def store(self) -> Place | None:
        """Return where the embedding store lies that is read, if one is."""
        return place(self.inputs["embeddings"].path) if "embeddings" in self.inputs else None

    def require(self, name: str, digest: str, where: Place) -> None:
        """Refuse an input that is not the planned one (`DataError`)."""
        wanted = self.inputs[name].digest
        if digest != wanted:
            raise DataError(
                f"the {name} is another than the one that was planned with",
                where=str(where),
                got=f"digest {digest[:12]}...",
                wanted=f"digest {wanted[:12]}...",
                do="give back the planned one, or plan again with this one in another folder",
            )


def write_plan(out: Path, plan: Plan, beside: Callable[[Path], None]) -> None:
    """Write a work folder; it appears whole, or not at all.

    Parameters
    ----------
    beside
        Writes what the kind keeps in the folder beside the plan.

    Raises
    ------
    UsageError
        Something is there already.
    """
    if not plan.shards:
        raise UsageError("there is nothing to do", where=str(out), wanted="one shard or more")
    with write_aside(out) as aside:
        aside.mkdir()
        beside(aside)
        kept = {str(p.relative_to(aside)): sha256(p) for p in sorted(aside.rglob("*")) if p.is_file()}
        plan = replace(plan, files=kept)
        content = {"format_version": FORMAT_VERSION, "glm2x_version": __version__, **asdict(plan)}
        write_json(aside / PLAN, content)


def read_plan(folder: Path) -> Plan:
    """Read a work folder's plan.

    Raises
    ------
    DataError
        There is none, it or a file beside it is damaged, or it is of another format version.
    """
    path = folder / PLAN
    read = read_json(path, verify=False)
    if not isinstance(read, dict) or read.get("format_version") != FORMAT_VERSION:
        raise _damaged(path, f"no format_version {FORMAT_VERSION}")
    content = {k: v for k, v in read.items() if k not in ("format_version", "glm2x_version", CHECKSUM)}
    try:
        content["inputs"] = {name: Input(**one) for name, one in content["inputs"].items()}
        plan = Plan(**content)
        fits = (
            isinstance(plan.files, dict)
            and len(plan.shards) == len(plan.titles) > 0
            and type(plan.threads) is int
            and plan.threads > 0
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not fits:
        raise _damaged(path, "shards without titles, or no number of threads")
    unsealed(read, path)
    for name, wanted in plan.files.items():
        require_sha256(folder / name, wanted)
    return plan


class Parts:
    """The parts of a work folder.

    Parameters
    ----------
    folder
        The work folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / PARTS

    def path(self, name: str) -> Path:
        """Return where a part lies."""
        return self.folder / f"{name}.part"

    def write(self, name: str, content: bytes) -> None:
        """Put a part in its place, aside and renamed."""
        with write_aside(self.path(name), force=True) as aside:
            aside.write_bytes(content + hashlib.sha256(content).digest())

    def read(self, name: str) -> bytes:
        """Return a part's content.

        Raises
        ------
        DataError
            It is missing or damaged.
        """
        content = self._sound(name)
        if isinstance(content, str):
            raise DataError(f"a part is {content}", where=str(self.path(name)), do="glm2x work run makes it")
        return content

    def lacking(self, name: str) -> str | None:
        """Return whether a part is missing or damaged; None where it is sound."""
        content = self._sound(name)
        return content if isinstance(content, str) else None

    def _sound(self, name: str) -> bytes | str:
        """Return a part's content; or what is wrong with it."""
        try:
            content = self.path(name).read_bytes()
        except FileNotFoundError:
            return MISSING
        kept, checksum = content[:-_DIGEST], content[-_DIGEST:]
        return kept if hashlib.sha256(kept).digest() == checksum else "damaged: its checksum is another"


def _damaged(path: Path, got: str) -> DataError:
    return DataError(
        "the plan of a work folder is damaged, or of another version",
        where=str(path),
        got=got[:200],
        wanted=f"what glm2x work plan writes in format_version {FORMAT_VERSION}",
        do="plan again in another folder",
    )

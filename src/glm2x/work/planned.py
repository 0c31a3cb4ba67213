"""Work of a work folder: what its plan says, made by its kind, part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from glm2x.errors import DataError
from glm2x.work.folder import Parts, Plan, read_plan


@dataclass(frozen=True)
class Where:
    """Where things lie now that have moved since they were planned with; and what was only now allowed.

    Attributes
    ----------
    cohort, weights
        Folders.
    remote_code
        Whether code that comes with a model may run.
    """

    cohort: Path | None = None
    weights: Path | None = None
    remote_code: bool = False


T = TypeVar("T")
Say = Callable[[str], None]


class Kind(Protocol):
    """How the shards of a plan are made, and put together."""

    def maker(self, work: PlannedWork) -> Callable[[Any], bytes]:
        """Return what makes a part of what a shard holds, after all was opened that it takes."""

    def lacking(self, work: PlannedWork, shard: Any) -> str | None:
        """Return what a shard lacks beside its part; None: nothing."""

    def finish(self, work: PlannedWork, say: Say) -> list[Path]:
        """Write what the parts are together; return the files."""


class PlannedWork:
    """The work of a folder that `glm2x work plan` wrote; see `glm2x.work.unit.Work`.

    Raises
    ------
    DataError
        The plan is damaged.
    """

    def __init__(self, folder: Path, where: Where) -> None:
        from glm2x.work.kinds import kind_of

        self.folder, self.where = folder, where
        self.plan: Plan = read_plan(folder)
        self.parts = Parts(folder)
        self._kind: Kind = kind_of(self.plan.kind, str(folder))
        self._make: Callable[[Any], bytes] | None = None

    @property
    def kind(self) -> str:
        """What is made."""
        return self.plan.kind

    @property
    def threads(self) -> int | None:
        """Of a worker on a CPU."""
        return self.plan.threads

    @property
    def device(self) -> str:
        """What computes."""
        return self.plan.device

    def __len__(self) -> int:
        return len(self.plan.shards)

    def name(self, i: int) -> str:
        """Return the name of a shard's files."""
        return f"{i:05d}"

    def title(self, i: int) -> str:
        """Return what a shard holds."""
        return f"shard {i}: {self.plan.titles[i]}"

    def lacking(self, i: int) -> str | None:
        """Return why a shard is not done."""
        fault = self.parts.lacking(self.name(i))
        return self._kind.lacking(self, self.plan.shards[i]) if fault is None else fault

    def undone(self) -> list[int]:
        """Return the shards that are not done."""
        return [i for i in range(len(self)) if self.lacking(i) is not None]

    def compute(self, i: int) -> None:
        """Make a shard's part."""
        if self._make is None:
            self._make = self._kind.maker(self)
        self.parts.write(self.name(i), self._make(self.plan.shards[i]))

    def part(self, i: int, parse: Callable[[bytes], T]) -> T:
        """Return what a shard's part says.

        Parameters
        ----------
        parse
            Makes it of the bytes that the kind made.

        Raises
        ------
        DataError
            The part is missing, damaged, or whole and of something else.
        """
        name = self.name(i)
        content = self.parts.read(name)
        try:
            return parse(content)
        except Exception as error:  # it came from elsewhere, and may be anything
            raise DataError(
                "a part holds something else than its shard",
                where=str(self.parts.path(name)),
                got=f"{type(error).__name__}: {str(error)[:120]}",
                do="remove it, and glm2x work run makes it again",
            ) from error

    def finish(self, say: Say) -> list[Path]:
        """Write what the parts are together; return the files."""
        return self._kind.finish(self, say)

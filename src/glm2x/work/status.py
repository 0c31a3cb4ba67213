"""How far work is, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

from glm2x.claims import claims
from glm2x.errors import DataError
from glm2x.work.unit import MISSING, Work, read_errors, read_log

_NAMED = 5


@dataclass(frozen=True)
class Status:
    """How far work is.

    Attributes
    ----------
    shards, done, in_hand
        How many there are, are done, and are being worked on.
    damaged
        Titles of shards whose result is not as it was written.
    failed
        What the last attempt failed of, by number of shard.
    seconds
        Of computing so far, of all processes together.
    """

    kind: str
    shards: int
    done: int
    in_hand: int
    damaged: tuple[str, ...]
    failed: dict[int, str]
    seconds: float


def status_of(work: Work) -> Status:
    """Return how far work is."""
    lacking = {i: work.lacking(i) for i in work.undone()}
    return Status(
        work.kind,
        len(work),
        len(work) - len(lacking),
        claims(work.folder),
        tuple(work.title(i) for i, fault in lacking.items() if fault and fault != MISSING),
        read_errors(work),
        round(sum(line.get("seconds", 0.0) for line in read_log(work.folder)), 3),
    )


def require_complete(work: Work) -> None:
    """Raise `DataError` where a shard is not done; those that failed are named with their error."""
    undone = work.undone()
    if not undone:
        return
    failed = read_errors(work)
    named = [i for i in undone if i in failed] + [i for i in undone if i not in failed]
    told = [failed[i] if i in failed else f"{work.title(i)}: {work.lacking(i)}" for i in named[:_NAMED]]
    more = [f"and {len(named) - _NAMED:,} more"] if len(named) > _NAMED else []
    hands = claims(work.folder)
    raise DataError(
        f"{len(undone):,} of {len(work):,} shards are not done, {len(failed):,} of them failed",
        where=str(work.folder),
        got="\n".join([*told, *more]),
        do=f"glm2x work run {work.folder} makes them"
        + (f" (processes have {hands:,} in hand)" if hands else ""),
    )

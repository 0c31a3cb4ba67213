"""Running what is planned, by the launcher that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glm2x.errors import UsageError
from glm2x.files import staying
from glm2x.progress import Progress
from glm2x.work.board import Board
from glm2x.work.launchers.local import run_here, run_local, workers_for
from glm2x.work.planned import Say, Where
from glm2x.work.unit import Outcome, Work, run_shard


@dataclass(frozen=True)
class Ran:
    """What a run has done: shards made by it; and those that were made by others meanwhile."""

    done: list[int]
    there: int


def run_work(
    work: Work,
    where: Where,
    *,
    workers: int | None,
    progress: Progress,
    say: Say,
    launcher: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
) -> Ran:
    """Make every shard that is not done, on this machine or by Ray, and wait for all.

    Parameters
    ----------
    workers
        How many processes (default: one a GPU, or as many as the cores have threads for).
    ray_address
        Of a Ray cluster; by default one is started on this machine alone.

    Raises
    ------
    DataError
        Shards have failed; the others are done. Or the work's folder has gone.
    UsageError
        The number of workers cannot be, or Ray is not installed.
    """
    todo = work.undone()
    with staying(work.folder), progress(work.kind, len(todo), "shards") as bar:
        board = Board(work, todo, bar, say)
        if launcher == "ray":
            from glm2x.work.launchers.ray import run_ray

            run_ray(work, board, where, workers, ray_address)
        else:
            count = min(workers_for(work, workers), max(1, len(todo)))
            if count == 1:
                run_here(work, board)
            else:
                run_local(work, board, where, count, say)
    board.require_done()
    return Ran(board.done, board.counts["there"])


def run_one(work: Work, shard: int) -> Outcome:
    """Make one shard in this process, as any scheduler asks for it.

    Raises
    ------
    UsageError
        There is no such shard.
    """
    if not 0 <= shard < len(work):
        raise UsageError(
            "there is no such shard",
            where=str(work.folder),
            got=str(shard),
            wanted=f"0 to {len(work) - 1}",
        )
    return run_shard(work, shard)

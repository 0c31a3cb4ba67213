"""Work by actors of Ray, on one machine or on a cluster whose nodes share the folder.

Nothing but the numbers of shards and what came of them goes through Ray: results lie in the work folder. An
actor that is killed is started again, and the shard it had in hand is tried again (by default Ray does
neither). Where no node is left for it to start on, another actor takes the shard: its claim went with the
process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glm2x.errors import DataError, UsageError
from glm2x.place import place
from glm2x.work.board import Board
from glm2x.work.launchers.local import ATTEMPTS, workers_for
from glm2x.work.open import open_work
from glm2x.work.planned import Where
from glm2x.work.unit import Outcome, Work, record_error, run_shard

LOOPBACK = "127.0.0.2"  # Ray replaces 127.0.0.1 by the machine's address
_OBJECTS = 100_000_000  # bytes of shared memory, of which outcomes take next to nothing
_STARTS = 3
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
_REST = 3.0  # seconds until an actor that could not be reached is tried again
_LOOK = 1.0  # seconds between two looks at shards whose actor may have gone


class Worker:
    """What an actor is made of: makes shards of one work."""

    def __init__(self, folder: str, where: Where) -> None:
        self._work = open_work(place(folder), where)

    def run(self, shard: int) -> str:
        """Make a shard; return its outcome as JSON."""
        return run_shard(self._work, shard).as_json()


def run_ray(work: Work, board: Board, where: Where, workers: int | None, address: str | None) -> None:
    """Make shards by actors until none is left.

    Parameters
    ----------
    workers
        Actors (default: as many as there are GPUs, or CPUs for the plan's threads).
    address
        Of a cluster; None starts Ray on this machine, reachable from it alone.

    Raises
    ------
    UsageError
        Ray is not installed, or the cluster has no room for an actor.
    """
    ray = require_ray()
    with _connected(ray, work, workers, address):
        resources = _resources(work)
        room = _room(ray.cluster_resources(), resources)
        if room < 1:
            raise UsageError(
                "the Ray cluster has no room for a worker",
                where=address or "this machine",
                got=", ".join(
                    f"{v:g} {k}" for k, v in ray.cluster_resources().items() if k in ("CPU", "GPU")
                ),
                wanted=", ".join(f"{v} {k}" for k, v in resources.items()),
                do="plan with fewer --threads, or add nodes",
            )
        count = min(workers or room, room)
        # -1: as often as it takes; what bounds it are the attempts at each shard
        options = {"max_restarts": -1, "max_task_retries": ATTEMPTS - 1}
        options |= {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0)}
        actor = ray.remote(Worker).options(**options)
        actors = [actor.remote(str(work.folder), where) for _ in range(count)]
        _Calls(ray, work, board).until_done(actors)


class _Calls:
    """The calls of actors that have not returned yet."""

    def __init__(self, ray: Any, work: Work, board: Board) -> None:
        self._ray, self._work, self._board = ray, work, board
        self._pending: dict[Any, tuple[Any, int]] = {}
        self._resting: list[tuple[float, Any]] = []  # actors that cannot be reached, and until when
        self._resolved: set[int] = set()
        self._looked = time.monotonic()

    def until_done(self, idle: list[Any]) -> None:
        """Give shards to idle actors until all are done or have failed."""
        while True:
            idle += self._rested()
            while idle and (shard := self._next()) is not None:
                actor = idle.pop()
                self._pending[actor.run.remote(shard)] = (actor, shard)
            if not self._unresolved() and (idle or not self._resting):
                return
            if not self._pending:
                time.sleep(_LOOK)
                continue
            ready, _ = self._ray.wait(list(self._pending), timeout=_LOOK)
            for call in ready:
                actor, shard = self._pending.pop(call)
                outcome = self._outcome(call, shard)
                if outcome is not None:
                    idle.append(actor)
                    self._count(shard, outcome)
                    continue
                self._resting.append((time.monotonic() + _REST, actor))
                if shard not in self._resolved and shard not in self._unresolved():
                    self._board.give_back(shard)

    def _rested(self) -> list[Any]:
        now = time.monotonic()
        rested = [actor for until, actor in self._resting if until <= now]
        self._resting = [(until, actor) for until, actor in self._resting if until > now]
        return rested

    def _unresolved(self) -> list[int]:
        return [shard for _, shard in self._pending.values() if shard not in self._resolved]

    def _next(self) -> int | None:
        """Return a shard that waits; else, now and then, one that an actor has: it may have gone for good."""
        shard = self._board.take()
        unresolved = self._unresolved()
        if shard is not None or not unresolved or time.monotonic() - self._looked < _LOOK:
            return shard
        self._looked = time.monotonic()
        return min(unresolved, key=unresolved.count)

    def _count(self, shard: int, outcome: Outcome) -> None:
        asked_twice = shard in self._unresolved()
        if shard in self._resolved or (asked_twice and outcome.state in ("elsewhere", "failed")):
            return
        if outcome.state != "elsewhere":
            self._resolved.add(shard)
        self._board.put(outcome)

    def _outcome(self, call: Any, shard: int) -> Outcome | None:
        """Return what came of a call; None where the actor cannot be reached, as while its node is lost."""
        try:
            return Outcome.from_json(self._ray.get(call))
        except self._ray.exceptions.ActorUnavailableError:
            return None
        except self._ray.exceptions.RayError as error:
            text = f"no actor came to its end, {ATTEMPTS} times: {str(error).strip().splitlines()[0]}"
            return Outcome(shard, "failed", record_error(self._work, shard, text))


def require_ray() -> Any:
    """Return the module, set to report nothing to anybody.

    Raises
    ------
    UsageError
        It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--launcher ray needs Ray, which is not installed", do="pip install 'glm2x[ray]'"
        ) from error
    return ray


@contextmanager
def _connected(ray: Any, work: Work, workers: int | None, address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine; it ends with the block, or with this process."""
    if address is None:
        count, resources = workers_for(work, workers), _resources(work)
        _start(
            ray,
            num_cpus=count * resources["CPU"],
            num_gpus=count if "GPU" in resources else 0,
            object_store_memory=_OBJECTS,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
        )
    else:
        try:
            ray.init(address=address, **_QUIET)
        except (ConnectionError, ValueError) as error:
            raise UsageError(
                "there is no Ray cluster at this address",
                where="--ray-address",
                got=f"{address}: {str(error).strip().splitlines()[0]}",
                do="ray status says what there is; ray start --head starts one",
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start(ray: Any, **options: Any) -> None:
    """Start Ray on this machine; it waits 15 seconds for its own parts, and a busy machine takes longer."""
    for attempt in range(_STARTS):
        try:
            ray.init(**options, **_QUIET)
        except Exception as error:  # Ray raises no narrower one
            ray.shutdown()
            if attempt + 1 < _STARTS:
                continue
            raise DataError(
                "Ray did not start on this machine",
                got=str(error).strip().splitlines()[0],
                do="look at what the machine is busy with, or take --launcher local",
            ) from error
        return


def _resources(work: Work) -> dict[str, int]:
    """Return what an actor takes of a node; by its CPUs Ray sets the threads of its libraries."""
    gpu = {"GPU": 1} if work.device == "cuda" else {}
    return {"CPU": work.threads or 1, **gpu}


def _room(there: dict[str, float], resources: dict[str, int]) -> int:
    return int(min(there.get(name, 0.0) // one for name, one in resources.items()))

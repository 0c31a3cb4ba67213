"""The processes that work together: who does what, what they tell one another, and how they end.

Started by torchrun, each process (*rank*) runs the same program. Rank 0 alone writes and speaks. What
may go wrong on one of them is tried by all *together*, so that all end where one of them fails. Where
that cannot be foreseen, the failing rank leaves word in torchrun's store, and ends; the others, whose
next exchange then breaks off, find the word and end without adding to it.

No torch is imported before it is needed: a command that is refused at once says so at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glm2x.config import TrainingConfig
from glm2x.errors import DataError, Glm2xError
from glm2x.training.fabric import processes, start_fabric

if TYPE_CHECKING:
    from torch import nn

    from glm2x.training.fabric import Fabric

_T = TypeVar("_T")
_STORE_WAIT = timedelta(seconds=10)


@dataclass(frozen=True)
class Ranks:
    """The processes that work together, seen from one of them.

    Attributes
    ----------
    rank, size
        Which process this is, from 0, and how many there are.
    fabric
        What they were started with; None for a process alone.
    """

    rank: int = 0
    size: int = 1
    fabric: Fabric | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def parts(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return `rows` in as many consecutive parts as there are processes, the last of them maybe empty."""
        return np.array_split(rows, self.size)

    def together(self, action: Callable[[], _T]) -> _T:
        """Return what `action` returns in this process, after it has succeeded in all.

        Where it fails in some, the first of them raises its error, and all others end.
        """
        if self.size == 1:
            return action()
        problem: Exception | None = None
        try:
            value = action()
        except Exception as error:
            problem = error
        codes = self.collect(None if problem is None else _exit_code(problem))
        failed = [rank for rank, code in enumerate(codes) if code is not None]
        if not failed:
            return value
        if problem is not None and failed[0] == self.rank:
            raise problem
        raise SystemExit(codes[failed[0]])

    def first(self, action: Callable[[], _T]) -> _T:
        """Let the first process do something; return to all what it returns (a small plain value)."""
        done = self.together(lambda: action() if self.is_first else None)
        return self.collect(done)[0]  # type: ignore[return-value]

    def collect(self, value: _T) -> list[_T]:
        """Return the values (small and plain) of all processes, in the order of ranks."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over processes of an array that each has in the same shape, float64."""
        if self.size == 1:
            return values
        import torch
        from torch import distributed

        assert self.fabric is not None
        summed = torch.from_numpy(values).to(self.fabric.device, copy=True)
        distributed.all_reduce(summed)
        return summed.cpu().numpy()

    def average_statistics(self, model: nn.Module) -> None:
        """Give all processes the mean of their running statistics, BatchNorm's and the like.

        Each updates them by its own share of the batches; those of frozen layers are left alone. What
        counts as such is every buffer of floating point that a checkpoint holds.
        """
        if self.size == 1:
            return
        import torch
        from torch import distributed

        kept = model.state_dict().keys()
        for name, statistics in model.named_buffers():
            of = model.get_submodule(name.rpartition(".")[0])
            if name in kept and statistics.is_floating_point() and of.training:
                with torch.no_grad():
                    distributed.all_reduce(statistics)
                    statistics /= self.size


ALONE = Ranks()


@contextmanager
def started(training: TrainingConfig) -> Iterator[Ranks]:
    """Start the process group that torchrun has made ready, and end it; without torchrun, nothing.

    When the block raises in one process only, that one raises it and the others end with `SystemExit`.

    Raises
    ------
    UsageError
        The number of processes or their device is not what the configuration asks for.
    DataError
        Another process has ended without a word.
    """
    size = processes()
    if size == 1:
        yield ALONE
        return
    with once_a_machine():
        fabric = start_fabric(training)
    from torch import distributed

    with _one_word(Ranks(fabric.global_rank, size, fabric)) as ranks:
        yield ranks
        fabric.barrier()
    distributed.destroy_process_group()


@contextmanager
def once_a_machine() -> Iterator[None]:
    """Let one process a machine say what is wrong before the group is there; the others end like it."""
    try:
        yield
    except Glm2xError as error:
        if processes() > 1 and os.environ["LOCAL_RANK"] != "0":
            raise SystemExit(error.exit_code) from error
        raise


@contextmanager
def _one_word(ranks: Ranks) -> Iterator[Ranks]:
    """Let the first process that fails raise its error, and the others end."""
    store = _store()
    try:
        yield ranks
    except SystemExit:
        raise
    except BaseException as error:
        if not _is_first_word(store, ranks.rank):
            raise SystemExit(_exit_code(error)) from error
        if _is_broken_off(error):
            raise DataError(
                "another process of this training ended without a word",
                where=f"seen by process {ranks.rank} of {ranks.size}",
                got=str(error).splitlines()[0],
                do="look for what killed it (memory?); glm2x train --resume goes on",
            ) from error
        raise


def _store() -> Any:
    """Return a client of the store that torchrun, or the first process, keeps for the group."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=False, timeout=_STORE_WAIT)


def _is_first_word(store: Any, rank: int) -> bool:
    """Leave word in the store that this process has failed; return whether none had before.

    A store that does not answer went with the process that kept it, which has spoken.
    """
    key = f"glm2x/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    try:
        return bool(store.compare_set(key, "", str(rank)) == str(rank).encode())
    except RuntimeError:
        return rank == 0


def _is_broken_off(error: BaseException) -> bool:
    """Whether an exchange failed because the other side has gone."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, Glm2xError) else 1

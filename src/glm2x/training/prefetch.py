"""The next things made in a background thread while the present one is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

AHEAD = 1  # things that wait, ready made; one more is in the making. A batch of embeddings may have gigabytes
_PATIENCE = 0.05  # seconds between looks at whether it is still wanted

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@contextmanager
def prefetched(make: Callable[[_Item], _Made], items: Sequence[_Item]) -> Iterator[Iterator[_Made]]:
    """Give ``make(item)`` for each item, in their order, made ahead by one thread.

    An error of `make` is raised where its result would have come. When the block ends, in whatever
    way, the thread ends, too: it is waited for while it finishes the thing in the making.
    """
    ready: Queue[tuple[_Made | None, BaseException | None]] = Queue(AHEAD)
    unwanted = Event()

    def work() -> None:
        for item in items:
            done: tuple[_Made | None, BaseException | None]
            try:
                done = (make(item), None)
            except BaseException as error:
                done = (None, error)
            while not unwanted.is_set():
                try:
                    ready.put(done, timeout=_PATIENCE)
                    break
                except Full:
                    continue
            if unwanted.is_set() or done[1] is not None:
                return

    def results() -> Iterator[_Made]:
        for _ in items:
            made, error = ready.get()
            if error is not None:
                raise error
            yield made  # type: ignore[misc]

    thread = Thread(target=work, name="glm2x-prefetch", daemon=True)
    thread.start()
    try:
        yield results()
    finally:
        unwanted.set()
        thread.join()

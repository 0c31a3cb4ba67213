"""Which shards are left to do, and what came of the others: what a launcher and its workers share."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from threading import Lock

from glm2x.errors import DataError
from glm2x.progress import Advance
from glm2x.url import Url
from glm2x.work.planned import Say
from glm2x.work.unit import Outcome, Work, error_path

PAUSE = 0.5  # seconds between two looks at what other processes have in hand
PAUSE_OF_URL = 2.0  # the same in object storage, where looking costs money


class Board:
    """Gives each shard that is not done to a worker, and counts outcomes. Threads may share it.

    Parameters
    ----------
    todo
        The shards that are not done.
    bar
        Counts those that are done by now.
    say
        Hears of damaged shards, failed ones, and of what is waited for.
    """

    def __init__(self, work: Work, todo: Sequence[int], bar: Advance, say: Say) -> None:
        self._work, self._bar, self._say = work, bar, say
        self._waiting, self._elsewhere = deque(todo), deque[int]()
        self._lock = Lock()
        self._told = False
        self.stopped = False
        self.counts = Counter[str]()
        self.problem: Exception | None = None
        self.done: list[int] = []
        self.failed: dict[int, str] = {}

    def take(self, *, wait: bool = True) -> int | None:
        """Return the next shard; None where nothing is left.

        What another run has in hand is asked for again and again, until that run has made it or has ended;
        unless nobody wants to `wait`.
        """
        with self._lock:
            if self.stopped:
                return None
            if self._waiting:
                return self._waiting.popleft()
            if not self._elsewhere or not wait:
                return None
            shard = self._elsewhere.popleft()
            if not self._told:
                self._told = True
                self._say("  note: waiting for shards that another run has in hand")
        time.sleep(PAUSE_OF_URL if isinstance(self._work.folder, Url) else PAUSE)
        return shard

    def give_back(self, shard: int) -> None:
        """Let another worker take a shard that was not begun, or not ended."""
        with self._lock:
            self._waiting.appendleft(shard)

    def put(self, outcome: Outcome) -> None:
        """Count what came of a shard."""
        with self._lock:
            if outcome.state == "elsewhere":
                self._elsewhere.append(outcome.shard)
                return
            self.counts[outcome.state] += 1
            title = self._work.title(outcome.shard)
            if outcome.state == "failed":
                self.failed[outcome.shard] = outcome.said
                self._say(f"  {title} failed: {outcome.said}")
            elif outcome.state == "done":
                self.done.append(outcome.shard)
                if outcome.said:
                    self._say(f"  note: {title} was {outcome.said}; it was made again")
            self._bar.advance(1, title)

    def break_off(self, problem: Exception) -> None:
        """Give out no more shards: there is a problem that is not that of one of them."""
        with self._lock:
            self.stopped = True
            self.problem = self.problem or problem

    def require_done(self) -> None:
        """Raise what all was broken off for; or `DataError` where shards have failed."""
        if self.problem is not None:
            raise self.problem
        if not self.failed:
            return
        first = min(self.failed)
        raise DataError(
            f"{len(self.failed):,} of {len(self._work):,} shards failed; the others have gone on",
            where=str(error_path(self._work, first)),
            got=f"{self._work.title(first)}: {self.failed[first]}",
            do="mend that and run it again: what is done stays",
        )

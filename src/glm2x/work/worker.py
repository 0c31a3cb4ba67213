"""A process that makes shards for the one that started it: ``python -m glm2x.work.worker``.

It reads lines from standard input, first the work as JSON, then numbers of shards, and answers each with a
line on standard output. When its input ends, so does it: nobody is left to work for, whatever the starter
died of.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from glm2x.console import say_error
from glm2x.errors import Glm2xError
from glm2x.place import Place, place
from glm2x.work.open import open_work
from glm2x.work.planned import Where
from glm2x.work.unit import run_shard

_PATIENCE = 5.0  # seconds to clear up in, before a process whose starter has gone ends at once


def first_line(folder: Place, where: Where) -> str:
    """Return the line that says what to work on."""
    cohort, weights = (
        None if path is None else str(path.absolute()) for path in (where.cohort, where.weights)
    )
    content = {"folder": str(folder), "cohort": cohort, "weights": weights, "remote_code": where.remote_code}
    return json.dumps(content) + "\n"


def main() -> None:
    """Work until nothing is asked for any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the starter's to tell
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _work()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to clear up


def _work() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    told = json.loads(sys.stdin.readline())
    folder, remote_code = place(told.pop("folder")), told.pop("remote_code")
    paths = {name: path and Path(path) for name, path in told.items()}
    try:
        work = open_work(folder, Where(**paths, remote_code=remote_code))
    except Glm2xError as error:
        say_error(error)
        sys.exit(error.exit_code)
    asked = _Asked()
    Thread(target=asked.listen, daemon=True).start()
    while (shard := asked.next()) is not None:
        try:
            outcome = run_shard(work, shard)
        except (OSError, Glm2xError):  # nothing can be recorded of it; the starter sees that, too
            sys.exit(1)
        asked.answered += 1
        print(outcome.as_json(), file=answers, flush=True)


class _Asked:
    """The shards that the starter asks for, which may be ahead of the one in hand."""

    def __init__(self) -> None:
        self.answered = 0
        self._shards: SimpleQueue[int | None] = SimpleQueue()
        self._over = False

    def next(self) -> int | None:
        """Wait for the next shard; None where nobody is left to work for."""
        shard = self._shards.get()
        return None if self._over else shard

    def listen(self) -> None:
        """Take what is asked for until the starter has gone; what is then in hand is given up."""
        received = 0
        for line in sys.stdin:
            received += 1
            self._shards.put(int(line))
        self._over = True
        self._shards.put(None)
        if received > self.answered:
            os.kill(os.getpid(), signal.SIGTERM)  # which lets it remove what is half-written
            time.sleep(_PATIENCE)
            os._exit(143)


if __name__ == "__main__":
    main()

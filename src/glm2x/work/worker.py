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
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

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
    asked: SimpleQueue[int | None] = SimpleQueue()
    idle = Event()
    idle.set()
    Thread(target=_listen, args=(asked, idle), daemon=True).start()
    while (shard := asked.get()) is not None:
        try:
            outcome = run_shard(work, shard)
        except (OSError, Glm2xError):  # nothing can be recorded of it; the starter sees that, too
            sys.exit(1)
        idle.set()
        print(outcome.as_json(), file=answers, flush=True)


def _listen(asked: SimpleQueue[int | None], idle: Event) -> None:
    for line in sys.stdin:
        idle.clear()
        asked.put(int(line))
    asked.put(None)
    if not idle.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # which lets it remove what is half-written
        if not idle.wait(_PATIENCE):
            os._exit(143)


if __name__ == "__main__":
    main()

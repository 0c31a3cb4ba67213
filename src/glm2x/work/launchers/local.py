"""Work on this machine: in this process, or in several, one a GPU or a share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from threading import Thread

from glm2x.errors import UsageError
from glm2x.files import require_staying
from glm2x.work.board import Board
from glm2x.work.planned import Say, Where
from glm2x.work.unit import Outcome, Work, record_error, run_shard
from glm2x.work.worker import first_line

ATTEMPTS = 3  # at a shard whose worker is killed
_PATIENCE = 10.0  # seconds that workers may take to end
_QUICK = 0.2  # seconds: who makes a shard in less is asked for the next one ahead


def workers_for(work: Work, asked: int | None) -> int:
    """Return how many workers to start: one a GPU; or on CPUs, as many as have their threads.

    Raises
    ------
    UsageError
        Fewer than 1, or more than there are GPUs.
    """
    gpus = None
    if work.device != "cpu":
        from glm2x.backbones.device import devices_of, require_device

        require_device(work.device, where=f"{work.folder}, which is to be computed on {work.device}")
        gpus = devices_of(work.device)
    if asked is None:
        return gpus or max(1, _cores() // (work.threads or _cores()))
    if asked < 1 or (gpus is not None and asked > gpus):
        wanted = "1 or more" if gpus is None else f"1 to {gpus}, one a GPU"
        raise UsageError("--workers cannot be that number", got=str(asked), wanted=wanted)
    return asked


def run_here(work: Work, board: Board) -> None:
    """Make shards in this process until none is left."""
    while (shard := board.take()) is not None:
        board.put(run_shard(work, shard))


def run_local(work: Work, board: Board, where: Where, workers: int, say: Say) -> None:
    """Make shards in several processes until none is left.

    When this process ends, whatever it dies of, so do they. A worker that is killed is replaced, and its
    shard is tried again, `ATTEMPTS` times in all.
    """
    slots = [_Slot(work, where, _environment(work, number), say) for number in range(workers)]
    threads = [Thread(target=slot.tend, args=(board,), daemon=True) for slot in slots]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        board.stopped = True
        deadline = time.monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in threads):
            for slot in slots:
                slot.end(kill=time.monotonic() > deadline)
            for thread in threads:
                thread.join(0.1)


class _Slot:
    """The place of one worker, and the process that has it now."""

    def __init__(self, work: Work, where: Where, environment: dict[str, str], say: Say) -> None:
        self._work, self._where, self._environment, self._say = work, where, environment, say
        self._process: subprocess.Popen[str] | None = None
        self._told: subprocess.Popen[str] | None = None  # to end: twice would disturb its clearing up

    def tend(self, board: Board) -> None:
        """Give the worker shards until none is left; what stops that stops the other slots, too."""
        try:
            self._tend(board)
        except Exception as error:
            board.break_off(error)
        if self._process is not None:
            self._gone()

    def _tend(self, board: Board) -> None:
        asked: deque[int] = deque()  # the shard in hand, and perhaps the next one
        attempts, quick = 0, False
        while self._ask(board, asked, 2 if quick else 1):
            began = time.monotonic()
            outcome = self._answer()
            quick = outcome is not None and time.monotonic() - began < _QUICK
            if outcome is None:
                while len(asked) > 1:
                    board.give_back(asked.pop())  # it was not begun
                ended = _ended(self._gone())
                if board.stopped:
                    return
                require_staying(self._work.folder / "log")
                self._say(f"  note: a worker {ended} in {self._work.title(asked[0])}")
                attempts += 1
                if attempts < ATTEMPTS:
                    self._tell(asked[0])
                    continue
                text = f"the process that worked on it {ended}, {ATTEMPTS} times: is there enough memory?"
                outcome = Outcome(asked[0], "failed", record_error(self._work, asked[0], text))
            asked.popleft()
            attempts = 0
            board.put(outcome)

    def _ask(self, board: Board, asked: deque[int], ahead: int) -> bool:
        """Ask the worker for as many shards as it is to have; return whether it has any.

        Where shards are quick it has the next one before it has made one, and does not wait for us.
        """
        while len(asked) < ahead and (shard := board.take(wait=not asked)) is not None:
            asked.append(shard)
            self._tell(shard)
        return bool(asked)

    def _tell(self, shard: int) -> None:
        """Tell the worker of a shard; start one where there is none."""
        told = f"{shard}\n"
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "glm2x.work.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._environment,
            )
            told = first_line(self._work.folder, self._where) + told
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, as its answer will say
            self._process.stdin.write(told)
            self._process.stdin.flush()

    def _answer(self) -> Outcome | None:
        """Return the worker's next answer; None where it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return Outcome.from_json(line) if line.endswith("\n") else None

    def _gone(self) -> int:
        """Wait for the worker to end, as it does when its input is closed; return its exit code."""
        process, self._process = self._process, None
        assert process is not None
        with suppress(BrokenPipeError):
            process.communicate()
        return process.returncode

    def end(self, *, kill: bool) -> None:
        """Tell the worker once to end, if it still is there; or kill it."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        if kill:
            process.kill()
        elif process is not self._told:
            self._told = process
            process.terminate()


def _environment(work: Work, number: int) -> dict[str, str]:
    """Return what one of several workers sees of the machine."""
    seen = {**os.environ, **thread_variables(work)}
    if work.device == "cuda":
        from glm2x.backbones.device import devices_of

        # by the names that a scheduler may have given us already
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(devices_of("cuda"))]
        seen["CUDA_VISIBLE_DEVICES"] = names[number]
    return seen


def thread_variables(work: Work) -> dict[str, str]:
    """Return the variables by which libraries start no more threads than the plan says."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    return {} if work.threads is None else dict.fromkeys(names, str(work.threads))


def _cores() -> int:
    from joblib import cpu_count

    return int(cpu_count())


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"

"""Commands of glm2x that start at once and may be killed: a process that has imported everything forks.

Starting Python and torch takes seconds in which nothing can be damaged. Here a command's life begins where
`glm2x.cli.run` does, so that moments spread over it are moments of its work. A command has a process group of
its own, and is killed with all that it has started: after some seconds, or just before it touches the file
system for the n-th time below a folder (opens a file to write, makes, renames or removes something), which is
the same place of the program at each run.

As a program this file is that process: it reads a command a line, and answers with what came of it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds after which a command hangs
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TOUCHES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
)


@dataclass(frozen=True)
class Ended:
    """What came of a command: exit code (below 0: the signal), seconds, touches of files, output."""

    code: int
    seconds: float
    touches: int
    said: str
    hung: bool

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.code == -signal.SIGKILL


class Server:
    """The process that forks.

    Parameters
    ----------
    folder
        For what commands print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *words: object, **options: Any) -> Ended:
        """Run a command, and return what came of it; see `run_copies` for options."""
        return self.run_copies(1, *words, **options)[0]

    def run_copies(
        self,
        copies: int,
        *words: object,
        after: float | None = None,
        touch: int | None = None,
        below: Path | None = None,
        by: int = signal.SIGKILL,
        remove: Path | None = None,
        patience: float = PATIENCE,
        setup: str = "",
        folder: Path | None = None,
    ) -> list[Ended]:
        """Run a command several times at once, and return what came of each.

        Parameters
        ----------
        after
            Seconds after which it gets the signal.
        touch
            It gets the signal just before it touches the file system for this time, from 1.
        below
            Only what lies below this folder is counted.
        by
            The signal.
        remove
            Instead of a signal, what lies here is removed.
        patience
            Seconds after which it hangs, and is killed.
        setup
            Python that its process runs first.
        folder
            Its working folder.
        """
        self._count += 1
        log = str(self._folder / f"{self._count}.log")
        told = {
            "words": [str(word) for word in words],
            "copies": copies,
            "log": log,
            "by": int(by),
        }
        told |= {"after": after, "touch": touch, "patience": patience, "setup": setup}
        told |= {"below": below and str(below), "folder": folder and str(folder)}
        told |= {"remove": remove and str(remove)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return [Ended(**one) for one in json.loads(line)]

    def end(self) -> None:
        """End the process; it has no children then but those of a test that failed."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Give a server, and end it."""
    one = Server(folder)
    try:
        yield one
    finally:
        one.end()


def main() -> None:
    """Fork for each line of standard input."""
    _import_everything()
    for line in sys.stdin:
        told = json.loads(line)
        log, began = told["log"], time.monotonic()
        started = [_fork(told | {"log": f"{log}.{copy}"}) for copy in range(told["copies"])]
        ended = [_watched(*one, told | {"log": f"{log}.{copy}"}, began) for copy, one in enumerate(started)]
        print(json.dumps(ended), flush=True)


def _fork(told: dict[str, Any]) -> tuple[int, int]:
    """Start a command; return its process, and where to read its touches."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be(told, writing)
    os.close(writing)
    with suppress(OSError):  # it may have done so itself
        os.setpgid(pid, pid)
    return pid, reading


def _watched(pid: int, reading: int, told: dict[str, Any], began: float) -> dict[str, Any]:
    """Wait for a command, or kill it and wait; return what `Ended` says."""
    handle, hung = os.pidfd_open(pid), False
    ready = [] if told["after"] is None else select.select([handle], [], [], told["after"])[0]
    if told["after"] is not None and not ready:
        os.killpg(pid, told["by"])
    if not select.select([handle], [], [], told["patience"])[0]:
        hung = True
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # and whatever it has left
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seconds = time.monotonic() - began
    os.close(handle)
    with os.fdopen(reading, "rb") as pipe:
        touches = pipe.read()
    said = Path(told["log"]).read_text(errors="replace") if Path(told["log"]).exists() else ""
    return {
        "code": code,
        "seconds": seconds,
        "touches": len(touches),
        "said": said,
        "hung": hung,
    }


def _be(told: dict[str, Any], writing: int) -> None:
    """Be the command; never return."""
    code = 70
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        null, log = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(told["log"], os.O_WRONLY | os.O_CREAT),
        )
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        sys.argv = ["glm2x", *told["words"]]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as glm2x.cli.main
        if told["folder"] is not None:
            os.chdir(told["folder"])
        exec(told["setup"], {})
        _count(
            told["touch"],
            told["below"],
            partial(_disturb, told["by"], told["remove"]),
            writing,
        )
        from glm2x.cli import run

        code = run(told["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # as the interpreter would
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _disturb(by: int, remove: str | None) -> None:
    """Be sent a signal, or have something taken away."""
    if remove is None:
        os.kill(os.getpid(), by)
    elif Path(remove).is_symlink():
        Path(remove).unlink()
    else:
        shutil.rmtree(remove)


def _count(touch: int | None, below: str | None, disturb: Callable[[], None], writing: int) -> None:
    """Write a byte for each touch of the file system, and be disturbed before the one that is asked for."""
    if below is None:
        return
    done = 0

    def heard(event: str, details: tuple[Any, ...]) -> None:
        nonlocal done
        if event == "open":
            if not isinstance(details[2], int) or not details[2] & WRITES:
                return
        elif event not in TOUCHES:
            return
        if not _is_below(details[0], below):
            return
        done += 1
        if done == touch:
            disturb()
        os.write(writing, b".")

    sys.addaudithook(heard)


def _is_below(path: object, below: str) -> bool:
    if not isinstance(path, str | os.PathLike):
        return False
    return os.path.abspath(os.fspath(path)).startswith(below)  # noqa: PTH100 (called for each open file)


def _import_everything() -> None:
    """Import what commands import; nothing computes yet, so that no thread is lost by forking."""
    for name in NEEDED:
        import_module(name)


NEEDED = (
    "glm2x.cli",
    "glm2x.backbones.kmer",
    "glm2x.cohort.build",
    "glm2x.commands.cohort",
    "glm2x.commands.embed",
    "glm2x.commands.evaluate",
    "glm2x.commands.predict",
    "glm2x.commands.train",
    "glm2x.evaluation.evaluate",
    "glm2x.report.page",
    "glm2x.training.predict",
    "glm2x.training.run",
    "glm2x.work.kinds.embed",
    "lightning_fabric",
)


if __name__ == "__main__":
    main()

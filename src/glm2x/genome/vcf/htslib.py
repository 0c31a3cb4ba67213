"""What htslib says on standard error, kept from the terminal and put into our one message instead."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

_lock = threading.Lock()
_readers = 0
_aside: _Aside | None = None


@contextmanager
def standard_error_aside() -> Iterator[None]:
    """Turn file descriptor 2, which htslib writes to, into a temporary file while anybody reads.

    htslib has no other way to be silent about a damaged record or a header that lacks a definition. What
    Python writes to `sys.stderr` meanwhile goes to the terminal; a stream that was made of descriptor 2
    by other means does not.
    """
    global _readers, _aside
    with _lock:
        _readers += 1
        if _aside is None:
            _aside = _Aside()
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers and _aside is not None:
                _aside.end()
                _aside = None


def complaint() -> str:
    """Return htslib's last complaint while standard error is aside, or nothing."""
    return _aside.last_error() if _aside is not None else ""


class _Forward(io.TextIOBase):
    """Stands in for `sys.stderr` while descriptor 2 is aside, and hands on to it afterwards."""

    def __init__(self, ours: TextIO, terminal: int) -> None:
        self._ours = ours
        self._terminal: int | None = terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream it stands in for."""
        return self._ours.encoding

    def write(self, text: str) -> int:
        """Write to the terminal."""
        if self._terminal is None:
            return self._ours.write(text)
        rest = text.encode(self._ours.encoding, self._ours.errors or "backslashreplace")
        while rest:
            rest = rest[os.write(self._terminal, rest) :]
        return len(text)

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._ours.fileno() if self._terminal is None else self._terminal

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.fileno())

    def hand_on(self) -> None:
        """From now on write to the stream itself."""
        self._terminal = None


class _Aside:
    """Descriptor 2, turned into a file until `end`."""

    def __init__(self) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (until `end`)
        self._terminal: int | None = None
        self._ours = sys.stderr
        self._forward: _Forward | None = None
        try:
            self._terminal = os.dup(2)
        except OSError:  # there is no standard error
            return
        if self._ours is not None and _is_descriptor_2(self._ours):
            self._ours.flush()
            self._forward = _Forward(self._ours, self._terminal)
            sys.stderr = self._forward
        os.dup2(self._said.fileno(), 2)

    def end(self) -> None:
        """Put everything back as it was."""
        if self._terminal is not None:
            os.dup2(self._terminal, 2)
        if self._forward is not None:
            self._forward.hand_on()
            if sys.stderr is self._forward:
                sys.stderr = self._ours
        if self._terminal is not None:
            os.close(self._terminal)
        self._said.close()

    def last_error(self) -> str:
        """Return the last complaint, without the name of htslib's function; or nothing."""
        size = os.fstat(self._said.fileno()).st_size
        tail = os.pread(self._said.fileno(), 4096, max(size - 4096, 0)).decode(errors="replace")
        complaints = [line for line in tail.splitlines() if line.startswith("[E::")]
        return complaints[-1].partition("] ")[2] if complaints else ""


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False

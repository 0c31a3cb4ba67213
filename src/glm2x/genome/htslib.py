"""What htslib says on standard error, kept from the terminal and put into our one message instead."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_said: int | None = None  # the descriptor of the file that takes what htslib says


@contextmanager
def standard_error_aside() -> Iterator[None]:
    """Turn file descriptor 2, which htslib writes to, into a temporary file; Python's own output goes on.

    htslib has no other way to be silent about a damaged record or a header that lacks a definition.
    """
    global _said
    if _said is not None:  # a reader inside a reader
        yield
        return
    ours = sys.stderr
    ours.flush()
    with tempfile.TemporaryFile() as said, os.fdopen(os.dup(2), "wb", buffering=0) as terminal:
        aside = io.TextIOWrapper(terminal, ours.encoding, ours.errors, write_through=True)
        if _is_descriptor_2(ours):
            sys.stderr = aside
        os.dup2(said.fileno(), 2)
        _said = said.fileno()
        try:
            yield
        finally:
            _said = None
            os.dup2(terminal.fileno(), 2)
            sys.stderr = ours
            aside.detach()


def complaint() -> str:
    """Return htslib's last complaint while standard error is aside, or nothing."""
    if _said is None:
        return ""
    size = os.fstat(_said).st_size
    tail = os.pread(_said, 4096, max(size - 4096, 0)).decode(errors="replace")
    complaints = [line for line in tail.splitlines() if line.startswith("[E::")]
    return complaints[-1].partition("] ")[2] if complaints else ""


def _is_descriptor_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, OSError, ValueError):
        return False

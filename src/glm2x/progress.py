"""What long work tells about how far it is; the command line shows it, or nobody does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Advance(Protocol):
    """Counts finished units."""

    def advance(self, n: int = 1, message: str = "") -> object:
        """Count `n` more units as done; `message` says what is going on."""


class Progress(Protocol):
    """Opens one counted piece of work."""

    def __call__(self, label: str, total: int, unit: str = "") -> AbstractContextManager[Advance]:
        """Return a context in which `total` units are counted; `unit` is what they are, in the plural."""


class _Silent:
    def advance(self, n: int = 1, message: str = "") -> None:
        """Say nothing."""


def silent(label: str, total: int, unit: str = "") -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(_Silent())

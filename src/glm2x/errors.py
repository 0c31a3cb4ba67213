"""The errors that reach a user: one message that says what, where, got, wanted and what to do.

Anything else that escapes to the terminal is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class Glm2xError(Exception):
    """A problem that the user can mend.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, record, gene, individual or key it was found at.
    got, wanted
        What was found, and what would have been right.
    do
        What to do about it, as a command or a setting where there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", got: str = "", wanted: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.got = got
        self.wanted = wanted
        self.do = do

    def __str__(self) -> str:
        parts = {"where": self.where, "got": self.got, "wanted": self.wanted, "do": self.do}
        lines = [f"  {label + ':':<8}{printable(text)}" for label, text in parts.items() if text]
        return "\n".join([printable(self.what), *lines])


def printable(text: str) -> str:
    """Return text whose control characters, as damaged files have them, do nothing to a terminal."""
    if text.replace("\n", " ").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class DataError(Glm2xError):
    """Something in the data or on the machine is wrong (exit code 1)."""


class UsageError(Glm2xError):
    """The command or the configuration is wrong (exit code 2)."""

    exit_code: ClassVar[int] = 2


class LeakError(Glm2xError):
    """A leak check of the evaluation failed (exit code 3)."""

    exit_code: ClassVar[int] = 3

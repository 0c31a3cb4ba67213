"""What several commands' options have in common."""

from __future__ import annotations

from glm2x.errors import UsageError


def comma_separated(text: str | None, option: str) -> tuple[str, ...]:
    """Return the contigs of an option such as ``--contigs 1,2,22``; none where it was not given.

    Raises
    ------
    UsageError
        It was given and names nothing.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{option} names no contig", got=repr(text), wanted="such as 1,2,22")
    return names

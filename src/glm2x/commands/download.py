"""`glm2x download`: the public files, fetched, checked and indexed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from glm2x.console import progress, say

_MB = 1_000_000


def download(
    thing: Literal["reference", "genotypes", "expression"],
    /,
    *,
    out: Path | None = None,
    contigs: str | None = None,
    base_url: str | None = None,
    force: bool = False,
) -> None:
    """Download the public files: the reference hs37d5, the GEUVADIS genotypes, their expression.

    What was interrupted goes on where it stopped, when the same command is given again; what is
    complete is checked and left alone. The reference is written bgzipped with its index, and the
    genotypes are indexed.

    Parameters
    ----------
    thing
        reference, genotypes (22 VCFs, one a chromosome) or expression.
    out
        The folder to write (default: data/reference, data/genotypes or data/expression).
    contigs
        Of the genotypes, only these, by commas: 21,22.
    base_url
        The folder of a mirror; the file names stay.
    force
        Fetch again and replace what is there.
    """
    from glm2x.download.fetch import download as fetch
    from glm2x.download.registry import load_collection

    folder = out if out is not None else Path("data") / thing
    with _Shown() as shown:
        paths = fetch(
            thing,
            folder,
            contigs=contigs,
            base_url=base_url,
            force=force,
            progress=shown.tell,
            say=say,
        )
    for note in load_collection(thing).notes:
        say(f"  note: {note}")
    say(f"{len(paths)} {'file' if len(paths) == 1 else 'files'}; written to {folder}")


class _Shown:
    """Shows one bar after another, in megabytes, as the files report how far they are."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._label = ""
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)  # a bar that an error ended does not say that it is done

    def tell(self, label: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` bytes of a file are there."""
        if total is None:
            return
        if label != self._label:
            if done >= total:
                return
            self._stack.close()
            self._label, self._done = label, 0
            self._bar = self._stack.enter_context(progress(label, -(-total // _MB), "MB"))
        now = -(-done // _MB)
        if now != self._done:
            self._bar.advance(now - self._done)
            self._done = now
        if done >= total:
            self._stack.close()
            self._label = ""

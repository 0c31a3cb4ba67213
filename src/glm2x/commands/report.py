"""`glm2x report`: an evaluation as one HTML page."""

from __future__ import annotations

from pathlib import Path

from glm2x.console import say


def report(
    folder: Path,
    /,
    *,
    run: tuple[Path, ...] = (),
    out: Path | None = None,
    force: bool = False,
) -> None:
    """Draw the folder that evaluate wrote as report.html: one file, no network.

    Parameters
    ----------
    folder
        What glm2x evaluate wrote.
    run
        Run folders of glm2x train, for curves and facts; may be given several times.
    out
        Where to write (default: report.html in the folder).
    force
        Replace what is there.
    """
    from glm2x.report.page import write_report

    say(f"written to {write_report(folder, runs=run, out=out, force=force)}")

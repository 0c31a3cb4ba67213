"""`glm2x report`: an evaluation, or a comparison of several results, as one HTML page."""

from __future__ import annotations

from pathlib import Path

from glm2x.console import progress, say

_COMPARISON = Path("comparison")


def report(
    *results: Path,
    run: tuple[Path, ...] = (),
    out: Path | None = None,
    cohort: Path | None = None,
    split: Path | None = None,
    no_predict: bool = False,
    force: bool = False,
) -> None:
    """Draw what evaluate wrote, or a comparison of several results, as one HTML page without network.

    One evaluation, alone or with runs, is drawn as it is. Several results, or runs alone, are compared: their
    predictions are evaluated together, on the same genes and people. A run that has not predicted yet does,
    with its own checkpoint, for the people and genes of its split, and keeps RUN/predictions.parquet.

    Parameters
    ----------
    results
        Folders of glm2x evaluate, run folders of glm2x train, tables of predictions (.parquet, .csv).
    run
        More run folders; may be given several times.
    out
        Of one evaluation the page (default: report.html in its folder); of a comparison the folder to write,
        an evaluation with report.html in it (default: comparison).
    cohort
        The cohort of a comparison (default: that of the first run).
    split
        The split of a comparison (default: that of the first run, or of the first evaluation that has one).
    no_predict
        Runs without predictions show their training alone.
    force
        Replace what is there.
    """
    from glm2x.commands.compare import compare, find_results
    from glm2x.errors import UsageError
    from glm2x.report.page import write_report
    from glm2x.report.runs import Joint, RunOf

    found = find_results((*results, *run))
    if not found:
        raise UsageError("nothing to report on was given", wanted="an evaluation, runs, or tables")
    evaluations = [result for result in found if result.kind == "evaluation"]
    runs = [result for result in found if result.kind == "run"]
    if len(evaluations) == 1 and len(evaluations) + len(runs) == len(found):
        if cohort is not None or split is not None or no_predict:
            raise UsageError(
                "--cohort, --split and --no-predict go with a comparison; one evaluation is drawn as it is",
                do=f"glm2x evaluate {evaluations[0].path / 'predictions.parquet'} with --cohort and --split",
            )
        drawn = [RunOf(result.path, result.name) for result in runs]
        page = write_report(evaluations[0].path, runs=drawn, out=out, force=force, progress=progress)
        say(f"written to {page}")
        return
    folder = out or _COMPARISON
    made = compare(found, folder, cohort=cohort, split=split, predict=not no_predict, force=force)
    drawn = [RunOf(result.path, result.name, made.models[result.path]) for result in runs]
    joint = Joint(tuple(result.name for result in found), made.notes)
    page = write_report(folder, runs=drawn, joint=joint, progress=progress)
    say(f"written to {page}")
    made.evaluation.raise_leaks()

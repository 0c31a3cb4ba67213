"""Several results in one evaluation: what `glm2x report` makes of runs, evaluations and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from glm2x.console import progress, say

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.config import TrainConfig
    from glm2x.evaluation.evaluate import Evaluation
    from glm2x.evaluation.together import Origin
    from glm2x.predictions import Predictions
    from glm2x.sidecar import Artefact

# of runs with the same setting these may differ: where things lie and are computed, and the seed
_NO_SETTING = {"out", "cohort", "split", "embeddings", "start_from"}
_NO_TRAINING_SETTING = {"seed", "device", "devices", "tensorboard"}


@dataclass(frozen=True)
class Result:
    """An argument: its path, what it is, and the name that tells it from the others."""

    path: Path
    kind: Literal["evaluation", "run", "table"]
    name: str


@dataclass(frozen=True)
class Compared:
    """The joint evaluation; by the path of each run the name of its model there, "" where it has none."""

    evaluation: Evaluation
    models: dict[Path, str]
    notes: tuple[str, ...]


def find_results(paths: Sequence[Path]) -> tuple[Result, ...]:
    """Return what the arguments are, each once.

    Raises
    ------
    DataError
        One is none of an evaluation's folder, a run's, or a table.
    """
    from glm2x.files import distinct_names

    unique = list({path.resolve(): path for path in paths}.values())
    if len(unique) < len(paths):
        say("  note: an argument stands twice and is taken once")
    names = distinct_names([path.resolve() for path in unique])
    return tuple(Result(path, _kind(path), name) for path, name in zip(unique, names, strict=True))


def _kind(path: Path) -> Literal["evaluation", "run", "table"]:
    from glm2x.errors import DataError

    if (path / "metrics.json").is_file():
        return "evaluation"
    if (path / "run.json").is_file():
        return "run"
    if path.is_file():
        return "table"
    few_shot = path / "predictions.parquet"
    raise DataError(
        "this is nothing that a report is drawn of",
        where=str(path),
        got="a folder without metrics.json and run.json" if path.is_dir() else "nothing at that path",
        wanted="a folder of glm2x evaluate or glm2x train, or a table of predictions",
        do=f"give {few_shot}" if few_shot.is_file() else "check the path",
    )


def compare(
    results: Sequence[Result],
    out: Path,
    *,
    cohort: Path | None,
    split: Path | None,
    predict: bool,
    force: bool,
) -> Compared:
    """Evaluate the predictions of all results together, and write the evaluation's folder.

    Parameters
    ----------
    cohort, split
        Where they are; else the cohort is that of the first run, and the split that of the first run or
        of the first evaluation that has one.
    predict
        Whether runs without predictions predict.
    """
    from glm2x.errors import DataError
    from glm2x.evaluation.evaluate import evaluate
    from glm2x.evaluation.together import put_together
    from glm2x.files import refuse_existing
    from glm2x.provenance import artefact, record_with_history

    refuse_existing(out, force=force)
    work = _Work(cohort, split, predict=predict, force=force)
    origins = [origin for result in results if (origin := work.origin(result)) is not None]
    if not origins:
        raise DataError(
            "no argument holds predictions, so nothing can be compared",
            got=", ".join(result.name for result in results),
            do="leave --no-predict out",
        )
    together = put_together(origins)
    for note in together.notes:
        say(f"  note: {note}")
    made = evaluate(
        together.predictions,
        out,
        cohort=work.joint_cohort(results),
        split=work.joint_split(results),
        force=force,
        progress=progress,
    )
    record_with_history(out, outputs=[artefact("evaluation", out)], inputs=_read(results))
    models = {r.path: together.models.get(r.name, "") for r in results if r.kind == "run"}
    return Compared(made, models, (*work.notes, *together.notes))


def _read(results: Sequence[Result]) -> list[Artefact]:
    """Return what the results are known by, for the record of the comparison."""
    from glm2x.commands.recorded import checkpoints_in
    from glm2x.provenance import artefact

    found: list[Artefact] = []
    for result in results:
        if result.kind == "run":
            found += checkpoints_in(result.path / "checkpoint")
        elif result.kind == "evaluation":
            found.append(artefact("predictions", result.path / "predictions.parquet"))
        else:
            found.append(artefact("predictions", result.path))
    return found


class _Work:
    """Reads what there is, and predicts what is lacking; each cohort is opened once."""

    def __init__(self, cohort: Path | None, split: Path | None, *, predict: bool, force: bool) -> None:
        self._given, self._split = cohort, split
        self._predict, self._force = predict, force
        self._opened: dict[Path, Cohort] = {}
        self.notes: list[str] = []

    def origin(self, result: Result) -> Origin | None:
        """Return the predictions of a result; None of a run that has none and is not to predict."""
        from glm2x.evaluation.together import Origin
        from glm2x.predictions import read_predictions

        if result.kind == "run":
            config = _config(result)
            found = self._of_run(result, config)
            return None if found is None else Origin(result.name, found, _setting(result.path, config))
        inner = result.path / "predictions.parquet" if result.kind == "evaluation" else result.path
        return Origin(result.name, read_predictions(inner))

    def _of_run(self, result: Result, config: TrainConfig) -> Predictions | None:
        from glm2x.training.run_predictions import kept_predictions, make_predictions
        from glm2x.training.runfolder import RunFolder

        run = RunFolder(result.path)
        if not self._predict and not run.facts().get("done"):
            self._leave_out(result, "it is not finished")
            return None
        kept = kept_predictions(run, force=self._force)
        if kept is not None:
            return kept
        if not self._predict:
            self._leave_out(result, "its checkpoint has predicted nothing yet")
            return None
        say(f"{result.name}: predicting with its checkpoint")
        made = make_predictions(run, self._cohort_of(result, config), progress=progress)
        say(f"{result.name}: written to {run.path / 'predictions.parquet'}")
        return made

    def _leave_out(self, result: Result, why: str) -> None:
        self.notes.append(f"{result.name} is not among the predictions: {why}")
        say(f"  note: {self.notes[-1]}")

    def _cohort_of(self, result: Result, config: TrainConfig) -> Cohort:
        from glm2x.errors import DataError

        path = self._given or Path(config.cohort)
        if self._given is None and not path.is_dir():
            raise DataError(
                "the cohort is not where it was when the run was trained",
                where=f"{result.path / 'config.yml'}, cohort",
                got=f"no folder {path}",
                do="say with --cohort where it is now; or --no-predict shows the run's training alone",
            )
        return self._open(path)

    def _open(self, path: Path) -> Cohort:
        from glm2x.cohort.cohort import Cohort

        if path not in self._opened:
            self._opened[path] = Cohort.open(path)
        return self._opened[path]

    def joint_cohort(self, results: Sequence[Result]) -> Cohort | None:
        """Return the cohort that is given, else that of the first run whose cohort is there."""
        if self._given is not None:
            return self._open(self._given)
        named = [Path(_config(result).cohort) for result in results if result.kind == "run"]
        there = next((path for path in named if path.is_dir()), None)
        if there is not None:
            return self._open(there)
        where = f"not at {named[0]}" if named else "not named by evaluations and tables"
        say(f"  note: evaluated without the cohort, which is {where}: --cohort adds checks and populations")
        return None

    def joint_split(self, results: Sequence[Result]) -> Split | None:
        """Return the split that is given, else the first that a run's checkpoint or an evaluation holds."""
        from glm2x.cohort.split import Split

        runs = [result.path / "checkpoint" / "split.json" for result in results if result.kind == "run"]
        others = [result.path / "split.json" for result in results if result.kind == "evaluation"]
        found = [self._split] if self._split else [path for path in (*runs, *others) if path.is_file()]
        return Split.load(found[0]) if found else None


def _config(result: Result) -> TrainConfig:
    from glm2x.config import load_config

    return load_config(result.path / "config.yml")


def _setting(folder: Path, config: TrainConfig) -> str:
    """Return what is the same for runs that differ by their seed only."""
    from glm2x.files import read_json
    from glm2x.seal import digest

    content: dict[str, Any] = config.model_dump(mode="json", exclude=_NO_SETTING)
    content["training"] = {k: v for k, v in content["training"].items() if k not in _NO_TRAINING_SETTING}
    facts = read_json(folder / "run.json")
    return digest([content, facts.get("store_digest"), facts.get("start_from_digest")])

"""`glm2x predict`: a trained model predicts any people of any cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from glm2x.console import progress, say


def predict(
    checkpoint: Path,
    /,
    *,
    cohort: Path,
    out: Path,
    individuals: Path | None = None,
    genes: Path | None = None,
    split: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    force: bool = False,
) -> None:
    """Predict people's expression, also of people without any, as a table that evaluate reads.

    Parameters
    ----------
    checkpoint
        A checkpoint folder, such as RUN/checkpoint.
    cohort
        The people's cohort folder.
    out
        The table to write: .parquet, or .csv.
    individuals
        Whom to predict, one a line (default: everybody in the cohort).
    genes
        What to predict, one a line (default: all of the cohort).
    split
        Whose sides the table states (default: the split that the model was trained with).
    device
        Where to compute.
    force
        Replace what is there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.files import read_list, refuse_existing
    from glm2x.predictions import write_predictions

    refuse_existing(out, force=force)
    opened = Cohort.open(cohort)
    sides = Split.load(split) if split else None
    chosen_genes = read_list(genes) if genes else None
    chosen_people = read_list(individuals) if individuals else None
    from glm2x.training.tabulate import predictions_of  # torch: only now, when all else is right

    table = predictions_of(
        checkpoint,
        opened,
        split=sides,
        genes=chosen_genes,
        individuals=chosen_people,
        device=device,
        progress=progress,
    )
    write_predictions(out, table, force=force)
    say(
        f"predicted {table.frame['gene'].n_unique()} genes in {table.frame['individual'].n_unique()} people; "
        f"written to {out}"
    )

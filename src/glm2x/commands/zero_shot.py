"""`glm2x zero-shot`: a published model's own output as a prediction, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from glm2x.commands.arguments import listed_covariates
from glm2x.commands.options import AnyPlace
from glm2x.console import progress, say


def zero_shot(
    model: Literal["enformer", "borzoi"],
    /,
    *,
    cohort: Path,
    out: AnyPlace,
    split: Path | None = None,
    tracks: str | None = None,
    bins: int | None = None,
    weights: Path | None = None,
    revision: str | None = None,
    individuals: Path | None = None,
    genes: Path | None = None,
    target: Literal["log", "residual", "residual-all", "z-score", "inverse-normal"] = "log",
    covariates_keep: str | None = None,
    window: int | None = None,
    batch_size: int = 1,
    label: str | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    force: bool = False,
) -> None:
    """Predict people's expression with a published model's own output head, as a table that evaluate reads.

    Parameters
    ----------
    model
        Whose head.
    cohort
        The people's cohort folder.
    out
        The table to write: .parquet, or .csv; or its URL.
    split
        Whose sides the table states; evaluate wants the one of the other tables.
    tracks
        Rows of the human head, by commas; their mean (default: CAGE of GM12878, Enformer 5110, Borzoi 870).
    bins
        Bins around the TSS that are summed, odd (default: Enformer 3 of 128 bp, Borzoi 13 of 32 bp).
    weights
        A folder with the weights (default: the official ones).
    revision
        Of the official weights.
    individuals
        Whom to predict, one a line (default: everybody in the cohort).
    genes
        What to predict, one a line (default: all of the cohort).
    target
        What the measurements beside the predictions are.
    covariates_keep
        The covariates of the cohort that residuals are taken after, by commas (default: all).
    window
        A shorter one than the model's own, for a try on a small machine.
    batch_size
        Windows that go through together.
    label
        The model's name in the table (default: as here), to compare several tracks.
    device
        Where to compute.
    force
        Replace what is there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import of_cohort, of_split
    from glm2x.config import BackboneConfig
    from glm2x.errors import UsageError
    from glm2x.files import read_list, refuse_existing
    from glm2x.predictions import write_predictions
    from glm2x.provenance import artefact, artefacts, record
    from glm2x.training.fabric import processes

    if processes() > 1:
        raise UsageError(
            "zero-shot predictions are made by one process, and torchrun has started several",
            got=f"{processes()} processes",
            do="start it without torchrun; --genes shares the genes among several runs",
        )
    refuse_existing(out, force=force)
    if batch_size < 1:
        raise UsageError("--batch-size is a number of windows", got=str(batch_size), wanted="1 or more")
    kept = listed_covariates(covariates_keep, target)
    chosen_tracks = _numbers(tracks) if tracks is not None else None
    opened = Cohort.open(cohort)
    opened.reference(opened.genes[0].contig)  # a cohort without any says so
    sides = Split.load(split) if split else None
    chosen_genes = read_list(genes) if genes else None
    chosen_people = read_list(individuals) if individuals else None
    config = BackboneConfig(name=model, weights=str(weights) if weights else None, revision=revision)
    from glm2x.backbones.device import require_device  # torch: only now, when all else is right
    from glm2x.backbones.zero_shot import build_zero_shot
    from glm2x.training.zero_shot import zero_shot_predictions

    built = build_zero_shot(config, window=window, tracks=chosen_tracks, bins=bins)
    built.windows_at_once = batch_size
    for line in built.describe():
        say(f"  {line}")
    table = zero_shot_predictions(
        built,
        label or model,
        opened,
        split=sides,
        target=target,
        covariates_keep=kept,
        genes=chosen_genes,
        individuals=chosen_people,
        device=device,
        progress=progress,
    )
    write_predictions(out, table, force=force)
    record(
        out,
        outputs=[artefact("predictions", out)],
        inputs=[
            *(of_cohort(opened, cohort), *of_split(sides, split)),
            *artefacts(individuals=individuals, genes=genes, backbone_weights=weights),
        ],
        device=require_device(device),
    )
    say(
        f"predicted {table.frame['gene'].n_unique()} genes in {table.frame['individual'].n_unique()} people; "
        f"written to {out}"
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the track numbers of ``5110,5111``."""
    from glm2x.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise UsageError("--tracks takes numbers by commas", got=text, wanted="such as 5110 or 870,871")
    return tuple(int(word) for word in words)

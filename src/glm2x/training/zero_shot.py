"""Zero-shot predictions as the table that evaluation reads: a published model's own output, per person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x import __version__
from glm2x.backbones.device import require_device
from glm2x.backbones.zero_shot import ZeroShot
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.split import Split
from glm2x.cohort.target import log_expression, make_target
from glm2x.config import TargetMode
from glm2x.errors import UsageError
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix
from glm2x.progress import Progress, silent
from glm2x.provenance import count_passes
from glm2x.training.batches import rows_of
from glm2x.training.inference import predict_gene
from glm2x.training.inputs import Codes, HaplotypeSource

STRATEGY = "zero-shot"
BOTH = (0, 1)


def zero_shot(
    model: ZeroShot,
    cohort: Cohort,
    genes: Sequence[str],
    individuals: Sequence[str],
    *,
    source: HaplotypeSource | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Return log2(x + 1) of the coverage x that a model expects around the TSS, [genes, individuals].

    x is the mean over a person's two haplotypes of coverage itself, not of its logarithm: the RNA
    of two alleles adds up before anybody measures it. On the scale of log2 expression the result is
    right up to scale and shift. Each unique haplotype of a gene is computed once, in float32.

    Parameters
    ----------
    genes, individuals
        Names of the cohort's, without repetition.
    source
        Where haplotypes come from; by default the cohort's haplotype dictionary at the model's window.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    progress
        Counts genes.

    Raises
    ------
    DataError
        A gene or person is not in the cohort, or the cohort has no reference.
    """
    rows, people = cohort.gene_index(genes), cohort.individual_index(individuals)
    inputs = Codes(source or HaplotypeDictionary(cohort, model.window))
    place = torch.device(require_device(device))
    model.to(place)
    coverage = np.empty((len(rows), len(people)))
    with progress(STRATEGY, len(rows), "genes") as bar:
        for number, row in enumerate(rows.tolist()):
            gene = cohort.genes[row]
            tss = model.window // 2 - (gene.strand == "-")

            def forward(codes: Tensor, index: Tensor, tss: int = tss) -> Tensor:
                each: Tensor = model(codes, tss)
                return each[index].mean(dim=1)

            unique, index = rows_of(inputs.gene(gene.gene), people, BOTH)
            count_passes(index.size, 0 if unique is None else len(unique))
            coverage[number] = predict_gene(
                forward, inputs, gene.gene, people, BOTH, place, model.windows_at_once
            )
            bar.advance(1, gene.gene)
    return np.log2(coverage + 1)


def zero_shot_predictions(
    model: ZeroShot,
    name: str,
    cohort: Cohort,
    *,
    split: Split | None = None,
    target: TargetMode = "log",
    covariates_keep: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    source: HaplotypeSource | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Predictions:
    """Predict with a published model and return the table, measurements beside where the cohort has them.

    Parameters
    ----------
    model
        See `glm2x.backbones.zero_shot`.
    name
        What the table calls it; its strategy is ``zero-shot``.
    split
        Whose sides the table states. Nothing is learnt from the cohort, so that any will do.
    target
        What the measurements beside the predictions are; all but `log` need the split's training people.
    covariates_keep
        The covariates that residuals are taken after (default: all of the cohort's).
    genes, individuals
        Which, in this order; all of the cohort's by default. Genes may be named without versions.

    Raises
    ------
    UsageError
        Another target than `log` is asked for without a split.
    DataError
        See `zero_shot`, or the split is of another cohort.
    """
    if split is not None:
        split.require_cohort(cohort)
    elif target != "log":
        raise UsageError(f"--target {target} is relative to training people", do="give --split")
    made = None if split is None else make_target(cohort, split, target, covariates_keep)
    observed = log_expression(cohort) if made is None else made.values
    rows = np.arange(len(cohort.genes)) if genes is None else cohort.gene_index(genes)
    chosen = tuple(cohort.gene_ids[row] for row in rows)
    people = cohort.individuals if individuals is None else tuple(individuals)
    columns = cohort.individual_index(people)
    predicted = zero_shot(model, cohort, chosen, people, source=source, device=device, progress=progress)
    frame = from_matrix(
        model=name,
        strategy=STRATEGY,
        genes=chosen,
        individuals=people,
        predicted=predicted,
        observed=observed[np.ix_(rows, columns)],
        gene_split=split.gene_split if split else _nowhere,
        individual_split=split.individual_split if split else _nowhere,
        seed=0,
    )
    return Predictions(
        frame,
        PredictionMetadata(
            target=target,
            window=model.window,
            cohort_digest=cohort.digest,
            split_digest=split.digest if split else None,
            glm2x_version=__version__,
            split_family=split.family if split else None,
            covariates=(made.covariates or None) if made else None,
        ),
    )


def _nowhere(name: str) -> None:
    """Return the side of a gene or person where there is no split."""

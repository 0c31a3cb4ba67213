"""What the baselines cost: the elastic net beside scikit-learn's, five of one split, and on paper at scale.

    python benchmarks/baselines.py COHORT SPLIT [--genes 8] [--exact 2] [--target residual]

COHORT and SPLIT as docs/guides/baselines.md makes them of chromosome 22 (under "Reproduce the table"). CPU
time of one thread, side by side in one run:

- The elastic net with 10 folds, of some genes spread over the chromosome, in windows of 64 and 200 kb, and
  scikit-learn's ``ElasticNetCV`` of the same dosages, penalties and folds with its own tolerance. Whether
  both chose the same penalty, and the largest difference between their fits. The first ``--exact`` genes are
  fitted again at tol 1e-7 in the window of 64 kb, which is what ours is held to.
- Five baselines on all genes, as `glm2x baseline` does it in one process.
- One fit by the number of people: people drawn with replacement from the cohort's, 64 kb of a gene with a
  median number of variants. What a person more costs, times 490,000 people and 20,000 genes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV
from sklearn.model_selection import KFold

from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.penalised import elastic_net, held_out_by_folds, penalty_grid
from glm2x.baselines.registry import BASELINES
from glm2x.baselines.run import run_baselines
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import Target, make_target

WINDOWS = (64_000, 200_000)
FIVE = ("top-variant", "elastic-net", "gblup", "ridge", "genotype-pcs")
SIZES = (4_000, 16_000)  # people, of which a person more is learnt
PAPER_PEOPLE, PAPER_GENES = 490_000, 20_000


class Beside(NamedTuple):
    """One gene: CPU seconds of both, and whether they agree."""

    variants: int
    ours: float
    theirs: float
    same_penalty: bool
    apart: float  # the largest difference of fits, of the target's standard deviation


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def gene_data(cohort: Cohort, split: Split, target: Target, gene: str, window: int) -> GeneData:
    """Return a gene's data, of which the people fitted are predicted, too."""
    fit = cohort.individual_index((*split.train, *split.validation))
    dosage = cohort.dosages(gene, window).dosage[fit]
    return GeneData(gene, dosage, target.values[cohort.gene_ids.index(gene), fit], dosage)


def beside(data: GeneData, *, tolerance: float | None) -> Beside:
    """Fit a gene with both; scikit-learn with its own tolerance where none is given."""
    design = standardise(data)
    if design is None:
        raise ValueError(f"{data.gene}: nothing to fit")
    settings = {} if tolerance is None else {"tol": tolerance, "max_iter": 100_000}
    folds = KFold(10, shuffle=True, random_state=0)
    model = ElasticNetCV(l1_ratio=0.5, alphas=100, eps=0.01, cv=folds, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # how far that takes it is what is compared
        theirs = cpu(lambda: model.fit(design.fit, design.target))
    ours = cpu(lambda: elastic_net(data))
    penalties = penalty_grid(design.fit, design.target, 0.5)
    errors = held_out_by_folds(design.fit, design.target, penalties, 0.5)[1]
    chosen = penalties[int(errors.mean(axis=0).argmin())]
    apart = np.abs(elastic_net(data).predicted - design.mean - model.predict(design.fit)).max()
    same = bool(np.isclose(chosen, model.alpha_, rtol=1e-6))
    return Beside(design.fit.shape[1], ours, theirs, same, float(apart / design.target.std()))


def show(title: str, found: list[Beside]) -> None:
    """Print the mean over genes, and how often both agree."""
    ours, theirs = (float(np.mean([getattr(one, side) for one in found])) for side in ("ours", "theirs"))
    ratios = sorted(one.theirs / one.ours for one in found)
    print(
        f"{title}: {len(found)} genes of {np.mean([one.variants for one in found]):.0f} variants: "
        f"ours {ours:.3f} s, scikit-learn {theirs:.2f} s a gene: {theirs / ours:.1f} times "
        f"({ratios[0]:.0f} to {ratios[-1]:.0f}); same penalty {sum(one.same_penalty for one in found)} of "
        f"{len(found)}, fits apart by at most {max(one.apart for one in found):.0e} SD",
        flush=True,
    )


def drawn(data: GeneData, people: int, rng: np.random.Generator) -> GeneData:
    """Return as many people, drawn with replacement, with noise of their own."""
    chosen = rng.integers(0, len(data.target_fit), people)
    dosage: NDArray[np.float32] = data.dosage_fit[chosen]
    target = data.target_fit[chosen] + rng.normal(0, data.target_fit.std(), people)
    return GeneData(data.gene, dosage, target, dosage[:1])


def main() -> None:
    """Print all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("--genes", type=int, default=8)
    parser.add_argument("--exact", type=int, default=2)
    parser.add_argument("--target", default="residual")
    given = parser.parse_args()
    cohort, split = Cohort.open(given.cohort), Split.load(given.split)
    target = make_target(cohort, split, given.target, None)
    genes = cohort.gene_ids[:: len(cohort.gene_ids) // given.genes][: given.genes]
    near = [gene_data(cohort, split, target, gene, WINDOWS[0]) for gene in genes]
    elastic_net(near[0])  # imports
    for window in WINDOWS:
        data = [gene_data(cohort, split, target, gene, window) for gene in genes]
        show(f"elastic net, {window // 1000} kb", [beside(one, tolerance=None) for one in data])
    if given.exact:
        exact = [beside(one, tolerance=1e-7) for one in near[: given.exact]]
        show("elastic net, 64 kb, scikit-learn at tol 1e-7", exact)

    seconds = cpu(lambda: run_baselines(cohort, split, target, list(FIVE), WINDOWS[0], jobs=1))
    print(f"five baselines, {len(cohort.gene_ids)} genes: {seconds:.1f} s", flush=True)

    median = sorted(near, key=lambda one: one.dosage_fit.shape[1])[len(near) // 2]
    print(
        f"on paper, 64 kb with {median.varies.sum()} variants of 5 % and more; so many people have rarer "
        "ones, too"
    )
    rng = np.random.default_rng(0)
    small, large = (drawn(median, people, rng) for people in SIZES)
    for name in FIVE[:-1]:  # genotype PCs are no model of a window
        fit = BASELINES[name].fit
        first, second = cpu(lambda fit=fit: fit(small)), cpu(lambda fit=fit: fit(large))  # type: ignore[misc]
        each = (second - first) / (SIZES[1] - SIZES[0])
        gene = second + each * (PAPER_PEOPLE - SIZES[1])
        print(
            f"  {name:<12} {first:.2f} s of {SIZES[0]:,} people, {second:.2f} s of {SIZES[1]:,}: "
            f"{gene:.0f} s a gene of {PAPER_PEOPLE:,}, {gene * PAPER_GENES / 3600:,.0f} hours of one core "
            f"for {PAPER_GENES:,} genes"
        )


if __name__ == "__main__":
    main()

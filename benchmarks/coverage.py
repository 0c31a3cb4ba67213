"""Whether intervals hold the truth: h2 by REML, mean correlations, differences, people permuted.

    python benchmarks/coverage.py [--trials 1000]

Every trial draws expression anew (glm2x.simulate) on simulated genotypes. An interval that claims 95 % should
hold the truth in 95 % of the trials; of N trials the share itself has the standard error printed. Of h2 the
truth is the share that the expression was drawn with; where few variants are causal, the variance that they
came to have differs from it, and beside it stands how often the interval held the realised share. Of a mean
correlation the truth is its mean over all trials: genes, people, effects, errors of the models and noise are
drawn anew in each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x.evaluation.controls import permute_people
from glm2x.evaluation.metrics import gene_metrics
from glm2x.evaluation.tables import CellRow, Replicate, RowKey
from glm2x.evaluation.uncertainty import Interval, bootstrap_pearson, gene_blocks, make_draws, mean_interval
from glm2x.genome.genes import Gene
from glm2x.reml import heritability, project, relationship_eigen, reml
from glm2x.simulate.cohort import gene_variants
from glm2x.simulate.expression import GeneVariants, draw_expression
from glm2x.simulate.genotypes import make_contigs
from glm2x.simulate.people import make_people
from glm2x.simulate.settings import Settings

DRAWS = 300
PERMUTATIONS = 1_000
PERMUTED_TRIALS = 100
H2 = (0.0, 0.05, 0.2, 0.5)
REML_PEOPLE = 250

Array = NDArray[np.float64]


class Covered(NamedTuple):
    """How often 95 % intervals held the truth."""

    name: str
    share: float
    below: float  # the whole interval is below the truth
    above: float
    ratio: float  # mean standard error, of the standard deviation of the estimates


@dataclass(frozen=True)
class Scene:
    """A kind of study: whose genes and people, and what their errors share.

    `window` and `spacing` are small, so that many genes fit into memory; `genes` of each of `contigs`.
    """

    name: str
    settings: Settings
    people: int
    contigs: int


def scenes() -> list[Scene]:
    """Return the kinds of studies that are tried."""
    base = Settings(
        individuals=1_000, populations=1, window=8_000, genes=600, contigs=600, grammar_share=0.0, h2=0.3
    )
    near = replace(base, contigs=120, spacing=2_500)
    mixed = replace(near, populations=2, fst=0.1, population_variance=0.2, sibling_share=0.4)
    return [
        Scene("independent genes and people", base, 100, 60),
        Scene("noise shared between genes", replace(base, shared_noise=0.3), 100, 60),
        Scene("blocks of 5 genes, shared noise", replace(near, shared_noise=0.3), 100, 16),
        Scene("the same, 2 populations, siblings", replace(mixed, shared_noise=0.3), 100, 16),
        Scene("6 blocks of 5 genes, 40 people", replace(near, shared_noise=0.3), 40, 6),
    ]


def studies(scene: Scene, trials: int, seed: int) -> Iterator[tuple[Array, Array, Array, _Clusters]]:
    """Yield for each trial the predictions of two models, what was observed, and what is drawn together.

    A model predicts with the true effects and errors that are as persistent: effects of its own, drawn anew.
    """
    rng = np.random.default_rng([seed, 1])
    settings = scene.settings
    people = make_people(settings)
    contigs = make_contigs(settings, people, rng)
    variants = gene_variants(contigs, settings.window)
    placed: list[Gene] = [gene for contig in contigs for gene in contig.genes]
    of_contig = np.array([int(gene.contig.removeprefix("sim")) for gene in placed])
    families = np.arange(len(people.names))
    families[np.array(people.siblings, dtype=np.int64) + 1] = people.siblings
    for _ in range(trials):
        chosen = rng.choice(np.unique(of_contig), scene.contigs, replace=False)
        rows = np.flatnonzero(np.isin(of_contig, chosen)).tolist()
        genes = [variants[g] for g in rows]
        taken = np.argsort(rng.random(len(families))[families], kind="stable")[: scene.people]
        drawn = draw_expression(genes, settings, rng, population=people.population)
        errors = [draw_expression(genes, settings, rng).cis for _ in range(2)]
        first, second = drawn.genetic + errors[0], drawn.genetic + 1.5 * errors[1]
        here = [placed[g] for g in rows]
        blocks = gene_blocks([g.contig for g in here], [g.tss for g in here], settings.window)
        clusters = _Clusters(blocks, families[taken])
        yield first[:, taken], second[:, taken], drawn.values[:, taken], clusters


class _Clusters(NamedTuple):
    blocks: NDArray[np.int64]
    families: NDArray[np.int64]


def correlations(scene: Scene, trials: int, seed: int) -> tuple[list[Covered], Array]:
    """Return how often the intervals of a mean r and of a difference held the truth; permuted mean r."""
    found: dict[str, list[Interval]] = {"mean r": [], "difference": []}
    permuted = []
    for trial, (first, second, observed, clusters) in enumerate(studies(scene, trials, seed)):
        draws = make_draws(clusters.blocks, clusters.families, draws=DRAWS, seed=trial)
        mask = np.ones(observed.shape, dtype=np.bool_)
        r = [gene_metrics(x, observed).pearson for x in (first, second)]
        drawn = [bootstrap_pearson(x, observed, mask, draws.individuals) for x in (first, second)]
        found["mean r"].append(mean_interval(r[0], drawn[0], draws))
        found["difference"].append(mean_interval(r[0] - r[1], drawn[0] - drawn[1], draws))
        if trial < PERMUTED_TRIALS:
            row = CellRow(RowKey("m", None, None), "m", (Replicate(-1, 0),), first[None], observed[None])
            permuted.append(permute_people(row, permutations=PERMUTATIONS, seed=trial).mean)
    return [covered(name, intervals) for name, intervals in found.items()], np.array(permuted)


def covered(name: str, intervals: Sequence[Interval]) -> Covered:
    """Compare intervals with the mean of their centres."""
    truth = float(np.mean([found.mean for found in intervals]))
    low, high = np.array([found.ci95 for found in intervals]).T
    errors = np.array([found.se for found in intervals])
    spread = float(np.std([found.mean for found in intervals]))
    return Covered(
        name,
        float(((low <= truth) & (truth <= high)).mean()),
        float((high < truth).mean()),
        float((low > truth).mean()),
        float(errors.mean()) / spread,
    )


class Estimated(NamedTuple):
    """h2 by REML over the trials."""

    h2: float
    mean: float
    share: float  # of intervals that held h2
    realised: float  # of intervals that held the share of the variance that was drawn
    width: float
    significant: float  # p < 0.05


def heritabilities(settings: Settings, trials: int, seed: int) -> list[Estimated]:
    """Estimate h2 of expression that was drawn with a known one, on the genotypes of some genes."""
    rng = np.random.default_rng([seed, 2])
    variants = gene_variants(make_contigs(settings, make_people(settings), rng), settings.window)
    found = []
    for h2 in H2:
        here = replace(settings, h2=h2)
        estimates, realised = [], []
        for gene in variants:
            values, vectors = relationship_eigen(_standardised(gene))
            for _ in range(-(-trials // len(variants))):
                drawn = draw_expression([gene], here, rng)
                target = drawn.genetic[0] + drawn.noise[0]
                realised.append(float(drawn.genetic[0].var() / target.var()))
                projected = project(values, vectors, target - target.mean())
                estimates.append(heritability(reml(projected), projected))
        held = [one.low <= h2 <= one.high for one in estimates]
        pairs = zip(estimates, realised, strict=True)
        found.append(
            Estimated(
                h2,
                float(np.mean([one.h2 for one in estimates])),
                float(np.mean(held)),
                float(np.mean([one.low <= share <= one.high for one, share in pairs])),
                float(np.mean([one.high - one.low for one in estimates])),
                float(np.mean([one.p < 0.05 for one in estimates])),
            )
        )
    return found


def _standardised(gene: GeneVariants) -> Array:
    z = gene.dosage.astype(np.float64)
    standardised: Array = (z - z.mean(axis=0)) / z.std(axis=0)
    return standardised


def main(trials: int) -> None:
    """Print the tables."""
    error = np.sqrt(0.95 * 0.05 / trials)
    print(f"{trials} trials; a share of 0.950 has a standard error of {error:.3f}\n")
    print(f"h2 by REML, {REML_PEOPLE} people, all variants causal (the model itself), and 3 of them")
    print(f"{'':<14}{'h2':>6}{'mean':>8}{'held':>8}{'realised':>10}{'width':>8}{'p<0.05':>8}")
    model = Settings(
        individuals=REML_PEOPLE, populations=1, genes=50, window=64_000, contigs=50, grammar_share=0.0
    )
    for name, causal in (("all causal", "all"), ("3 causal", 3)):
        settings = replace(model, causal=causal, rare_share="any", placement="uniform")
        for one in heritabilities(settings, trials, 0):
            numbers = f"{one.h2:>6.2f}{one.mean:>8.3f}{one.share:>8.3f}{one.realised:>10.3f}{one.width:>8.3f}"
            print(f"{name:<14}{numbers}{one.significant:>8.3f}", flush=True)
    print(f"\n95 % intervals of the evaluation, {DRAWS} draws; permuted: {PERMUTATIONS} permutations a trial")
    print(f"{'':<36}{'':<12}{'held':>7}{'below':>7}{'above':>7}{'SE/SD':>7}")
    for scene in scenes():
        rows, permuted = correlations(scene, trials, 0)
        for row in rows:
            numbers = f"{row.share:>7.3f}{row.below:>7.3f}{row.above:>7.3f}{row.ratio:>7.2f}"
            print(f"{scene.name:<36}{row.name:<12}{numbers}", flush=True)
        beyond = int((np.abs(permuted) > 0.005).sum())
        worst = f"largest |mean r| {np.abs(permuted).max():.4f}"
        print(f"{'':<36}{'permuted':<12}{worst}; beyond 0.005 in {beyond} of {len(permuted)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000)
    main(parser.parse_args().trials)

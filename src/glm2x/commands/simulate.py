"""`glm2x simulate`: a cohort whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glm2x.console import say

if TYPE_CHECKING:
    from glm2x.simulate.cohort import SimulatedCohort


def simulate(
    *,
    out: Path,
    individuals: int = 300,
    genes: int = 100,
    populations: int = 2,
    contigs: int = 1,
    window: int = 64_000,
    spacing: int | None = None,
    fst: float = 0.05,
    diversity: float = 8e-4,
    recombination: float = 5e-4,
    variant_kind: Literal["snp", "all"] = "snp",
    sibling_share: float = 0.0,
    h2: float = 0.3,
    causal: int | Literal["all"] = 3,
    placement: Literal["uniform", "near-tss"] = "near-tss",
    rare_share: float | Literal["any"] = 0.0,
    grammar_share: float = 0.2,
    covariates: int = 0,
    covariate_variance: float = 0.3,
    population_variance: float = 0.0,
    shared_noise: float = 0.0,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Simulate genotypes, a reference and expression, and write down what is true of them.

    The folder holds the input files of a cohort, the cohort built from them (cohort/), every effect
    (truth.parquet, truth.json), and the best possible predictions from DNA (oracle.parquet), for evaluate.

    Parameters
    ----------
    out
        The folder to write.
    individuals
        How many people.
    genes
        How many genes.
    populations
        How many populations they are of, of the same size.
    contigs
        How many contigs the genes are on.
    window
        Where causal variants and motifs of a gene lie, bp.
    spacing
        Between the TSSs of neighbours, bp; below the window, windows overlap (default: 1.25 windows).
    fst
        Between two populations.
    diversity
        4 N mu a base: how many bases of two haplotypes differ.
    recombination
        4 N r a base.
    variant_kind
        snp, or all for insertions and deletions too.
    sibling_share
        Of the people, those that come in pairs of siblings.
    h2
        Expected genetic share of the variance of genetics and noise.
    causal
        Causal variants a gene with a minor allele frequency of 1 % or more, or all of them.
    placement
        Causal variants near-tss, (1 + distance / 5 kb)^-2 times as probable, or uniform in the window.
    rare_share
        Share of the causal variants' variance that rare ones have, as many more a gene; or any, for causal
        variants drawn whatever their frequency.
    grammar_share
        Share of h2 that comes from motifs with the same effect in every gene.
    covariates
        How many covariates move expression.
    covariate_variance
        What they add to the variance together.
    population_variance
        What differences between populations that are not genetic add to the variance.
    shared_noise
        Share of the noise that all genes of a person have in common.
    seed
        The same seed gives the same files.
    force
        Replace what is there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.commands.recorded import of_cohort
    from glm2x.provenance import artefact, record
    from glm2x.simulate.run import write_simulation
    from glm2x.simulate.settings import Settings

    settings = Settings(
        individuals=individuals,
        genes=genes,
        populations=populations,
        contigs=contigs,
        window=window,
        spacing=spacing,
        fst=fst,
        diversity=diversity,
        recombination=recombination,
        variant_kind=variant_kind,
        sibling_share=sibling_share,
        h2=h2,
        causal=causal,
        placement=placement,
        rare_share=rare_share,
        grammar_share=grammar_share,
        covariates=covariates,
        covariate_variance=covariate_variance,
        population_variance=population_variance,
        shared_noise=shared_noise,
        seed=seed,
    )
    simulated = write_simulation(settings, out, force=force)
    cohort = out / "cohort"
    outputs = [of_cohort(Cohort.open(cohort), cohort), artefact("predictions", out / "oracle.parquet")]
    record(out, outputs=outputs)
    _describe(simulated)
    say(f"written to {out}")


def _describe(simulated: SimulatedCohort) -> None:
    """Say what was drawn, and where fewer variants were causal than asked for."""
    settings, drawn = simulated.settings, simulated.expression
    variants = sum(len(contig.position) for contig in simulated.contigs)
    say(
        f"simulated: {len(simulated.genes)} genes, {len(simulated.people.names)} individuals, "
        f"{variants:,} variants"
    )
    genetic, noise = drawn.genetic.var(axis=1), drawn.noise.var(axis=1)
    shares = genetic / (genetic + noise)
    say(f"  realised h2: mean {shares.mean():.3f}, from {shares.min():.3f} to {shares.max():.3f}")
    if settings.causal != "all":
        asked = settings.causal * (2 if settings.rare_share not in ("any", 0.0, 1.0) else 1)
        fewer = [e for e in drawn.effects if len(e.columns) < asked]
        if fewer and settings.h2 * (1 - settings.grammar_share) > 0:
            say(f"  fewer than {asked} variants to be causal: {len(fewer)} genes")

"""The truth beside a simulated cohort: every effect, every gene's shares, and what an oracle predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.cohort.cohort import Cohort
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix
from glm2x.simulate.cohort import SimulatedCohort
from glm2x.simulate.grammar import DECAY
from glm2x.simulate.settings import RARE

ORACLE = "truth"
GRAMMAR_ORACLE = "truth-grammar"
FORMAT_VERSION = 1


def describe(cohort: SimulatedCohort) -> dict[str, Any]:
    """Return what truth.json holds; variances are over the individuals that were drawn.

    Of each gene: its `base`, the variances of the parts of its expression, how many variants are causal,
    `h2` (genetic, of genetic + noise) and `h2_expression` (genetic, of all parts): shares of the sum of
    these variances.
    """
    drawn = cohort.expression
    genes = []
    covariates = drawn.covariate_effects @ drawn.covariates
    rows = zip(cohort.genes, drawn.effects, strict=True)
    for g, (gene, effects) in enumerate(rows):
        genetic = drawn.genetic[g]
        genes.append(
            {
                "gene": gene.gene,
                "contig": gene.contig,
                "tss": gene.tss,
                "strand": gene.strand,
                "base": float(drawn.base[g]),
                "causal": len(effects.columns),
                "causal_rare": int(effects.rare.sum()),
                "variance_genetic": float(genetic.var()),
                "variance_cis": float(drawn.cis[g].var()),
                "variance_grammar": float(drawn.grammar[g].var()),
                "variance_covariates": float(covariates[g].var()),
                "variance_population": float(drawn.population[g].var()),
                "variance_noise": float(drawn.noise[g].var()),
                "h2": _share(genetic, drawn.noise[g]),
                "h2_expression": _share(genetic, drawn.noise[g], covariates[g], drawn.population[g]),
                "covariate_effects": drawn.covariate_effects[g].tolist(),
            }
        )
    weights = dict(zip(cohort.grammar.motifs, cohort.grammar.weights.tolist(), strict=True))
    return {
        "format_version": FORMAT_VERSION,
        "glm2x_version": __version__,
        "settings": cohort.settings.as_json(),
        "rare": RARE,
        "grammar": {"weights": weights, "decay": DECAY},
        "genes": genes,
    }


def effects_table(cohort: SimulatedCohort) -> pl.DataFrame:
    """Return every effect of an alternative allele: one row a gene, variant and part that is not 0.

    `part` is ``cis``, or ``grammar`` for what the variant does alone on the reference; neighbours that
    stand in one motif do not add up. `position` is 0-based, `distance` is position - TSS, and `frequency`
    is that of ALT among the individuals.
    """
    frames = []
    placed = [(contig, gene) for contig in cohort.contigs for gene in contig.genes]
    parts = zip(placed, cohort.expression.effects, cohort.grammar_of_genes, strict=True)
    for (contig, gene), cis, grammar in parts:
        columns = contig.window(gene, cohort.settings.window)
        changed = np.flatnonzero(grammar.effects)
        for part, chosen, effect in (
            ("cis", cis.columns, cis.effect),
            ("grammar", changed, grammar.effects[changed]),
        ):
            rows = columns.start + chosen
            frames.append(
                pl.DataFrame(
                    {
                        "gene": [gene.gene] * len(rows),
                        "contig": [contig.name] * len(rows),
                        "position": contig.position[rows],
                        "ref": [contig.ref[i] for i in rows.tolist()],
                        "alt": [contig.alt[i] for i in rows.tolist()],
                        "distance": contig.position[rows] - gene.tss,
                        "frequency": contig.haplotypes[rows].mean(axis=1),
                        "part": [part] * len(rows),
                        "effect": effect,
                    },
                    schema_overrides=dict.fromkeys(("gene", "contig", "ref", "alt", "part"), pl.String),
                )
            )
    return pl.concat(frames)


def oracle(simulated: SimulatedCohort, cohort: Cohort) -> Predictions:
    """Return what the best predictors from DNA say of everybody, as a table that `glm2x evaluate` reads.

    ``truth`` is a gene's base and the genetic value. ``truth-grammar`` leaves the causal variants out: the
    most that can be learnt from other genes.

    Parameters
    ----------
    cohort
        The same one, built: its expression is what was observed.
    """
    drawn = simulated.expression
    base = drawn.base[:, None]
    rows = {ORACLE: base + drawn.genetic}
    if drawn.grammar.any():
        rows[GRAMMAR_ORACLE] = base + drawn.grammar
    frames = [
        from_matrix(
            model=model,
            genes=cohort.gene_ids,
            individuals=cohort.individuals,
            predicted=predicted,
            observed=cohort.expression,
            gene_split=lambda _: None,
            individual_split=lambda _: None,
            seed=0,
        )
        for model, predicted in rows.items()
    ]
    metadata = PredictionMetadata("log", simulated.settings.window, cohort.digest, None, __version__)
    return Predictions(pl.concat(frames), metadata)


def _share(part: NDArray[np.float64], *others: NDArray[np.float64]) -> float:
    """Return a part's variance, of the sum of all parts'; what they happen to covary would go beyond 1."""
    return float(part.var() / (part.var() + sum(other.var() for other in others)))

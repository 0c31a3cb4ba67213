"""A simulated cohort in memory: people, contigs, grammar and expression, by one seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from glm2x.genome.genes import Gene
from glm2x.simulate.expression import Array, Expression, GeneVariants, draw_expression
from glm2x.simulate.genotypes import Contig, make_contigs
from glm2x.simulate.grammar import Grammar, GrammarOfGene, apply_grammar, no_grammar
from glm2x.simulate.people import People, make_people
from glm2x.simulate.settings import Settings


@dataclass(frozen=True)
class SimulatedCohort:
    """All that is known of a simulated cohort.

    Attributes
    ----------
    grammar
        Weights in the scale of expression; 0 where the grammar has no share.
    grammar_of_genes
        What the grammar makes of each gene, with those weights.
    expression
        Rows as `genes`, columns as the names of `people`. The base of a gene holds what the grammar
        makes of two reference haplotypes.
    """

    settings: Settings
    people: People
    contigs: tuple[Contig, ...]
    grammar: Grammar
    grammar_of_genes: tuple[GrammarOfGene, ...]
    expression: Expression

    @property
    def genes(self) -> tuple[Gene, ...]:
        """All genes, contig by contig."""
        return tuple(gene for contig in self.contigs for gene in contig.genes)


def simulate(settings: Settings) -> SimulatedCohort:
    """Draw a cohort. Genotypes, grammar and expression have random numbers of their own."""
    genotypes, words, values = (np.random.default_rng([settings.seed, part]) for part in range(3))
    people = make_people(settings)
    contigs = make_contigs(settings, people, genotypes)
    placed = [(contig, gene) for contig in contigs for gene in contig.genes]
    grammar = Grammar.draw(words)
    if settings.h2 * settings.grammar_share:
        raw = [apply_grammar(grammar, contig, gene, settings.window) for contig, gene in placed]
    else:
        raw = [no_grammar(contig, gene, settings.window) for contig, gene in placed]
    factor = _factor(raw, settings)
    of_genes = tuple(
        GrammarOfGene(one.reference * factor, one.haplotypes * factor, one.effects * factor) for one in raw
    )
    expression = draw_expression(
        gene_variants(contigs, settings.window),
        settings,
        values,
        population=people.population,
        grammar=_of_people(of_genes),
    )
    # the reference's motifs are in every gene's mean, where a model of sequences can learn them too
    expression.base[:] += 2 * np.array([one.reference for one in of_genes])
    return SimulatedCohort(settings, people, tuple(contigs), grammar.times(factor), of_genes, expression)


def gene_variants(contigs: Iterable[Contig], window: int) -> list[GeneVariants]:
    """Return the variants of each gene's window, contig by contig."""
    variants = []
    for contig in contigs:
        for gene in contig.genes:
            columns = contig.window(gene, window)
            variants.append(GeneVariants(contig.dosage(columns), contig.position[columns] - gene.tss))
    return variants


def _of_people(of_genes: tuple[GrammarOfGene, ...] | list[GrammarOfGene]) -> Array:
    haplotypes = np.array([one.haplotypes for one in of_genes])
    people: Array = haplotypes[:, ::2] + haplotypes[:, 1::2]
    return people


def _factor(raw: list[GrammarOfGene], settings: Settings) -> float:
    """Return what brings the variance of the grammar, on average over genes, to its share."""
    variance = float(_of_people(raw).var(axis=1).mean())
    return float(np.sqrt(settings.h2 * settings.grammar_share / variance)) if variance else 0.0

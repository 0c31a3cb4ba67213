"""Whether expression follows genotype: the order of people, by the cis signal that the cohort holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.target import log_expression
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.metrics import Array, pieces

GENES = 2_000
"""Genes that are looked at, at most, evenly spaced."""

GENES_ELSEWHERE = 500
"""The same, of each other order of people."""

MIN_PEOPLE = 40
MIN_GENES = 10
"""With a cis signal in fewer genes nothing is said of orders."""

GENES_FOR_PERSONS = 100
"""With a cis signal in fewer genes nothing is said of single people."""

FOLLOWS = 4.0
ELSEWHERE = 8.0
_PERSON_ALPHA = 0.01


def expression_follows_genotypes(cohort: Cohort | None, window: int) -> Check:
    """Compare each person's expression with everybody's genotype.

    In each half of the people the variant with the smallest p of each gene's window is found, and kept
    where p < 0.05 over the window's variants (Bonferroni); in the other half the score of person i's
    expression with person j's genotype is the sum over genes of effect x genotype x expression, all
    standardised. As z among one person's scores, those with the own genotype should be high: their mean,
    in its standard errors, says whether expression follows genotype. Where it does not, everything is done
    again with people in other usual orders (moved by one, turned round, sorted by name), and the check fails
    when one of them has what is missing; so it does where single people fit another one's genotype
    (Bonferroni over pairs) and not their own. Test people's expression is used, for this and nothing else.
    """
    name = "expression_follows_genotypes"
    if cohort is None:
        return not_run(name, "--cohort", leak=True)
    people = np.flatnonzero(np.isfinite(log_expression(cohort)).any(axis=0))
    if len(people) < MIN_PEOPLE:
        return not_run(name, f"{MIN_PEOPLE} people with expression", leak=True)
    z, own, signals = _followed(cohort, people, people, window, GENES)
    names = [cohort.individuals[i] for i in people]
    said = f"{signals} genes with a cis signal, {len(people)} people: "
    if signals >= MIN_GENES and own >= FOLLOWS:
        wrong = _persons(z, names) if signals >= GENES_FOR_PERSONS else []
        if wrong:
            detail = f"{said}{len(wrong)} people's expression fits another one's genotype: {some(wrong)}"
            return Check(name, "fail", detail, True)
        detail = f"{said}expression follows the own genotype ({own:.0f} standard errors)"
        return Check(name, "pass", detail, True)
    for order, at in _orders(names):
        _, there, found = _followed(cohort, people, people[at], window, GENES_ELSEWHERE)
        if found >= MIN_GENES and there >= ELSEWHERE:
            detail = (
                f"{said}expression does not follow the own genotype, and does with people {order} "
                f"({found} genes with a cis signal, {there:.0f} standard errors)"
            )
            return Check(name, "fail", detail, True)
    if signals < MIN_GENES:
        return Check(name, "not run", f"{said}too few to judge the order of people", True)
    detail = (
        f"{said}expression does not follow the own genotype ({own:.1f} standard errors, wanted {FOLLOWS:g})"
    )
    return Check(name, "warn", detail, True)


def _followed(
    cohort: Cohort, people: NDArray[np.int64], genotyped: NDArray[np.int64], window: int, genes: int
) -> tuple[Array, float, int]:
    """Return z of expression (rows) with genotype (columns), the own ones' mean in errors, and signals.

    `genotyped` are the people whose genotypes are taken for those of `people`.
    """
    scores, signals = _scores(cohort, people, genotyped, window, genes)
    _standardise(scores)
    return scores, float(np.diag(scores).mean() * np.sqrt(len(people))), signals


def _scores(
    cohort: Cohort, people: NDArray[np.int64], genotyped: NDArray[np.int64], window: int, genes: int
) -> tuple[Array, int]:
    """Return the scores of expression (rows) with genotype (columns), and how many signals they sum."""
    expression = log_expression(cohort)
    halves = np.arange(len(people)) % 2 == 0
    total = np.zeros((len(people), len(people)))
    contigs = set(cohort.manifest["counts"]["columns"])
    rows = [row for row, gene in enumerate(cohort.genes) if gene.contig in contigs]
    signals = 0
    for at in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), genes)).astype(np.int64)):
        values = expression[rows[at], people]
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            continue
        dosage = cohort.dosages(cohort.gene_ids[rows[at]], window).dosage[genotyped].astype(np.float64)
        cohort.give_back()
        y = _normal_scores(values)
        for half in (halves, ~halves):
            found = _top(dosage[half], y[half])
            if found is not None:
                variant, r = found
                g = dosage[:, variant] - dosage[half, variant].mean()
                effect = r * g / dosage[half, variant].std()
                judged = np.flatnonzero(~half)
                for part in pieces(len(judged), len(people)):
                    total[judged[part]] += np.outer(y[judged[part]], effect)
                signals += 1
    return total, signals // 2


def _top(dosage: Array, y: Array) -> tuple[int, float] | None:
    """Return the variant with the largest correlation, and it; None where p x variants is 0.05 or more."""
    x = dosage - dosage.mean(axis=0)
    spread = np.sqrt((x * x).sum(axis=0))
    varies = spread > 0
    centred = y - y.mean()
    r = np.divide(x.T @ centred, spread * np.sqrt(centred @ centred), out=np.zeros(len(spread)), where=varies)
    if not varies.any():
        return None
    best = int(np.abs(r).argmax())
    degrees = len(y) - 2
    t = abs(r[best]) * np.sqrt(degrees / max(1 - r[best] ** 2, 1e-12))
    return (best, float(r[best])) if 2 * stats.t.sf(t, degrees) * varies.sum() < 0.05 else None


def _normal_scores(values: Array) -> Array:
    """Return the quantiles of the normal distribution at the ranks: one odd measurement counts no more."""
    ranks = stats.rankdata(values)
    return np.asarray(stats.norm.ppf((ranks - 0.5) / len(values)))


def _standardise(scores: Array) -> None:
    """Make each row z among its entries that are not the own one, in place: there are people squared."""
    for rows in pieces(len(scores), len(scores)):
        part = scores[rows]
        own = np.arange(len(scores))[rows, None] == np.arange(len(scores))
        others = np.where(own, np.nan, part)
        mean, sd = np.nanmean(others, axis=1, keepdims=True), np.nanstd(others, axis=1, keepdims=True)
        scores[rows] = np.divide(part - mean, sd, out=np.zeros_like(part), where=sd > 0)


def _orders(names: list[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Give the ways in which people usually come to stand in another order."""
    people = np.arange(len(names))
    for step in (1, -1):
        yield f"moved by {step}", np.roll(people, step)
    yield "turned round", people[::-1]
    by_name = np.array(sorted(people, key=lambda i: names[i]))
    yield "sorted by name", by_name
    yield "no longer sorted by name", np.argsort(by_name)


def _persons(z: Array, names: list[str]) -> list[str]:
    """Return the people whose expression fits another one's genotype and not their own."""
    threshold = float(stats.norm.isf(_PERSON_ALPHA / z.size))
    best = z.argmax(axis=1)
    wrong = (z[np.arange(len(z)), best] > threshold) & (np.diag(z) < 2)
    return [f"{names[i]} as {names[best[i]]}" for i in np.flatnonzero(wrong)]

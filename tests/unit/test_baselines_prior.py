"""The prior on variants: its likelihood against a dense one, what it learns, and from whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from glm2x.baselines import gather
from glm2x.baselines.data import GeneData
from glm2x.baselines.identity import smallest
from glm2x.baselines.prior import (
    DISTANCES,
    SCORE,
    Evidence,
    Prior,
    PriorGene,
    covariates_of,
    evidence,
    learn_prior,
)
from glm2x.baselines.run import run_baselines
from glm2x.baselines.scores import MatchedScores, read_scores
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.errors import DataError
from glm2x.reml import GRID


def simulated(seed: int, effect_of: NDArray[np.float64], covariates: NDArray[np.float64]) -> PriorGene:
    """Eighty people whose target has effects with these standard deviations, and as much noise."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.4, size=(80, len(effect_of))).astype(float)
    genetic = (dosage - dosage.mean(axis=0)) @ (effect_of * rng.normal(size=len(effect_of)))
    target = genetic / genetic.std() + rng.normal(size=80)
    return PriorGene(GeneData("G", dosage, target, dosage[:0]), covariates)


def serially(tasks: Iterable[PriorGene], coefficients: NDArray[np.float64]) -> Iterator[Evidence]:
    return (evidence(task, coefficients) for task in tasks)


def dense_gain(gene: PriorGene, coefficients: NDArray[np.float64]) -> float:
    """Return the restricted log-likelihood over that of h2 = 0, textbook form, at the best h2 of a grid."""
    dosage, target = gene.data.dosage_fit, gene.data.target_fit
    weight = np.exp(gene.covariates @ coefficients)
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    kernel = (z * (weight / weight.sum())) @ z.T
    n = len(target)

    def likelihood(h2: float) -> float:
        covariance = h2 * kernel + (1 - h2) * np.eye(n)
        inverse = np.linalg.inv(covariance)
        ones = inverse.sum(axis=1)
        projection = inverse - np.outer(ones, ones) / ones.sum()
        determinant = np.linalg.slogdet(covariance)[1] + np.log(ones.sum())
        return float(-0.5 * (determinant + (n - 1) * np.log(target @ projection @ target)))

    return max(map(likelihood, GRID)) - likelihood(0.0)


def test_covariates_by_hand() -> None:
    made = covariates_of(np.array([0, -1000, 99_000]), None)
    assert np.exp(made) == pytest.approx(np.array([[1, 1], [2, 1.01], [100, 1.99]]))
    assert covariates_of(np.array([5]), np.array([0.25])).shape == (1, 3)


def test_evidence_is_the_dense_likelihood_and_its_slope() -> None:
    rng = np.random.default_rng(7)
    covariates = rng.normal(size=(12, 2))
    gene = simulated(7, np.ones(12), covariates)
    theta = np.array([0.3, -0.4])
    made = evidence(gene, theta)
    assert made.gain == pytest.approx(dense_gain(gene, theta), abs=0.01)  # h2 is on a grid there
    assert made.gain > 1
    for k in range(2):
        step = np.eye(2)[k] * 1e-4
        slope = (evidence(gene, theta + step).gain - evidence(gene, theta - step).gain) / 2e-4
        assert made.gradient[k] == pytest.approx(slope, abs=2e-3)


def test_a_gene_without_heritability_says_nothing() -> None:
    dosage = np.array([[0.0], [0], [2], [2], [1], [1]])
    gene = PriorGene(GeneData("G", dosage, np.array([1.0, 3, 1, 3, 1, 3]), dosage[:0]), np.ones((1, 2)))
    made = evidence(gene, np.zeros(2))
    assert (made.gain, made.gradient.tolist()) == (0, [0, 0])
    constant = PriorGene(replace(gene.data, target_fit=np.ones(6)), gene.covariates)
    assert evidence(constant, np.zeros(2)).gain == 0


def test_the_prior_finds_what_effects_depend_on() -> None:
    # Effects depend on the distance (standard deviation 1 at the TSS, 1/15 at 3 knots) and on the score.
    rng = np.random.default_rng(0)
    genes = []
    for seed in range(60):
        distance, score = rng.integers(-50_000, 50_000, size=40), rng.exponential(size=40)
        covariates = covariates_of(distance, score)
        genes.append(simulated(seed, np.exp(0.5 * covariates @ np.array([-1.5, 0.0, 1.0])), covariates))
    found = learn_prior(lambda: genes, len(genes), (*DISTANCES, SCORE), serially)
    assert found.genes == 60
    assert found.coefficients[0] == pytest.approx(-1.5, abs=0.5)
    assert found.coefficients[2] == pytest.approx(1.0, abs=0.4)
    best = sum(one.gain for one in serially(genes, np.array(found.coefficients)))
    for near in ((-0.3, 0, 0), (0.3, 0, 0), (0, 0, 0.3), (0, 0, -0.3)):
        theta = np.array(found.coefficients) + np.array(near)
        assert sum(one.gain for one in serially(genes, theta)) < best


def test_without_evidence_the_prior_stays_finite() -> None:
    dosage = np.array([[0.0], [1], [2]])
    gene = PriorGene(GeneData("G", dosage, np.ones(3), dosage[:0]), covariates_of(np.array([10]), None))
    found = learn_prior(lambda: [gene], 1, DISTANCES, serially)
    assert np.abs(found.coefficients).max() < 1e-3  # its own prior's mean


def test_a_prior_in_words_and_never_zero() -> None:
    prior = Prior(DISTANCES, (-1.0, 0.0), 3)
    assert str(prior) == (
        "the prior variance of an effect 1, 10 and 100 kb from the TSS is 0.5, 0.091, 0.0099 of that at the "
        "TSS (learnt from 3 genes)"
    )
    assert "ten times fewer variants with so high a score: times 2.7" in str(
        Prior((*DISTANCES, SCORE), (-1.0, 0.0, 1.0), 3)
    )
    assert Prior(("x",), (1000.0,), 1).variances(np.array([[0.0], [1.0]])).tolist() == [np.exp(-50.0), 1]


def test_no_test_persons_expression_enters(demo_cohort: Cohort, demo_split: Split) -> None:
    models = ["informed-ridge", "informed-gblup", "ridge", "gblup"]
    demo_split = replace(demo_split, seen=demo_split.seen[:6])
    target = make_target(demo_cohort, demo_split, "log")
    changed = target.values.copy()
    changed[:, demo_cohort.individual_index(demo_split.test)] *= -3
    before, after = (
        run_baselines(
            demo_cohort, demo_split, replace(target, values=values), models, prior_window=40_000, jobs=1
        )
        for values in (target.values, changed)
    )
    assert before.prior == after.prior
    columns = ("model", "gene", "individual", "predicted")
    assert before.predictions.frame.select(columns).equals(after.predictions.frame.select(columns))
    changed[:, demo_cohort.individual_index(demo_split.validation)] *= 2
    other = run_baselines(
        demo_cohort, demo_split, replace(target, values=changed), models[:1], prior_window=40_000, jobs=1
    )
    assert other.prior != before.prior


def scores_of(cohort: Cohort, genes: list[str], window: int = 400_000) -> pl.DataFrame:
    """A row for each variant of these genes' windows, as a user would write it."""
    parts = []
    for gene in genes:
        dosages, contig = cohort.dosages(gene, window), cohort.gene(gene).contig
        columns = range(len(dosages.position))
        parts.append(
            pl.DataFrame(
                {
                    "contig": [f"chr{contig}" for _ in columns],
                    "position": dosages.position + 1,
                    "ref": [dosages.ref.text(j) for j in columns],
                    "alt": [dosages.alt.text(j) for j in columns],
                    "score": np.linspace(0, 1, len(columns)),
                }
            )
        )
    return pl.concat(parts).unique(["contig", "position", "ref", "alt"], maintain_order=True)


@pytest.mark.parametrize("ending", ["tsv", "csv", "parquet"])
def test_scores_are_matched_by_place_and_alleles(
    demo_cohort: Cohort, demo_split: Split, tmp_path: Path, ending: str
) -> None:
    gene = demo_split.seen[0]
    table = scores_of(demo_cohort, [gene], 20_000).head(8)
    table = table.with_columns(
        pl.when(pl.int_range(8) < 2).then(pl.lit("<DEL>")).otherwise("alt").alias("alt")  # two are of nothing
    )
    path = tmp_path / f"scores.{ending}"
    if ending == "parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if ending == "tsv" else ",")
    matched = MatchedScores(read_scores(path), demo_cohort, demo_split.seen)
    assert (matched.rows, matched.unmatched) == (8, 2)
    covariate, scored = matched.covariate(demo_cohort.gene(gene), 20_000)
    assert scored == 6
    # six scores, rising: shares at least as high of 6/6, 5/6, ... 1/6
    expected = -np.log10(np.arange(6, 0, -1) / 6)
    assert covariate[2:8] == pytest.approx(expected - expected.mean())
    assert not covariate[:2].any()
    assert not covariate[8:].any()


def test_scores_of_one_gene_are_its_own(demo_cohort: Cohort, demo_split: Split, tmp_path: Path) -> None:
    one, other = demo_split.seen[:2]
    table = scores_of(demo_cohort, [one], 20_000).head(5).with_columns(pl.lit(one).alias("gene"))
    extra = table.with_columns(pl.lit("ENSG00000999999").alias("gene"))
    pl.concat([table, extra]).write_csv(tmp_path / "scores.csv")
    matched = MatchedScores(read_scores(tmp_path / "scores.csv"), demo_cohort, demo_split.seen)
    assert (matched.rows, matched.unmatched) == (10, 5)
    assert matched.covariate(demo_cohort.gene(one), 20_000)[1] == 5
    assert matched.covariate(demo_cohort.gene(other), 1_000_000)[1] == 0


def test_a_run_with_scores_says_what_matched(demo_cohort: Cohort, demo_split: Split, tmp_path: Path) -> None:
    scores_of(demo_cohort, list(demo_split.seen[:3])).write_csv(tmp_path / "scores.csv")
    said: list[str] = []
    made = run_baselines(
        demo_cohort,
        replace(demo_split, seen=demo_split.seen[:6]),
        make_target(demo_cohort, demo_split, "log"),
        ["informed-gblup"],
        prior_window=40_000,
        scores=read_scores(tmp_path / "scores.csv"),
        jobs=1,
        say=said.append,
    )
    assert made.prior is not None
    assert made.prior.names == (*DISTANCES, SCORE)
    assert made.prior.coefficients[2] != 0
    assert said[0].startswith("variant scores: 0 of ")
    assert " variants in the windows of the genes have one; the others are taken for average" in said[1]
    assert said[2].startswith("informed models: the prior variance of an effect 1, 10 and 100 kb")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": "x"}, "holds no variant with a finite score"),
        ({"position": "0"}, "holds no variant with a finite score"),
        ({"score": "inf"}, "holds no variant with a finite score"),
        ({"score": ""}, "holds no variant with a finite score"),
        ({"alt": ""}, "holds no variant with a finite score"),
        ({"position": "7"}, "is of a variant that stands twice"),
        ({"score": None}, "has no column score"),
    ],
)
def test_scores_that_are_none(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = [
        {"contig": "22", "position": "7", "ref": "A", "alt": "C", "score": "1"},
        {"contig": "22", "position": "9", "ref": "A", "alt": "C", "score": "2"} | change,
    ]
    names = [name for name in rows[0] if change.get(name, "") is not None]
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_scores(tmp_path / "scores.csv")
    assert "1-based, as in a VCF" in caught.value.wanted


def test_a_damaged_parquet_of_scores(tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_scores(tmp_path / "scores.parquet")


def test_scores_of_another_build_are_refused(demo_cohort: Cohort, demo_split: Split, tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_text("chrom\tpos\tref\talt\tscore\n22\t17\tA\tC\t1\n")
    with pytest.raises(
        DataError, match="no row of the table of variant scores is of a variant of the cohort"
    ):
        MatchedScores(read_scores(tmp_path / "scores.tsv"), demo_cohort, demo_split.seen)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((7, "A", "C"), (7, "A", "C")),
        ((7, "AC", "GC"), (7, "A", "G")),
        ((1, "AACC", "AATCC"), (2, "A", "AT")),  # 0-based: the form of a cohort
        ((4, "AG", "G"), (4, "AG", "G")),  # nothing before it: the base behind
    ],
)
def test_alleles_in_their_smallest_form(given: tuple[int, str, str], expected: tuple[int, str, str]) -> None:
    frame = pl.DataFrame([given], schema=["position", "ref", "alt"], orient="row")
    assert smallest(frame).row(0) == expected


def test_genes_that_do_not_fit_into_memory_are_read_again(
    demo_cohort: Cohort, demo_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target(demo_cohort, demo_split, "log")
    few = replace(demo_split, seen=demo_split.seen[:5])
    reads: list[str] = []
    dosages = demo_cohort.dosages
    monkeypatch.setattr(
        demo_cohort, "dosages", lambda gene, window: reads.append(gene) or dosages(gene, window)
    )
    priors = []
    for room in (gather.KEPT_BYTES, 1):
        reads.clear()
        monkeypatch.setattr(gather, "KEPT_BYTES", room)
        made = run_baselines(demo_cohort, few, target, ["informed-gblup"], prior_window=40_000, jobs=1)
        priors.append(made.prior)
        assert reads.count(few.seen[0]) == 2  # for the prior, and for the model
        assert (reads.count(few.seen[4]) > 3) is (room == 1)
    assert priors[0] == priors[1]

"""`glm2x simulate`: the folder, what other verbs make of it, and the truth in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.predictions import read_predictions
from glm2x.simulate.grammar import DECAY, MOTIF_LENGTH, Grammar, score
from glm2x.simulate.run import write_simulation
from glm2x.simulate.settings import Settings

SIZE = ("--individuals", 90, "--genes", 10, "--window", 16_000, "--seed", 3)
WINDOW = 16_000


def _run(*words: object) -> int:
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "study"
    more = ("--covariates", 2, "--contigs", 2, "--rare-share", 0.2, "--grammar-share", 0.5, "--h2", 0.6)
    assert _run("simulate", "--out", out, *SIZE, *more) == 0
    return out


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "made.json")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_folder_holds_the_inputs_the_cohort_and_the_truth(simulated: Path) -> None:
    assert {path.name for path in simulated.iterdir()} == {
        *("genotypes.vcf.gz", "genotypes.vcf.gz.tbi", "expression.bed.gz", "expression.bed.gz.tbi"),
        *("reference.fa.gz", "reference.fa.gz.fai", "reference.fa.gz.gzi", "individuals.tsv"),
        *("covariates.txt", "cohort", "truth.json", "truth.parquet", "oracle.parquet", "made.json"),
    }
    cohort = Cohort.open(simulated / "cohort")
    cohort.verify()
    assert len(cohort.genes) == 10
    assert len(cohort.individuals) == 90
    assert cohort.expression_scale == "log2"
    assert cohort.covariate_names == ("batch_1", "batch_2")
    assert set(cohort.people["population"]) == {"POP1", "POP2"}
    assert cohort.people["family"].n_unique() == 90
    assert set(cohort.manifest["counts"]["records"]) == {"applied"}  # nothing is skipped


def test_the_inputs_build_the_same_cohort(simulated: Path, tmp_path: Path) -> None:
    words = ("--variants", simulated / "genotypes.vcf.gz", "--expression", simulated / "expression.bed.gz")
    words = (*words, "--reference", simulated / "reference.fa.gz", "--expression-scale", "log2")
    words = (*words, "--individuals", simulated / "individuals.tsv")
    words = (*words, "--covariates", simulated / "covariates.txt")
    assert _run("cohort", "build", *words, "--out", tmp_path / "cohort") == 0
    assert _sums(tmp_path / "cohort") == _sums(simulated / "cohort")


@pytest.mark.parametrize("kind", ["snp", "all"])
def test_the_same_seed_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    words = ("--individuals", 20, "--genes", 3, "--window", 4_000, "--variant-kind", kind)
    more = ("--sibling-share", 0.5, "--population-variance", 0.1, "--shared-noise", 0.2, "--causal", "all")
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        assert _run("simulate", "--out", tmp_path / name, *words, *more, "--seed", seed) == 0
    assert _sums(tmp_path / "one") == _sums(tmp_path / "same")
    one, other = _sums(tmp_path / "one"), _sums(tmp_path / "other")
    for name in (
        "genotypes.vcf.gz",
        "reference.fa.gz",
        "expression.bed.gz",
        "truth.parquet",
        "oracle.parquet",
    ):
        assert one[name] != other[name]
    kinds = Cohort.open(tmp_path / "one/cohort").manifest["counts"]["kinds"]
    assert (kinds["indel"] > 0) == (kind == "all")


def test_the_cohort_is_what_its_variants_and_the_truth_say(simulated: Path) -> None:
    cohort = Cohort.open(simulated / "cohort")
    effects = pl.read_parquet(simulated / "truth.parquet")
    truth = json.loads((simulated / "truth.json").read_text())
    oracle = read_predictions(simulated / "oracle.parquet").frame
    assert set(effects["part"]) == {"cis", "grammar"}
    for told in truth["genes"]:
        gene = told["gene"]
        dosages = cohort.dosages(gene, WINDOW)
        place = {int(position): j for j, position in enumerate(dosages.position)}
        cis = effects.filter((pl.col("gene") == gene) & (pl.col("part") == "cis"))
        assert len(cis) == told["causal"]
        value = np.zeros(90)
        for row in cis.iter_rows(named=True):
            column = place[row["position"]]
            assert (dosages.ref.text(column), dosages.alt.text(column)) == (row["ref"], row["alt"])
            assert dosages.distance[column] == row["distance"]
            assert dosages.dosage[:, column].mean() / 2 == pytest.approx(row["frequency"])
            value += dosages.dosage[:, column] * row["effect"]
        assert value.var() == pytest.approx(told["variance_cis"], rel=1e-4)

        def predicted(model: str, gene: str = gene) -> np.ndarray:
            rows = oracle.filter((pl.col("gene") == gene) & (pl.col("model") == model))
            assert rows["individual"].to_list() == list(cohort.individuals)
            return rows["predicted"].to_numpy()

        np.testing.assert_allclose(predicted("truth") - predicted("truth-grammar"), value, atol=1e-4)


def test_the_cohort_holds_what_was_drawn(tmp_path: Path) -> None:
    settings = Settings(individuals=13, genes=3, window=4_000, variant_kind="all", covariates=1)
    drawn = write_simulation(settings, tmp_path / "study")
    cohort = Cohort.open(tmp_path / "study/cohort")
    (contig,) = drawn.contigs
    variants = cohort.variants(contig.name)
    assert (variants.position == contig.position).all()
    assert tuple(variants.ref.text(j) for j in range(len(contig.ref))) == contig.ref
    assert tuple(variants.alt.text(j) for j in range(len(contig.alt))) == contig.alt
    assert (np.unpackbits(variants.bits, axis=1, count=26) == contig.haplotypes).all()
    assert (cohort.reference(contig.name) == contig.codes).all()
    assert cohort.genes == contig.genes
    assert (cohort.expression == drawn.expression.values).all()
    assert (cohort.covariates == drawn.expression.covariates).all()


def test_the_grammar_is_in_the_sequences_of_the_cohort(simulated: Path) -> None:
    """Every haplotype's whole window, scanned for the motifs of truth.json, gives the grammar's oracle."""
    cohort = Cohort.open(simulated / "cohort")
    truth = json.loads((simulated / "truth.json").read_text())
    oracle = read_predictions(simulated / "oracle.parquet").frame.filter(pl.col("model") == "truth-grammar")
    weights = truth["grammar"]["weights"]
    table = Grammar(tuple(weights), np.array(list(weights.values()))).table()
    dictionary = HaplotypeDictionary(cohort, WINDOW)
    start = np.arange(WINDOW)
    for gene in cohort.genes[::3]:
        # of a gene on the other strand the motif's first base is its last
        shift = 0 if gene.strand == "+" else WINDOW - MOTIF_LENGTH - 2 * start
        weight = np.exp(-np.abs(start + shift - WINDOW // 2) / DECAY)
        haplotypes = dictionary.gene(gene.gene)
        scores = np.array([score(table, codes, weight) for codes in haplotypes.codes()])
        value = scores[haplotypes.index].sum(axis=1)
        predicted = oracle.filter(pl.col("gene") == gene.gene)["predicted"].to_numpy()
        told = next(one for one in truth["genes"] if one["gene"] == gene.gene)
        assert predicted.var() > 0
        np.testing.assert_allclose(predicted - predicted[0], value - value[0], atol=1e-9)
        assert predicted.var() == pytest.approx(told["variance_grammar"])


def test_split_baseline_and_evaluate_read_it(simulated: Path, tmp_path: Path) -> None:
    cohort, split = simulated / "cohort", tmp_path / "split.json"
    sides = ("--train-count", 60, "--unseen-contigs", "sim2", "--window", WINDOW)
    assert _run("split", cohort, *sides, "--out", split) == 0
    words = ("--split", split, "--models", "training-mean,elastic-net,ridge", "--window", WINDOW)
    assert _run("baseline", cohort, *words, "--out", tmp_path / "baselines.parquet") == 0
    tables = (simulated / "oracle.parquet", tmp_path / "baselines.parquet")
    out = tmp_path / "evaluation"
    assert _run("evaluate", *tables, "--cohort", cohort, "--split", split, "--out", out) == 0
    cells = json.loads((out / "metrics.json").read_text())["cells"]
    seen, unseen = cells["seen_gene/new_individual"], cells["unseen_gene/new_individual"]
    assert set(seen) == {"truth", "truth-grammar", "training-mean", "elastic-net", "ridge"}
    # nothing is fitted to a gene whose expression nobody saw; the truth is as good there as anywhere
    assert set(unseen) == {"truth", "truth-grammar"}
    for cell in (seen, unseen):
        assert 0.5 < cell["truth"]["mean_pearson"] < 0.9
        assert 0.1 < cell["truth-grammar"]["mean_pearson"] < cell["truth"]["mean_pearson"]
    assert seen["truth"]["mean_pearson"] > seen["ridge"]["mean_pearson"]


def test_what_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("--individuals", 20, "--genes", 4, "--window", 2_000, "--causal", 50)
    assert _run("simulate", "--out", tmp_path / "study", *words) == 0
    said = capfd.readouterr().err
    assert "simulated: 4 genes, 20 individuals, " in said
    assert "realised h2: mean 0." in said
    assert "fewer than 50 variants to be causal: 4 genes" in said
    assert f"written to {tmp_path / 'study'}" in said


def test_a_folder_is_replaced_only_when_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("simulate", "--individuals", 8, "--genes", 2, "--window", 2_000, "--out", tmp_path / "study")
    assert _run(*words) == 0
    before = _sums(tmp_path / "study")
    assert _run(*words, "--seed", 1) == 2
    assert "--force" in capfd.readouterr().err
    assert _sums(tmp_path / "study") == before
    assert _run(*words, "--seed", 1, "--force") == 0
    assert _sums(tmp_path / "study") != before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--h2", 1.5), 2, "h2 is outside its range"),
        (("--individuals", 3), 2, "--individuals"),
        (("--causal", "some"), 2, "causal"),
        (("--window", 7), 2, "even"),
        (("--diversity", 1e-9), 1, "not a single usable variant"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    words: tuple[object, ...], code: int, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small = () if "--window" in words else ("--window", 2_000)
    people = () if "--individuals" in words else ("--individuals", 8)
    assert _run("simulate", "--out", tmp_path / "study", "--genes", 2, *small, *people, *words) == code
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())

"""Weights: saved, read back, applied to other people, and exported as PredictDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from glm2x.baselines.apply import apply_weights
from glm2x.baselines.predictdb import benjamini_hochberg, export_predictdb, read_variant_names
from glm2x.baselines.run import BaselineRun, run_baselines
from glm2x.baselines.weights import COLUMNS, Weights, load_weights, write_weights
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.errors import DataError, UsageError
from glm2x.predictions import PredictionMetadata

MODELS = ["training-mean", "genotype-pcs", "top-variant", "elastic-net", "gblup", "informed-ridge"]


@pytest.fixture(scope="module")
def fitted(demo_cohort: Cohort, demo_split: Split) -> BaselineRun:
    few = replace(demo_split, seen=demo_split.seen[:5])
    target = make_target(demo_cohort, demo_split, "log")
    return run_baselines(
        demo_cohort, few, target, MODELS, 20_000, prior_window=40_000, keep_weights=True, jobs=1
    )


@pytest.fixture(scope="module")
def weights(fitted: BaselineRun) -> Weights:
    assert fitted.weights is not None
    return fitted.weights


def small_weights(rows: list[dict[str, Any]], intercept: float = 1.0) -> Weights:
    """Weights of one gene at the places of the small cohort (1-based), each 0.5 unless said."""
    gene = {
        "model": "ridge",
        "gene": "plus",
        "contig": "chr1",
        "weight": 0.5,
        "mean_dosage": 0.2,
        "intercept": intercept,
        "individuals": 40,
        "cv_pearson": 0.3,
        "cv_p": 0.01,
    }
    frame = pl.DataFrame([gene | row for row in rows], schema=COLUMNS)
    return Weights(frame, PredictionMetadata("log", 64_000, "c" * 64, "5" * 64), "rpkm", 40)


def test_weights_applied_to_the_people_fitted_are_the_models_predictions(
    demo_cohort: Cohort, fitted: BaselineRun, weights: Weights
) -> None:
    applied = apply_weights(weights, demo_cohort)
    # genotype-pcs is no model of variants; a constant has no weights, and is here by its intercept
    assert applied.predictions.frame["model"].cast(pl.String).unique().sort().to_list() == sorted(
        set(MODELS) - {"genotype-pcs"}
    )
    keys = ["model", "gene", "individual"]
    frames = [
        frame.select(*(pl.col(key).cast(pl.String) for key in keys), "predicted", "observed")
        for frame in (fitted.predictions.frame, applied.predictions.frame)
    ]
    both = frames[0].join(frames[1], on=keys, suffix="_applied")
    assert both.height == 5 * 5 * fitted.predictions.frame["individual"].n_unique()
    assert both["predicted_applied"].to_numpy() == pytest.approx(both["predicted"].to_numpy())
    assert both["observed_applied"].to_numpy() == pytest.approx(both["observed"].to_numpy())
    assert set(applied.counts) == {"as_given"}
    assert applied.without_any == {}


def test_weights_survive_their_file(weights: Weights, tmp_path: Path) -> None:
    write_weights(tmp_path / "w.parquet", weights)
    read = load_weights(tmp_path / "w.parquet")
    assert read.frame.equals(weights.frame)
    assert (read.metadata, read.expression_scale) == (weights.metadata, "rpkm")
    assert read.train_individuals == weights.train_individuals == 250
    with pytest.raises(UsageError, match="is there already"):
        write_weights(tmp_path / "w.parquet", weights)
    with pytest.raises(UsageError, match=r"a file of weights is a \.parquet"):
        write_weights(tmp_path / "w.csv", weights)


def test_rows_hold_places_as_in_a_vcf_and_the_means_used(
    demo_cohort: Cohort, demo_split: Split, weights: Weights
) -> None:
    gene = demo_split.seen[0]
    row = weights.frame.filter(pl.col("model") == "top-variant", pl.col("gene") == gene).row(0, named=True)
    dosages = demo_cohort.dosages(gene, 20_000)
    at = dosages.position.tolist().index(row["position"] - 1)
    assert (row["ref"], row["alt"]) == (dosages.ref.text(at), dosages.alt.text(at))
    fit = demo_cohort.individual_index((*demo_split.train, *demo_split.validation))
    assert row["mean_dosage"] == pytest.approx(dosages.dosage[fit, at].mean())
    mean = weights.frame.filter(pl.col("model") == "training-mean", pl.col("gene") == gene)
    assert mean.height == 1
    assert mean.select("contig", "position", "ref", "alt", "weight", "mean_dosage").row(0) == (None,) * 6


def test_variants_of_another_cohort_by_hand(small: Any) -> None:
    """Ann is 0|1 at 9 (A>G) and 1|0 at 17 (A>C); Bob 1|1 and 0|0."""
    made = small_weights(
        [
            {"position": 9, "ref": "A", "alt": "G", "weight": 1.0},
            {"position": 17, "ref": "C", "alt": "A", "weight": 10.0},  # the other way round: 2 - dosage
            {"position": 9, "ref": "T", "alt": "C", "weight": 100.0},  # the other strand: not its own
            {"position": 12, "ref": "A", "alt": "G", "weight": 1000.0},
        ]
    )
    applied = apply_weights(made, small.build())
    predicted = dict(
        applied.predictions.frame.select(pl.col("individual").cast(pl.String), "predicted").iter_rows()
    )
    assert predicted == pytest.approx(
        {"ann": 1 + 1 + 10 * 1 + 0.2 * 1100, "bob": 1 + 2 + 10 * 2 + 0.2 * 1100}
    )
    assert applied.counts == {"as_given": 1, "swapped": 1, "other_alleles": 1, "absent": 1}
    # of the cohort: log2(1 + 1) and log2(3 + 1)
    observed = dict(
        applied.predictions.frame.select(pl.col("individual").cast(pl.String), "observed").iter_rows()
    )
    assert observed == {"ann": 1, "bob": 2}


def test_an_insertion_is_not_the_deletion_of_the_same_letters(small: Any) -> None:
    """Of a repeat both can be: AA to AAA, and AA to A. Neither says who carries the other."""
    small.records = (small.records[0], "1\t17\t.\tAA\tA\t.\t.\t.\tGT\t1|0\t0|0\n")
    made = small_weights(
        [
            {"position": 9, "ref": "A", "alt": "G"},
            {"position": 17, "ref": "A", "alt": "AA", "weight": 10.0},
        ]
    )
    applied = apply_weights(made, small.build(variant_kind="all"))
    assert applied.counts == {"as_given": 1, "other_alleles": 1}
    assert applied.predictions.frame["predicted"].to_list() == pytest.approx([1.5 + 2, 2.0 + 2])


def test_nothing_to_apply_is_an_error(small: Any) -> None:
    made = small_weights([{"position": 9, "ref": "A", "alt": "G"}])
    cohort = small.build()
    with pytest.raises(DataError, match="no weights to apply"):
        apply_weights(made, cohort, models=[])
    with pytest.raises(DataError, match="no weights to apply"):
        apply_weights(replace(made, frame=made.frame.clear()), cohort)


def test_a_gene_with_none_of_its_variants_is_named(small: Any) -> None:
    two = small_weights(
        [
            {"position": 9, "ref": "A", "alt": "G"},
            {"gene": "far", "contig": "7", "position": 9, "ref": "A", "alt": "G"},
        ]
    )
    applied = apply_weights(two, small.build())
    assert applied.without_any == {"ridge": ("far",)}
    frame = applied.predictions.frame.filter(pl.col("gene").cast(pl.String) == "far")
    assert frame["predicted"].to_list() == pytest.approx([1.1, 1.1])
    assert frame["observed"].null_count() == 2


def test_nothing_that_fits_is_an_error(small: Any) -> None:
    made = small_weights([{"position": 12, "ref": "A", "alt": "G"}, {"position": 9, "ref": "T", "alt": "C"}])
    with pytest.raises(DataError, match="none of the variants that have weights is in the cohort") as caught:
        apply_weights(made, small.build())
    assert caught.value.wanted == "the same genome build"


def test_which_models_genes_and_people(demo_cohort: Cohort, weights: Weights) -> None:
    gene = weights.frame["gene"][0]
    people = demo_cohort.individuals[3:1:-1]
    applied = apply_weights(
        weights, demo_cohort, models=["gblup"], genes=[gene.split(".")[0]], individuals=people
    )
    assert applied.predictions.frame["individual"].to_list() == list(people)
    with pytest.raises(DataError, match="1 of 1 genes have no weights"):
        apply_weights(weights, demo_cohort, genes=["BRCA2"])
    with pytest.raises(DataError, match="1 of 2 models have no weights"):
        apply_weights(weights, demo_cohort, models=["gblup", "ridge"])


def test_only_their_own_split_in_their_own_cohort(
    demo_cohort: Cohort, demo_split: Split, weights: Weights
) -> None:
    with pytest.raises(UsageError, match="fitted to this cohort by another split"):
        apply_weights(weights, demo_cohort, split=demo_split)  # that of five genes is another
    own = replace(weights, metadata=replace(weights.metadata, split_digest=demo_split.digest))
    frame = apply_weights(own, demo_cohort, models=["gblup"], split=demo_split).predictions.frame
    assert sorted(map(str, frame["individual_split"].unique())) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": float("nan")}, "holds a number that is not finite"),
        ({"contig": None}, "holds half a variant"),
        ({"alt": "<DEL>"}, "holds a variant that cannot be"),
        ({"mean_dosage": 3.0}, "holds a variant that cannot be"),
        ({"position": 0}, "holds a variant that cannot be"),
        ({"position": 9}, "is of a variant that stands twice"),
        ({"intercept": 2.0}, "is of a gene with two intercepts"),
        ({"contig": "chr2"}, "is of a gene on two contigs"),
        ({"gene": None}, "holds nothing of a model or gene"),
        (
            dict.fromkeys(("contig", "position", "ref", "alt", "weight", "mean_dosage")),
            "with and without variants",
        ),
    ],
)
def test_damaged_weights_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = {"position": 9, "ref": "A", "alt": "G"}
    write_weights(tmp_path / "w.parquet", small_weights([good, good | {"position": 17} | change]))
    with pytest.raises(DataError, match=message):
        load_weights(tmp_path / "w.parquet")


def test_another_file_is_no_weights(tmp_path: Path) -> None:
    small_weights([{"position": 9, "ref": "A", "alt": "G"}]).frame.write_parquet(tmp_path / "w.parquet")
    with pytest.raises(DataError, match="this is no file of weights"):
        load_weights(tmp_path / "w.parquet")
    (tmp_path / "w.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_weights(tmp_path / "w.parquet")
    with pytest.raises(DataError, match="does not exist"):
        load_weights(tmp_path / "absent.parquet")


def read_tables(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        extra, weights = (
            [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
            for table in ("extra", "weights")
        )
    return extra, weights


def test_export_is_a_predictdb_database(tmp_path: Path) -> None:
    variants = [
        {"position": 9, "ref": "A", "alt": "G"},
        {"position": 17, "ref": "A", "alt": "C", "weight": -1.0},
    ]
    other = {
        "gene": "ENSG00000000002.2",
        "position": 17,
        "ref": "A",
        "alt": "C",
        "cv_pearson": -0.2,
        "cv_p": 0.04,
    }
    nothing = dict.fromkeys(("contig", "position", "ref", "alt", "weight", "mean_dosage")) | {"gene": "none"}
    made = small_weights([*variants, other, nothing])
    done = export_predictdb(made, tmp_path / "m.db", model="ridge", build="b37")
    assert done == (2, 3, 1, 0)
    extra, weights = read_tables(tmp_path / "m.db")
    assert extra == [
        {
            "gene": "plus",
            "genename": "plus",
            "n.snps.in.model": 2,
            "pred.perf.R2": pytest.approx(0.09),
            "pred.perf.pval": 0.01,
            "pred.perf.qval": 0.02,
        },
        {
            "gene": "ENSG00000000002.2",
            "genename": "ENSG00000000002",
            "n.snps.in.model": 1,
            "pred.perf.R2": 0,
            "pred.perf.pval": 1,
            "pred.perf.qval": 1,
        },
    ]
    assert weights[1] == {
        "rsid": "1_17_A_C_b37",
        "gene": "plus",
        "weight": -1.0,
        "ref_allele": "A",
        "eff_allele": "C",
        "varID": "1_17_A_C_b37",
    }


def test_export_with_names_of_variants(tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("chrom\tpos\tref\talt\trsid\nchr1\t9\tA\tG\trs1\n1\t9\tA\tT\trs2\n")
    made = small_weights([{"position": 9, "ref": "A", "alt": "G"}, {"position": 17, "ref": "A", "alt": "C"}])
    names = read_variant_names(tmp_path / "names.tsv")
    done = export_predictdb(made, tmp_path / "m.db", model="ridge", build="b38", names=names)
    assert done.named == 1
    rows = [(row["rsid"], row["varID"]) for row in read_tables(tmp_path / "m.db")[1]]
    assert rows == [("rs1", "chr1_9_A_G_b38"), ("chr1_17_A_C_b38", "chr1_17_A_C_b38")]


def test_predictions_by_the_database_are_the_models_without_its_intercept(
    demo_cohort: Cohort, fitted: BaselineRun, weights: Weights, tmp_path: Path
) -> None:
    """What a reader of the format computes: the sum of effect alleles times weights."""
    export_predictdb(weights, tmp_path / "m.db", model="gblup", build="b37")
    extra, rows = read_tables(tmp_path / "m.db")
    gene = extra[0]["gene"]
    carried = np.zeros(len(demo_cohort.individuals))
    variants = demo_cohort.variants(demo_cohort.gene(gene).contig)
    for row in rows:
        if row["gene"] == gene:
            column = int(np.searchsorted(variants.position, int(row["varID"].split("_")[1]) - 1))
            carried += row["weight"] * variants.dosage(slice(column, column + 1))[:, 0]
    frame = fitted.predictions.frame.filter(
        pl.col("model").cast(pl.String) == "gblup", pl.col("gene").cast(pl.String) == gene
    )
    who = demo_cohort.individual_index(frame["individual"].cast(pl.String))
    difference = frame["predicted"].to_numpy() - carried[who]
    assert difference == pytest.approx(np.full(len(who), difference[0]))


def test_export_refuses(tmp_path: Path) -> None:
    made = small_weights([dict.fromkeys(("contig", "position", "ref", "alt", "weight", "mean_dosage"))])
    with pytest.raises(UsageError, match="no model of the weights is called 'lasso'"):
        export_predictdb(made, tmp_path / "m.db", model="lasso", build="b37")
    with pytest.raises(DataError, match="the model ridge has no weights"):
        export_predictdb(made, tmp_path / "m.db", model="ridge", build="b37")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrom\tpos\tref\talt\n1\t9\tA\tG\n", "has no column rsid"),
        (
            "chrom\tpos\tref\talt\trsid\n1\tx\tA\tG\trs1\n",
            "lack a value, or are of a variant that stands twice",
        ),
        ("chrom\tpos\tref\talt\trsid\n1\t9\tA\tG\trs1\nchr1\t9\tA\tG\trs2\n", "2 rows .* stands twice"),
    ],
)
def test_names_of_variants_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "names.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_variant_names(tmp_path / "names.tsv")


def test_benjamini_hochberg_by_hand() -> None:
    # sorted 0.01, 0.03, 0.04 of 3: 0.03, 0.045, 0.04, from the largest 0.04, 0.04, 0.03
    made = benjamini_hochberg(np.array([0.04, np.nan, 0.01, 0.03]))
    assert made[[0, 2, 3]] == pytest.approx([0.04, 0.03, 0.04])
    assert np.isnan(made[1])

"""The folder that an evaluation writes: its numbers, its layout, its errors, and a stranger's CSV."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, LeakError, UsageError
from glm2x.evaluation.evaluate import evaluate
from glm2x.evaluation.table import Table, of_genes
from glm2x.files import read_json
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.predictions import (
    PredictionMetadata,
    Predictions,
    from_matrix,
    read_predictions,
    write_predictions,
)
from glm2x.report.results import read_results

GENES = ("g1", "g2", "g3")
PEOPLE = tuple(f"p{i:02d}" for i in range(20))
TRAIN, VALIDATION, TEST = PEOPLE[:6], PEOPLE[6:8], PEOPLE[8:]
OBSERVED = np.random.default_rng(0).normal(5, 1, (3, 20))
METADATA = PredictionMetadata(target="log", window=1_000)


def make_split(**changes: Any) -> Split:
    values: dict[str, Any] = {
        "train": TRAIN,
        "validation": VALIDATION,
        "test": TEST,
        "seen": ("g1", "g2"),
        "unseen": ("g3",),
        "reference_validation": (),
        "preset": "random",
        "seed": 0,
        "cohort_digest": "c",
        "window": 1_000,
    }
    return Split(**(values | changes))


def make_cohort() -> Cohort:
    manifest = {
        "expression_scale": "log2",
        "files": {},
        "reference_contigs": [],
        "counts": {"columns": {"1": 0, "2": 0}},
    }
    people = pl.DataFrame({"individual": PEOPLE, "population": ["A", "B"] * 10})
    genes = (Gene("g1", "1", 5_000, "+"), Gene("g2", "1", 7_000, "-"), Gene("g3", "1", 9_000, "+"))
    cohort = Cohort(Path("cohort"), manifest, genes, people, OBSERVED, (), np.zeros((0, 20)))
    cohort._variants["1"] = PhasedVariants.of("1", [], np.zeros((0, 40), dtype=np.bool_))
    return cohort


def make_frame(model: str, noise: float, *, strategy: str | None = None, seed: int = 0) -> pl.DataFrame:
    split = make_split()
    rng = np.random.default_rng([seed, len(model)])
    mean = OBSERVED[:, :8].mean(axis=1, keepdims=True)
    predicted = mean + (0 if noise == 0 else OBSERVED - mean + noise * rng.normal(size=OBSERVED.shape))
    return from_matrix(
        model=model,
        strategy=strategy,
        genes=GENES,
        individuals=PEOPLE,
        predicted=np.broadcast_to(predicted, OBSERVED.shape),
        observed=OBSERVED,
        gene_split=split.gene_split,
        individual_split=split.individual_split,
        seed=seed,
    )


@pytest.fixture
def predictions() -> Predictions:
    rows = [make_frame("training-mean", 0), make_frame("elastic-net", 2), make_frame("ridge", 1)]
    for strategy in ("reference", "reference-then-personal"):
        rows += [make_frame("onehot", 1.5, strategy=strategy, seed=seed) for seed in range(3)]
    return Predictions(pl.concat(rows), METADATA)


def test_a_file_of_the_folder_that_has_gone_is_told(predictions: Predictions, tmp_path: Path) -> None:
    run(predictions, tmp_path / "e", cohort=make_cohort(), split=make_split())
    read_results(tmp_path / "e")
    (tmp_path / "e" / "per_gene.parquet").unlink()
    with pytest.raises(DataError, match=r"per_gene\.parquet of the evaluation is not readable") as error:
        read_results(tmp_path / "e")
    assert error.value.got == "nothing at that path"


def run(predictions: Predictions, out: Path, **given: Any) -> Any:
    return evaluate(predictions, out, draws=200, permutations=200, **given)


def test_the_folder_and_its_cells(predictions: Predictions, tmp_path: Path) -> None:
    split = make_split()
    found = run(predictions, tmp_path / "e", cohort=make_cohort(), split=split)
    names = {"metrics.json", "per_gene.parquet", "comparisons.parquet", "predictions.parquet", "split.json"}
    assert {file.name for file in (tmp_path / "e").iterdir()} == names
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics == found.metrics
    assert read_json(tmp_path / "e" / "metrics.json") == {k: v for k, v in metrics.items() if k != "checksum"}
    assert {*metrics["files"], "metrics.json"} == names
    assert metrics["format_version"] == 1
    assert metrics["target"] == "log"
    assert list(metrics["cells"]) == [
        "seen_gene/new_individual",
        "seen_gene/training_individual",
        "unseen_gene/new_individual",
        "unseen_gene/training_individual",
    ]
    assert metrics["data"]["cells"]["seen_gene/new_individual"] == {
        "genes": 2,
        "individuals": 12,
        "gene_blocks": 2,
        "families": 12,
    }
    assert metrics["data"]["validation_individuals"] == 2
    assert metrics["data"]["populations"] == {"A": 10, "B": 10}
    labels = ["training-mean", "elastic-net", "ridge", "onehot reference", "onehot reference-then-personal"]
    assert list(metrics["cells"]["seen_gene/new_individual"]) == labels
    assert [row["label"] for row in metrics["rows"]] == labels
    back = read_predictions(tmp_path / "e" / "predictions.parquet")
    assert back.frame.equals(predictions.frame)
    assert back.metadata == METADATA
    assert Split.load(tmp_path / "e" / "split.json").digest == split.digest


def test_numbers_of_one_row_by_numpy(predictions: Predictions, tmp_path: Path) -> None:
    metrics = run(predictions, tmp_path / "e").metrics
    block = metrics["cells"]["seen_gene/new_individual"]["ridge"]
    part = make_frame("ridge", 1).filter(gene_split="seen", individual_split="test")
    x, y = (part[name].to_numpy().reshape(2, 12) for name in ("predicted", "observed"))
    r = [np.corrcoef(x[g], y[g])[0, 1] for g in range(2)]
    mean = OBSERVED[:2, :8].mean(axis=1, keepdims=True)
    r2 = 1 - ((y - x) ** 2).sum(axis=1) / ((y - mean) ** 2).sum(axis=1)
    assert block["genes"] == 2
    assert block["individuals"] == 12
    assert block["mean_pearson"] == pytest.approx(np.mean(r))
    assert block["median_pearson"] == pytest.approx(np.median(r))
    assert block["mean_r2"] == pytest.approx(r2.mean())
    assert block["null_share"] == 0
    low, high = block["ci95_mean_pearson"]
    assert low < block["mean_pearson"] < high
    assert block["seeds"] == {
        "n": 1,
        "mean_pearson_by_seed": {"0": block["mean_pearson"]},
        "sd": None,
        "sd_between_seeds": None,
        "sd_between_draws": None,
    }
    assert block["mean_pearson_within_population"] is None
    assert block["by_population"] == {}


def test_the_training_mean_is_null_and_says_so(predictions: Predictions, tmp_path: Path) -> None:
    block = run(predictions, tmp_path / "e").metrics["cells"]["seen_gene/new_individual"]["training-mean"]
    assert (block["mean_pearson"], block["null_share"], block["share_significant"]) == (0, 1, 0)
    assert block["mean_pearson_nonnull"] is None
    assert block["mean_r2"] == pytest.approx(0)


def test_seeds_are_averaged_and_kept(predictions: Predictions, tmp_path: Path) -> None:
    found = run(predictions, tmp_path / "e")
    block = found.metrics["cells"]["seen_gene/new_individual"]["onehot reference-then-personal"]
    seeds = list(block["seeds"]["mean_pearson_by_seed"].values())
    assert block["seeds"]["n"] == 3
    assert block["mean_pearson"] == pytest.approx(np.mean(seeds))
    assert block["seeds"]["sd"] == pytest.approx(np.std(seeds, ddof=1))
    rows = found.per_gene.filter(
        cell="seen_gene/new_individual", label="onehot reference-then-personal", gene="g1"
    )
    assert rows["replicate"].to_list() == ["mean", "0", "1", "2"]
    assert rows["seed"].to_list() == [None, 0, 1, 2]
    assert rows["pearson"][0] == pytest.approx(rows["pearson"][1:].mean())


def test_per_gene_holds_every_gene_once_a_row_and_replicate(predictions: Predictions, tmp_path: Path) -> None:
    found = run(predictions, tmp_path / "e", cohort=make_cohort())
    table = pl.read_parquet(tmp_path / "e" / "per_gene.parquet")
    assert table.equals(found.per_gene)
    assert table.select("cell", "label", "gene", "replicate").is_duplicated().sum() == 0
    # A row of one seed is 2 lines a gene, a row of three seeds 4; 3 genes; new and training people.
    assert table.height == (3 * 2 + 2 * 4) * 3 * 2
    place = table.filter(gene="g2").select("contig", "tss").unique().rows()
    assert place == [("1", 7_000)]
    within = table.filter(cell="seen_gene/new_individual", label="ridge")["pearson_within_population"]
    assert within.null_count() == 0


def test_comparisons_are_paired(predictions: Predictions, tmp_path: Path) -> None:
    found = run(predictions, tmp_path / "e")
    cell = found.metrics["cells"]["seen_gene/new_individual"]
    pairs = {
        (c["a"], c["b"]): c for c in found.metrics["comparisons"] if c["cell"] == "seen_gene/new_individual"
    }
    assert ("onehot reference-then-personal", "onehot reference") in pairs
    for (a, b), comparison in pairs.items():
        assert comparison["difference"] == pytest.approx(cell[a]["mean_pearson"] - cell[b]["mean_pearson"])
        # Two genes, each a block: one degree of freedom, t(0.975) = 12.706 and t(0.8) = 1.376.
        assert comparison["df"] == 1
        assert comparison["smallest_difference"] == pytest.approx(14.0825 * comparison["se"], rel=1e-4)
    genes = found.comparisons.filter(cell="seen_gene/new_individual", a="elastic-net", b="ridge")
    assert genes["gene"].to_list() == ["g1", "g2"]
    assert genes["difference"].mean() == pytest.approx(pairs["elastic-net", "ridge"]["difference"])


def test_the_same_evaluation_twice_is_the_same(predictions: Predictions, tmp_path: Path) -> None:
    run(predictions, tmp_path / "a")
    run(
        replace(predictions, frame=predictions.frame.sample(fraction=1, shuffle=True, seed=1)), tmp_path / "b"
    )
    for name in ("per_gene.parquet", "comparisons.parquet"):
        left, right = (pl.read_parquet(tmp_path / folder / name) for folder in "ab")
        assert left.equals(right)
    assert (tmp_path / "a" / "metrics.json").read_text() == (tmp_path / "b" / "metrics.json").read_text()


def test_json_has_no_nan_where_nothing_is_defined(tmp_path: Path) -> None:
    frame = make_frame("m", 1).filter(pl.col("individual").is_in(TEST[:2]), pl.col("gene") == "g1")
    found = run(Predictions(frame), tmp_path / "e")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text(), parse_constant=refuse)
    block = metrics["cells"]["seen_gene/new_individual"]["m"]
    assert block["genes"] == 0
    assert block["genes_undefined"] == 1
    assert block["mean_pearson"] is None
    assert block["ci95_mean_pearson"] is None
    assert found.comparisons.height == 0
    assert pl.read_parquet(tmp_path / "e" / "comparisons.parquet").columns[:4] == ["cell", "a", "b", "gene"]


def test_huge_predictions_are_undefined_and_nothing_breaks(tmp_path: Path) -> None:
    frame = make_frame("m", 1).with_columns(
        predicted=pl.when(pl.col("gene") == "g1")
        .then(pl.col("predicted") * 1e300)
        .otherwise(pl.col("predicted"))
    )
    block = run(Predictions(frame), tmp_path / "e").metrics["cells"]["seen_gene/new_individual"]["m"]
    assert (block["genes"], block["genes_undefined"]) == (1, 1)
    assert math.isfinite(block["mean_pearson"])


def test_a_strangers_csv_is_evaluated_alone_and_with_a_split(tmp_path: Path) -> None:
    five = make_frame("theirs", 1).select("model", "gene", "individual", "observed", "predicted")
    five.write_csv(tmp_path / "theirs.csv")
    predictions = read_predictions(tmp_path / "theirs.csv")
    alone = run(predictions, tmp_path / "alone").metrics
    assert alone["target"] is None
    assert list(alone["cells"]) == ["any_gene/any_individual"]
    assert alone["cells"]["any_gene/any_individual"]["theirs"]["individuals"] == 20
    assert any(note.startswith("The target is unknown") for note in alone["notes"])
    with_split = run(predictions, tmp_path / "split", split=make_split()).metrics
    assert next(iter(with_split["cells"])) == "seen_gene/new_individual"
    assert with_split["cells"]["seen_gene/new_individual"]["theirs"]["individuals"] == 12


def test_a_stranger_beside_our_models_takes_their_target(predictions: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "ours.parquet", predictions)
    theirs = make_frame("theirs", 1).select("model", "gene", "individual", "observed", "predicted")
    sides = make_frame("theirs", 1).select("gene_split", "individual_split")
    theirs.with_columns(sides).write_csv(tmp_path / "theirs.csv")
    both = read_predictions([tmp_path / "ours.parquet", tmp_path / "theirs.csv"])
    metrics = run(both, tmp_path / "e").metrics
    assert [file["name"] for file in metrics["data"]["files"]] == ["ours.parquet", "theirs.csv"]
    assert any("1 of 2 files do not say their target" in note for note in metrics["notes"])
    assert "theirs" in metrics["cells"]["seen_gene/new_individual"]


def test_a_leak_is_written_and_then_raised_with_exit_code_3(predictions: Predictions, tmp_path: Path) -> None:
    wrong = predictions.frame.with_columns(
        individual_split=pl.when((pl.col("individual") == "p19") & (pl.col("model") == "ridge"))
        .then(pl.lit("train"))
        .otherwise(pl.col("individual_split"))
    )
    found = run(Predictions(wrong, METADATA), tmp_path / "e")
    assert (tmp_path / "e" / "metrics.json").is_file()
    assert [check.name for check in found.leaks] == ["people_on_two_sides"]
    with pytest.raises(LeakError, match="1 leak checks failed") as error:
        found.raise_leaks()
    assert error.value.exit_code == 3
    assert "p19" in str(error.value)


def test_without_a_leak_nothing_is_raised(predictions: Predictions, tmp_path: Path) -> None:
    run(predictions, tmp_path / "e", cohort=make_cohort(), split=make_split()).raise_leaks()


def test_another_split_than_the_predictions_is_refused(predictions: Predictions, tmp_path: Path) -> None:
    other = Predictions(predictions.frame, replace(METADATA, split_digest="f" * 64))
    with pytest.raises(UsageError, match="made with another split") as error:
        run(other, tmp_path / "e", split=make_split())
    assert "ffffffffffff" in str(error.value)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (pl.lit(None, pl.Float64).alias("observed"), "none with `observed`"),
        (pl.lit("validation").alias("individual_split"), "only validation people"),
    ],
)
def test_nothing_to_evaluate_is_an_error(change: pl.Expr, got: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing can be evaluated") as error:
        run(Predictions(make_frame("m", 1).with_columns(change)), tmp_path / "e")
    assert got in str(error.value)


def test_nothing_is_overwritten_unasked(predictions: Predictions, tmp_path: Path) -> None:
    run(predictions, tmp_path / "e")
    with pytest.raises(UsageError, match="e is there already"):
        run(predictions, tmp_path / "e")
    run(predictions, tmp_path / "e", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_notes_say_what_the_data_cannot_show(predictions: Predictions, tmp_path: Path) -> None:
    seen = Predictions(predictions.frame.filter(gene_split="seen"), METADATA)
    notes = " ".join(run(seen, tmp_path / "e", cohort=make_cohort(), split=make_split()).metrics["notes"])
    assert "0 variants: relatedness is judged from >= 20,000 only" in notes
    assert "No unseen gene was evaluated" in notes
    assert "2 validation people are in no cell" in notes
    assert "with 2 genes and 12 people, the smallest difference of mean r" in notes


def test_predictions_without_a_measurement_are_counted(predictions: Predictions, tmp_path: Path) -> None:
    holes = predictions.frame.with_columns(
        observed=pl.when(pl.col("individual") == "p19").then(None).otherwise(pl.col("observed"))
    )
    metrics = run(Predictions(holes, METADATA), tmp_path / "e").metrics
    assert metrics["data"]["rows_without_observed"] == 27
    assert metrics["cells"]["seen_gene/new_individual"]["ridge"]["individuals"] == 11
    assert any("27 of 540 predictions have no measurement" in note for note in metrics["notes"])


def test_one_block_of_genes_has_no_interval_and_says_so(predictions: Predictions, tmp_path: Path) -> None:
    wide = Predictions(predictions.frame, PredictionMetadata(target="log", window=100_000))
    metrics = run(wide, tmp_path / "e", cohort=make_cohort()).metrics
    block = metrics["cells"]["seen_gene/new_individual"]["ridge"]
    assert block["ci95_mean_pearson"] is None
    assert block["mean_pearson"] is not None
    assert all(c["p"] is None and c["ci95"] is None for c in metrics["comparisons"])
    assert any("1 block of genes and 12 families" in note for note in metrics["notes"])


def test_blocks_are_of_the_largest_window_of_any_file(predictions: Predictions, tmp_path: Path) -> None:
    # Genes 2,000 bp apart; the merged window of files that differ is null.
    sources = tuple((f"{w}.parquet", PredictionMetadata(target="log", window=w)) for w in (1_000, 3_000))
    both = Predictions(predictions.frame, PredictionMetadata(target="log"), sources)
    cells = run(both, tmp_path / "e", cohort=make_cohort()).metrics["data"]["cells"]
    assert cells["seen_gene/new_individual"]["gene_blocks"] == 1
    narrow = Predictions(predictions.frame, PredictionMetadata(target="log"), sources[:1])
    cells = run(narrow, tmp_path / "n", cohort=make_cohort()).metrics["data"]["cells"]
    assert cells["seen_gene/new_individual"]["gene_blocks"] == 2


def test_draws_of_training_people_are_replicates(tmp_path: Path) -> None:
    parts = [
        make_frame("ridge", 1, seed=draw).with_columns(
            draw=pl.lit(draw, pl.Int64), seed=pl.lit(0, pl.Int64), train_individuals=pl.lit(n, pl.Int64)
        )
        for draw in range(2)
        for n in (10, 20)
    ]
    found = run(Predictions(pl.concat(parts)), tmp_path / "e")
    cell = found.metrics["cells"]["seen_gene/new_individual"]
    assert list(cell) == ["ridge n=10", "ridge n=20"]
    assert list(cell["ridge n=10"]["seeds"]["mean_pearson_by_seed"]) == ["draw 0 seed 0", "draw 1 seed 0"]
    rows = found.per_gene.filter(cell="seen_gene/new_individual", label="ridge n=20", gene="g1")
    assert rows["draw"].to_list() == [None, 0, 1]


def test_a_split_that_knows_nobody_leaves_the_cell_unnamed(tmp_path: Path) -> None:
    frame = make_frame("m", 1).with_columns(pl.col("individual") + "x", pl.col("gene") + "x")
    bare = frame.with_columns(pl.lit(None, pl.String).alias(s) for s in ("gene_split", "individual_split"))
    metrics = run(Predictions(bare), tmp_path / "e", split=make_split()).metrics
    assert list(metrics["cells"]) == ["any_gene/any_individual"]


def test_a_few_shot_curve_is_one_table(tmp_path: Path) -> None:
    parts = [
        make_frame("ridge", 1, seed=10 * n + draw).with_columns(
            draw=pl.lit(draw, pl.Int64), seed=pl.lit(0, pl.Int64), train_individuals=pl.lit(n, pl.Int64)
        )
        for draw in range(3)
        for n in (10, 20)
    ]
    found = run(Predictions(pl.concat(parts)), tmp_path / "e")
    table = pl.read_parquet(tmp_path / "e" / "few_shot.parquet")
    main = table.filter(cell="seen_gene/new_individual")
    assert main.select("model", "train_individuals", "draws", "seeds").rows() == [
        ("ridge", 10, 3, 3),
        ("ridge", 20, 3, 3),
    ]
    rows = found.per_gene.filter(
        pl.col("replicate") != "mean", cell="seen_gene/new_individual", train_individuals=20
    )
    means = rows.group_by("draw").agg(pl.col("pearson").mean())["pearson"]
    assert main["mean_pearson"][1] == pytest.approx(means.mean())
    assert main["sd_draws"][1] == pytest.approx(means.std())
    curve = [point for point in found.metrics["few_shot"] if point["cell"] == "seen_gene/new_individual"]
    assert [point["mean_pearson"] for point in curve] == main["mean_pearson"].to_list()


def test_without_draws_there_is_no_curve(predictions: Predictions, tmp_path: Path) -> None:
    assert run(predictions, tmp_path / "e").metrics["few_shot"] == []
    assert not (tmp_path / "e" / "few_shot.parquet").exists()


def test_pcs_and_heritability_are_of_the_cohort(tmp_path: Path) -> None:
    """Genotype PCs among the covariates, twelve variants, and enough people to learn from."""
    rng = np.random.default_rng(99)
    cohort = make_cohort()
    cohort.covariate_names, cohort.covariates = ("genotype_PC1", "sex"), rng.normal(size=(2, 20))
    carried = rng.random((40, 12)) < 0.4
    cohort._variants["1"] = PhasedVariants.of("1", [(4_990 + v, "A", "C") for v in range(12)], carried.T)
    people = tuple(f"p{i:02d}" for i in range(20))
    split = make_split(train=people[:10], validation=people[10:12], test=people[12:])
    frame = make_frame("ridge", 1).with_columns(individual_split=pl.lit(None, pl.String))
    table = Predictions(frame, METADATA)
    metrics = run(table, tmp_path / "few", cohort=cohort, split=split).metrics
    assert metrics["data"]["heritability"] == {
        "genes": 0,
        "why": "no gene with variants and 20 people to learn from",
    }
    assert metrics["data"]["genotype_components"] == "the covariates genotype_PC1"
    block = metrics["cells"]["seen_gene/new_individual"]["ridge"]
    x, y = (
        make_frame("ridge", 1)[name].to_numpy().reshape(3, 20)[:2, 12:] for name in ("predicted", "observed")
    )
    pc = cohort.covariates[0, 12:]
    left = [[v[g] - np.polyval(np.polyfit(pc, v[g], 1), pc) for g in range(2)] for v in (x, y)]
    partial = [np.corrcoef(a, b)[0, 1] for a, b in zip(*left, strict=True)]
    assert block["mean_partial_pearson"] == pytest.approx(np.mean(partial))
    assert block["heritable"] is None
    assert any(note.startswith("No r / sqrt(h2): no gene") for note in metrics["notes"])
    with_h2 = run(
        table, tmp_path / "many", cohort=cohort, split=make_split(train=people, validation=(), test=())
    )
    assert with_h2.metrics["data"]["heritability"]["genes"] == 1
    assert with_h2.metrics["data"]["heritability"]["individuals"] == 20
    assert with_h2.per_gene.filter(gene="g1")["h2"].null_count() == 0


def test_a_list_of_genes_is_judged_and_nothing_else(predictions: Predictions) -> None:
    versioned = pl.concat_str(pl.lit("ENSG0000000000"), pl.col("gene").cast(pl.String), pl.lit(".7"))
    frame = predictions.frame.with_columns(versioned.str.replace("g", "").alias("gene"))
    here = sorted(frame["gene"].unique())
    table = Table.of(replace(predictions, frame=frame))
    kept = of_genes(table, [here[0], here[1].removesuffix(".7"), "ENSG0"])
    assert kept.gene_names == here[:2]
    assert kept.rows == kept.frame().height == frame.filter(pl.col("gene") <= here[1]).height
    with pytest.raises(DataError, match="hold none of the genes of the list") as raised:
        of_genes(Table.of(predictions), ["ENSG0"])
    assert raised.value.got == "1 genes, such as ENSG0"

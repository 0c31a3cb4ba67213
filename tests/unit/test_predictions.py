"""The predictions table: its checks, one message each, and reading back what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.errors import DataError, UsageError
from glm2x.prediction_pieces import PredictionFile, write_parts
from glm2x.predictions import (
    COLUMNS,
    SWAPPED,
    PredictionMetadata,
    Predictions,
    compact,
    from_matrix,
    read_predictions,
    validate,
    write_predictions,
)

METADATA = PredictionMetadata("log", 64_000, "c" * 64, "s" * 64, "0.1.0")


def table(model: str = "ridge", seed: int = 0) -> pl.DataFrame:
    return from_matrix(
        model=model,
        genes=["g1", "g2"],
        individuals=["a", "b", "c"],
        predicted=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        observed=np.array([[1.5, np.nan, 3.5], [4.5, 5.5, 6.5]]),
        gene_split={"g1": "seen", "g2": "unseen"}.get,
        individual_split={"a": "train", "b": "test"}.get,
        seed=seed,
    )


def test_from_matrix_puts_each_value_beside_its_gene_and_individual() -> None:
    rows = (
        table().select("gene", "individual", "observed", "predicted", "gene_split", "individual_split").rows()
    )
    assert rows == [
        ("g1", "a", 1.5, 1.0, "seen", "train"),
        ("g1", "b", None, 2.0, "seen", "test"),
        ("g1", "c", 3.5, 3.0, "seen", None),
        ("g2", "a", 4.5, 4.0, "unseen", "train"),
        ("g2", "b", 5.5, 5.0, "unseen", "test"),
        ("g2", "c", 6.5, 6.0, "unseen", None),
    ]
    assert dict(table().schema) == dict(COLUMNS)


def test_from_matrix_without_measurements() -> None:
    frame = from_matrix(
        model="m",
        genes=["g"],
        individuals=["a"],
        predicted=np.array([[1.0]]),
        observed=None,
        gene_split=lambda _: None,
        individual_split=lambda _: None,
        seed=3,
        strategy="personal",
        train_individuals=50,
        draw=2,
    )
    assert frame.rows() == [("m", "personal", "g", "a", None, 1.0, None, None, 3, 50, 2)]


def test_from_matrix_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\) for 2 genes and 1 individuals"):
        from_matrix(
            model="m",
            genes=["g", "h"],
            individuals=["a"],
            predicted=np.zeros((1, 2)),
            observed=None,
            gene_split=lambda _: None,
            individual_split=lambda _: None,
            seed=0,
        )


def test_a_prediction_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="predicted is not finite in 1 of 1 rows") as error:
        from_matrix(
            model="m",
            genes=["g"],
            individuals=["a"],
            predicted=np.array([[np.nan]]),
            observed=None,
            gene_split=lambda _: None,
            individual_split=lambda _: None,
            seed=0,
        )
    assert "gene 'g'" in str(error.value)


def test_parquet_comes_back_with_its_metadata(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", Predictions(table(), METADATA))
    back = read_predictions([tmp_path / "p.parquet"])
    assert back.frame.equals(table())
    assert back.metadata == METADATA
    assert back.sources == ((str(tmp_path / "p.parquet"), METADATA),)


def test_csv_comes_back_without_metadata(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", Predictions(table(), METADATA))
    back = read_predictions(tmp_path / "p.csv")
    assert back.frame.equals(table())
    assert back.metadata == PredictionMetadata()


def test_what_is_in_a_strangers_csv_is_read_as_it_is(tmp_path: Path) -> None:
    text = "id,model,gene,individual,observed,predicted\n1,theirs,101,007,NA,0.25\n2,theirs,101,8,1e0,.5\n"
    (tmp_path / "s.csv").write_text(text)
    back = read_predictions(tmp_path / "s.csv")
    assert back.metadata.target is None
    assert back.ignored_columns == ("id",)
    assert back.frame.select("gene", "individual", "observed", "predicted", "seed", "gene_split").rows() == [
        ("101", "007", None, 0.25, 0, None),
        ("101", "8", 1.0, 0.5, 0, None),
    ]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, Predictions(table()))
    with pytest.raises(UsageError, match=r"p\.parquet is there already"):
        write_predictions(path, Predictions(table("other")))
    write_predictions(path, Predictions(table("other")), force=True)
    assert read_predictions(path).frame["model"].unique().to_list() == ["other"]


def test_files_are_put_together(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.parquet", Predictions(table("a"), METADATA))
    write_predictions(tmp_path / "b.csv", Predictions(table("b")))
    both = read_predictions([tmp_path / "a.parquet", tmp_path / "b.csv"])
    assert both.frame["model"].unique().sort().to_list() == ["a", "b"]
    assert both.metadata == METADATA
    assert [said.target for _, said in both.sources] == ["log", None]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (PredictionMetadata(target="residual"), "different target modes are not evaluated together"),
        (PredictionMetadata(split_digest="t" * 64), "different splits are not evaluated together"),
    ],
)
def test_files_of_different_targets_or_splits_are_refused(
    tmp_path: Path, other: PredictionMetadata, message: str
) -> None:
    write_predictions(tmp_path / "a.parquet", Predictions(table("a"), METADATA))
    write_predictions(tmp_path / "b.parquet", Predictions(table("b"), other))
    with pytest.raises(UsageError, match=message):
        read_predictions([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_residuals_after_different_covariates_are_refused(tmp_path: Path) -> None:
    def write(name: str, covariates: tuple[str, ...] | None) -> Path:
        metadata = replace(METADATA, target="residual", covariates=covariates)
        write_predictions(tmp_path / f"{name}.parquet", Predictions(table(name), metadata))
        return tmp_path / f"{name}.parquet"

    first, other = write("a", ("PC, 1", "PC2", "x", "y")), write("b", ("PC2",))
    same, silent = write("c", ("PC, 1", "PC2", "x", "y")), write("d", None)
    assert read_predictions([first, same, silent]).metadata.covariates == ("PC, 1", "PC2", "x", "y")
    with pytest.raises(UsageError, match="different covariates are not evaluated together") as caught:
        read_predictions([first, other])
    assert "PC, 1, PC2, x and 1 more" in caught.value.got


def test_a_control_is_read_as_it_was_written(tmp_path: Path) -> None:
    metadata = replace(METADATA, permuted=(("ridge", (0.0, -0.25)), ("gblup", (1e-17,))))
    write_predictions(tmp_path / "a.parquet", Predictions(table(), metadata))
    assert read_predictions(tmp_path / "a.parquet").metadata == metadata


def test_draws_of_one_base_are_read_together_and_two_bases_are_not(tmp_path: Path) -> None:
    def write(name: str, **changes: str | None) -> Path:
        frame = table(name).with_columns(draw=pl.lit(len(name), pl.Int64))
        write_predictions(tmp_path / name, Predictions(frame, replace(METADATA, **changes)))
        return tmp_path / name

    first = write("a.parquet", split_family="b" * 64)
    second = write("bb.parquet", split_digest="t" * 64, split_family="b" * 64)
    base = write("ccc.parquet", split_digest="b" * 64)  # says its own digest only, as older files do
    both = read_predictions([first, second, base])
    assert both.metadata == replace(METADATA, split_digest=None, split_family="b" * 64)
    assert both.metadata.family == "b" * 64
    assert read_predictions(first).metadata.split_digest == "s" * 64
    other = write("dddd.parquet", split_family="x" * 64)
    with pytest.raises(UsageError, match="different splits are not evaluated together"):
        read_predictions([first, other])


def test_different_windows_are_read_and_the_window_is_unknown(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.parquet", Predictions(table("a"), PredictionMetadata(window=10)))
    write_predictions(tmp_path / "b.parquet", Predictions(table("b"), PredictionMetadata(window=20)))
    assert read_predictions([tmp_path / "a.parquet", tmp_path / "b.parquet"]).metadata.window is None


def test_no_file_at_all() -> None:
    with pytest.raises(UsageError, match="no file of predictions"):
        read_predictions([])


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.parquet", Predictions(table(), METADATA))
    with pytest.raises(DataError, match="a prediction is there twice in 12 of 12 rows"):
        read_predictions([tmp_path / "a.parquet", tmp_path / "a.parquet"])


def test_two_draws_or_two_training_sizes_are_no_duplicates() -> None:
    frame = pl.concat(
        table().with_columns(draw=pl.lit(d, pl.Int64), train_individuals=pl.lit(n, pl.Int64))
        for d, n in ((0, 10), (1, 10), (0, 20))
    )
    validate(frame, where="memory")


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.parquet cannot be read as parquet"):
        read_predictions(tmp_path / "p.parquet")


def test_a_parquet_file_cut_short_is_named(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", Predictions(table()))
    content = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"p\.parquet cannot be read as parquet"):
        read_predictions(tmp_path / "p.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"predictions file p\.parquet does not exist"):
        read_predictions(tmp_path / "p.parquet")


HEADER = "model,gene,individual,observed,predicted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as CSV"),
        (f"{HEADER}\n", "holds no rows"),
        (f"{HEADER}\nm,g,a,1,2,3,4\n", "cannot be read as CSV"),
        ("model;gene;individual;observed;predicted\nm;g;a;1;2\n", "no column gene"),
        ("model,gene,individual,observed,prediction\nm,g,a,1,2\n", "no column predicted"),
        (f"{HEADER}\nm,g,a,1,2\nm,g,b,1,high\n", "predicted is not a number in 1 of 2 rows"),
        (f"{HEADER}\nm,g,a,low,2\n", "observed is not a number in 1 of 1 rows"),
        (f"{HEADER}\nm,g,a,1,\n", "predicted is not a number|predicted is empty"),
        (f"{HEADER}\nm,g,a,1,inf\n", "predicted is not finite"),
        (f"{HEADER}\nm,g,a,-inf,1\n", "observed is not finite"),
        (f"{HEADER}\nm,,a,1,1\n", "gene is empty in 1 of 1 rows"),
        (f"{HEADER}\nm,g,a,1,1\nm,g,a,1,2\n", "a prediction is there twice in 2 of 2 rows"),
        (f"{HEADER},seed\nm,g,a,1,1,0.5\n", "seed is not a number"),
        (f"{HEADER},gene_split\nm,g,a,1,1,trained\n", "unknown value of gene_split"),
        (f"{HEADER},individual_split\nm,g,a,1,1,Test\n", "unknown value of individual_split"),
    ],
)
def test_each_fault_of_a_csv_has_its_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_predictions(tmp_path / "s.csv")
    assert "s.csv" in str(error.value)


def test_a_misspelt_column_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("model,gene,individual,observed,prediction\nm,g,a,1,2\n")
    with pytest.raises(DataError, match="rename prediction to predicted"):
        read_predictions(tmp_path / "s.csv")


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    table().with_columns(gene=pl.lit(7, pl.Int64)).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="column gene of the predictions table is of the wrong type"):
        read_predictions(tmp_path / "p.parquet")


def test_narrower_types_are_widened(tmp_path: Path) -> None:
    narrow = table().with_columns(pl.col("gene").cast(pl.Categorical), pl.col("seed").cast(pl.Int8))
    narrow.with_columns(pl.col("predicted", "observed").cast(pl.Float32)).write_parquet(
        tmp_path / "p.parquet"
    )
    assert read_predictions(tmp_path / "p.parquet").frame.equals(table())


def test_nan_measurements_are_missing_ones(tmp_path: Path) -> None:
    table().with_columns(observed=pl.lit(float("nan"))).write_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").frame["observed"].null_count() == 6


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"glm2x.target": "zscore"}, "says a target that cannot be"),
        ({"glm2x.window": "64kb"}, "says a window that cannot be"),
        ({"glm2x.window": "9" * 5_000}, "says a window that cannot be"),
        ({"glm2x.covariates": "PC1"}, "says a covariates that cannot be"),
        ({"glm2x.covariates": "[]"}, "says a covariates that cannot be"),
        ({"glm2x.covariates": '["PC1", 2]'}, "says a covariates that cannot be"),
        ({"glm2x.covariates": "[" * 100_000}, "says a covariates that cannot be"),
        ({"glm2x.permuted": "[0.1]"}, "says a permuted that cannot be"),
        ({"glm2x.permuted": '{"ridge": 0.1}'}, "says a permuted that cannot be"),
        ({"glm2x.permuted": '{"ridge": [NaN]}'}, "says a permuted that cannot be"),
        ({"glm2x.permuted": '{"ridge": [2.0]}'}, "says a permuted that cannot be"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(
    tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    table().write_parquet(tmp_path / "p.parquet", metadata=metadata)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "p.parquet")


def test_an_invalid_table_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column draw"):
        write_predictions(tmp_path / "p.parquet", Predictions(table().drop("draw")))
    assert list(tmp_path.iterdir()) == []


def test_a_strangers_csv_needs_three_columns_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "theirs.v2.csv").write_text("predicted,fold,individual,gene\n0.5,1,a,g\n1.5,1,b,g\n")
    back = read_predictions(tmp_path / "theirs.v2.csv")
    assert back.frame.select("model", "gene", "individual", "observed", "predicted").rows() == [
        ("theirs.v2", "g", "a", None, 0.5),
        ("theirs.v2", "g", "b", None, 1.5),
    ]
    assert back.ignored_columns == ("fold",)


def test_names_are_categorical_in_memory_and_text_in_files(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", Predictions(table(), METADATA))
    assert pl.read_parquet_schema(tmp_path / "p.parquet")["gene"] == pl.String
    assert read_predictions(tmp_path / "p.parquet").frame.schema == dict(COLUMNS)
    text = table().with_columns(pl.col("gene", "model").cast(pl.String))
    validate(text, where="memory")
    assert compact(text).schema == dict(COLUMNS)


def test_a_file_is_written_and_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [table("a"), table("b"), table("c")]
    write_parts(tmp_path / "all.parquet", iter(frames), METADATA)
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]
    back = read_predictions(tmp_path / "all.parquet")
    assert back.frame.equals(pl.concat(frames))
    assert back.metadata == METADATA
    monkeypatch.setattr("glm2x.prediction_pieces.PIECE", 4)
    file = PredictionFile(tmp_path / "all.parquet", tmp_path)
    pieces = list(file.pieces())
    assert [piece.height for piece in pieces] == [4, 4, 4, 4, 2]
    assert pl.concat(pieces).equals(back.frame)
    assert file.genes() == {"g1": 9, "g2": 9}
    assert file.metadata == METADATA
    assert file.columns == list(COLUMNS)


def test_duplicates_are_found_whatever_the_numbers() -> None:
    """Seeds and draws that are no small numbers, and missing ones, which are one value and not none."""
    big = table().with_columns(
        seed=pl.Series([2**62, 1, -(2**62), 4, 5, 6]), draw=pl.Series([None, 2**40, None, 1, 2, 3])
    )
    validate(big, where="memory")
    with pytest.raises(DataError, match="a prediction is there twice in 2 of 7 rows"):
        validate(pl.concat([big, big[2:3]]), where="memory")
    one, other = (table()[:1].with_columns(draw=pl.lit(draw, pl.Int64)) for draw in (None, 0))
    validate(pl.concat([one, other]), where="memory")


def test_predictions_of_exchanged_haplotypes_come_back(tmp_path: Path) -> None:
    frame = from_matrix(
        model="m",
        genes=["g"],
        individuals=["a", "b"],
        predicted=np.array([[1.0, 2.0]]),
        observed=None,
        gene_split=lambda _: None,
        individual_split=lambda _: None,
        seed=0,
        swapped=np.array([[1.0, 2.5]]),
    )
    write_predictions(tmp_path / "p.parquet", Predictions(frame))
    write_predictions(tmp_path / "q.csv", Predictions(table()))
    both = read_predictions([tmp_path / "p.parquet", tmp_path / "q.csv"])
    assert both.frame[SWAPPED].to_list() == [1.0, 2.5, *[None] * 6]
    assert both.ignored_columns == ()
    with pytest.raises(DataError, match="predicted_swapped is not finite"):
        validate(frame.with_columns(pl.lit(float("inf")).alias(SWAPPED)), where="memory")

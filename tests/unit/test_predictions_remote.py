"""Tables of predictions in object storage, and the records of how things there were made."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from glm2x.errors import DataError, UsageError
from glm2x.predictions import (
    PredictionMetadata,
    Predictions,
    from_matrix,
    read_predictions,
    write_predictions,
)
from glm2x.provenance import artefact, command, record, record_with_history
from glm2x.sidecar import Artefact, read, sidecar_of
from glm2x.url import Url
from s3_server import S3

TABLE = Predictions(
    from_matrix(
        model="ridge",
        genes=["g1", "g2"],
        individuals=["a", "b"],
        predicted=np.array([[1.0, 2.0], [3.0, 4.0]]),
        observed=None,
        gene_split={"g1": "seen"}.get,
        individual_split={"a": "test"}.get,
        seed=0,
    ),
    PredictionMetadata("log", 64_000, "c" * 64, "s" * 64, "0.1.0"),
)


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
def test_its_bytes_are_those_of_a_file(s3: S3, tmp_path: Path, name: str) -> None:
    write_predictions(tmp_path / name, TABLE)
    write_predictions(f"s3://b/runs/{name}", TABLE)
    assert s3.below("b/runs/") == {name: (tmp_path / name).read_bytes()}
    both = read_predictions([f"s3://b/runs/{name}"]), read_predictions(tmp_path / name)
    assert both[0].frame.equals(both[1].frame)
    assert both[0].metadata == both[1].metadata
    assert both[0].sources[0][0] == f"s3://b/runs/{name}"


def test_nothing_is_overwritten_unasked(s3: S3) -> None:
    where = Url("s3://b", "x.parquet")
    where.put(b"something")
    with pytest.raises(UsageError, match=r"x\.parquet is there already"):
        write_predictions(where, TABLE)
    assert where.read_text() == "something"
    write_predictions(where, TABLE, force=True)
    assert read_predictions(where).frame.height == 4


def test_what_is_not_there_or_no_table_is_named_by_its_url(s3: S3) -> None:
    with pytest.raises(DataError, match=r"the predictions file x\.parquet does not exist") as caught:
        read_predictions("s3://b/x.parquet")
    assert caught.value.where == "s3://b/x.parquet"
    s3.put("b/x.parquet", b"PAR1")
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as parquet") as caught:
        read_predictions("s3://b/x.parquet")
    assert caught.value.where == "s3://b/x.parquet"


def test_a_table_without_models_is_called_as_its_object(s3: S3) -> None:
    s3.put("b/of a stranger.csv", b"gene,individual,predicted\ng1,a,1\n")
    assert read_predictions("s3://b/of a stranger.csv").frame["model"].to_list() == ["of a stranger"]


def test_a_record_lies_beside(s3: S3) -> None:
    table = Url("s3://b", "x.parquet")
    with command(["predict"]):
        table.put(b"table")
        record(table, outputs=[artefact("predictions", table)])
    said = read(sidecar_of(table))
    assert list(s3.below("b/")) == ["x.parquet", "x.parquet.made.json"]
    assert said is not None
    assert said.made[0].outputs == (Artefact("predictions", "s3://b/x.parquet", None, 5),)


def test_of_many_who_add_to_a_record_none_is_lost(s3: S3) -> None:
    store = Url("s3://b", "store")
    (store / "store.json").put(b"{}")

    def add(number: int) -> None:
        with command(["embed", "run", str(number)]):
            record(store, outputs=[artefact("store", store, "d" * 64)], add=True)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    said = read(store / "made.json")
    assert said is not None
    assert sorted(made.words[2] for made in said.made) == [str(number) for number in range(6)]


def test_a_record_that_cannot_be_written_is_told(s3: S3, capsys: pytest.CaptureFixture[str]) -> None:
    s3.fault = lambda method, key: 403 if method == "PUT" else None
    with command(["embed", "run"]):
        record("s3://b/store", outputs=[], add=True)
    assert "how s3://b/store was made could not be recorded" in capsys.readouterr().err


def test_records_are_followed_in_the_buckets_that_were_named(s3: S3, tmp_path: Path) -> None:
    """Anybody may have written a record: what it names elsewhere is not asked for."""
    for bucket in ("b", "other"):
        with command(["embed", "plan", bucket]):
            Url(f"s3://{bucket}", "store/store.json").put(b"{}")
            record(f"s3://{bucket}/store", outputs=[artefact("store", f"s3://{bucket}/store", "d" * 64)])
    table = Url("s3://b", "x.parquet")
    with command(["predict"]):
        table.put(b"table")
        inputs = [artefact("store", f"s3://{bucket}/store", "d" * 64) for bucket in ("b", "other")]
        inputs += [Artefact("split", "http://b/split", "e" * 64)]
        record(table, outputs=[artefact("predictions", table)], inputs=inputs)
    s3.asked.clear()
    with command(["evaluate"]):
        (tmp_path / "evaluation").mkdir()
        record_with_history(tmp_path / "evaluation", outputs=[], inputs=[artefact("predictions", table)])
    said = json.loads((tmp_path / "evaluation/made.json").read_text())
    assert [made["words"] for made in said["made"]] == [["embed", "plan", "b"], ["predict"], ["evaluate"]]
    assert [one["path"] for one in said["unrecorded"]] == ["s3://other/store", "http://b/split"]
    assert not s3.count("GET", "other")
    assert not s3.count("HEAD", "other")

"""The command line on object storage: the bytes of a disk, by several processes, one of them killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import numpy as np
import polars as pl
import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.embeddings.pooled import Pooled
from glm2x.embeddings.store import Store
from glm2x.leases import LEASE
from glm2x.url import Url
from s3_server import S3
from work_cases import completed, end_started, glm2x, plan_store, results, start, starts

STORE = Url("s3://bucket", "stores/kmer")
INSIDE = "bucket/stores/kmer/"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of 24 people and four genes, and a store on the disk."""
    folder = tmp_path_factory.mktemp("remote")
    people = demo_cohort.individuals[:24]
    lists = {"train": people[:12], "validation": people[12:16], "test": people[16:]}
    lists |= {"genes": demo_cohort.gene_ids[:4], "people": people}
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    sides = [word for side in ("train", "validation", "test") for word in (f"--{side}", folder / side)]
    assert glm2x("split", demo_cohort.folder, *sides, "--out", folder / "split.json") == 0
    plan_store(demo_cohort, folder / "genes", folder / "store", "--individuals", folder / "people")
    assert glm2x("embed", "run", folder / "store", "--workers", 1) == 0
    assert glm2x("embed", "finish", folder / "store") == 0
    return folder


def plan(cohort: Cohort, folder: Path) -> None:
    plan_store(cohort, folder / "genes", STORE, "--individuals", folder / "people")


def remote_results(s3: S3) -> dict[str, bytes]:
    found = s3.below(INSIDE)
    return {name: found[name] for name in found if name.startswith(("shards/", "index/"))}


def test_from_the_plan_to_the_evaluation(
    s3: S3, folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes run it at once, as on two machines; then the store is read and a table written."""
    plan(demo_cohort, folder)
    names = {name.partition("/")[0] for name in s3.below(INSIDE)}
    assert names == {"store.json", "plans", "made.json"}
    assert glm2x("embed", "finish", STORE) == 1
    assert "of the planned haplotypes are not stored" in capsys.readouterr().err
    together, met = Barrier(2), []

    def meet(method: str, key: str) -> None:
        """Let both claim their first shard, which is the same, at the same moment."""
        if method == "PUT" and "/claims/" in key and len(met) < 2:
            met.append(key)
            together.wait(60)

    s3.fault = meet
    both = [start("embed", "run", STORE, "--workers", 1) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    s3.fault = None
    assert met[0] == met[1]
    shards = {Path(name).stem for name in results(folder / "store") if name.startswith("shards/")}
    assert starts(STORE) == completed(STORE) == dict.fromkeys(shards, 1)
    assert len(s3.below(f"{INSIDE}log/")) == 2
    assert not s3.below(f"{INSIDE}claims/")
    assert glm2x("embed", "finish", STORE) == 0
    assert remote_results(s3) == results(folder / "store")
    for words in (("embed", "verify", STORE), ("embed", "gc", STORE), ("work", "status", STORE)):
        assert glm2x(*words) == 0
    told = []
    for store in (STORE, folder / "store"):
        capsys.readouterr()
        assert glm2x("embed", "status", store, "--json") == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]

    tables, people = [], demo_cohort.individuals[:24]
    for name, store, table in (
        ("local", folder / "store", folder / "local.parquet"),
        ("remote", STORE, "s3://bucket/tables/remote.parquet"),
    ):
        settings = (
            f"cohort={demo_cohort.folder}",
            f"split={folder / 'split.json'}",
            f"embeddings={store}",
            "window=2048",
            "head.name=attention-pool",
            "training.epochs=2",
            "training.device=cpu",
            f"genes.personal={folder / 'genes'}",
            f"out={folder / name}",
        )
        assert glm2x("train", "kmer-personal", *(w for one in settings for w in ("--set", one))) == 0
        words = (
            "--cohort",
            demo_cohort.folder,
            "--individuals",
            folder / "test",
            "--genes",
            folder / "genes",
        )
        assert glm2x("predict", folder / name / "checkpoint", *words, "--out", table) == 0
        out = folder / f"{name}-evaluation"
        assert glm2x("evaluate", table, "--out", out) == 0
        tables.append(pl.read_parquet(out / "predictions.parquet"))
    assert tables[0].equals(tables[1])
    pooled = [Pooled(Store.open(store), demo_cohort, people) for store in (STORE, folder / "store")]
    for gene in demo_cohort.gene_ids[:4]:
        np.testing.assert_array_equal(*(one.gene(gene) for one in pooled))
    said = json.loads((folder / "remote-evaluation/made.json").read_text())
    commands = [made["words"][0] for made in said["made"]]
    assert commands[-3:] == ["train", "predict", "evaluate"]
    assert {made["words"][1] for made in said["made"] if made["words"][0] == "embed"} == {"plan", "run"}


def test_of_a_run_that_is_killed_the_next_makes_the_rest(s3: S3, folder: Path, demo_cohort: Cohort) -> None:
    plan(demo_cohort, folder)
    process = start("embed", "run", STORE, "--workers", 1)

    def kill(method: str, key: str) -> None:
        if method == "PUT" and "/shards/" in key and len(s3.below(f"{INSIDE}shards/")) == 2:
            process.kill()

    s3.fault = kill
    assert process.wait(120) == -signal.SIGKILL
    s3.fault = None
    (left,) = s3.below(f"{INSIDE}claims/")
    indexed = set(s3.below(f"{INSIDE}index/"))
    assert len(indexed) == 2
    s3.age(f"{INSIDE}claims/", LEASE + 2)
    assert glm2x("embed", "run", STORE, "--workers", 2) == 0
    begun = starts(STORE)
    assert begun.pop(left) == 2
    assert set(begun.values()) == {1}
    assert glm2x("embed", "finish", STORE) == 0
    assert remote_results(s3) == results(folder / "store")


def test_where_the_storage_fails_the_other_shards_go_on(
    s3: S3, folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a shard whose claim, and of one whose values cannot be written, nothing is left behind."""
    plan(demo_cohort, folder)
    refused: list[str] = []

    def refuse(method: str, key: str) -> int | None:
        if method != "PUT" or not ("/claims/" in key or "/shards/" in key):
            return None
        kind = key.split("/")[-2]
        if len(refused) < 2 and kind not in {one.split("/")[-2] for one in refused}:
            refused.append(key)
        return 400 if key in refused else None

    s3.fault = refuse
    assert glm2x("embed", "run", STORE, "--workers", 1) == 1
    told = capsys.readouterr().err
    assert "2 of 4 shards failed; the others have gone on" in told
    assert "did not do what it was asked for: Generic S3 error" in told
    assert len(s3.below(f"{INSIDE}index/")) == len(s3.below(f"{INSIDE}shards/")) == 2
    assert len(s3.below(f"{INSIDE}errors/")) == 1
    s3.fault = None
    assert glm2x("embed", "run", STORE, "--workers", 1) == 0
    assert glm2x("embed", "finish", STORE) == 0
    assert not s3.below(f"{INSIDE}errors/")
    assert not s3.below(f"{INSIDE}claims/")
    assert remote_results(s3) == results(folder / "store")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("embed", "run", "http://bucket/store"), "no place that glm2x can read or write"),
        (("cohort", "check", "s3://bucket/cohort"), "a URL stands where only a path on this machine will do"),
        (("predict", "c", "--cohort", "s3://b/c", "--out", "o.csv"), "a URL stands where only a path"),
        (("evaluate", "a.csv", "b.csv", "--out", "s3://b/o"), "a URL stands where only a path"),
        (("train", "kmer-personal", "--set", "out=s3://b/o"), "only embeddings may be a URL"),
    ],
)
def test_where_a_url_will_not_do_the_message_says_so(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert glm2x(*words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

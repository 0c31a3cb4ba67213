"""The example package of the documentation, installed as users install one, through the command line."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from backbone_packages import install_source
from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.files import sha256

EXAMPLE = Path(__file__).parents[2] / "examples/glm2x-gc-content"
WINDOW = 2_048
PACKAGE = {"name": "glm2x-gc-content", "version": "0.1.0"}


def environment(*folders: Path) -> dict[str, str]:
    """Return what a process sees whose packages lie in these folders, too."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, folders), *filter(None, sys.path)])}


@contextmanager
def having(site: Path) -> Iterator[None]:
    """Let this process have the packages of a folder, and no longer afterwards."""
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for name in [name for name in sys.modules if name.split(".")[0] == "glm2x_gc_content"]:
            del sys.modules[name]


def glm2x(*words: object) -> int:
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed to."""
    site = tmp_path_factory.mktemp("package") / "site"
    install_source(EXAMPLE, site)
    return site


@pytest.fixture(scope="module")
def folder(site: Path, demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the frozen one, and a model trained with each."""
    folder = tmp_path_factory.mktemp("work")
    cohort, store, split = demo_cohort.folder, folder / "store", folder / "split.json"
    (folder / "genes").write_text("".join(f"{gene}\n" for gene in demo_cohort.gene_ids[:3]))
    sides = ("--train-count", 20, "--validation-count", 8, "--genes", folder / "genes")
    data = ("--cohort", cohort, "--split", split, "--window", WINDOW)
    with having(site):
        assert glm2x("split", cohort, *sides, "--out", split) == 0
        assert glm2x("embed", "plan", "--backbone", "gc-content", *data, "--out", store) == 0
        assert glm2x("embed", "run", store) == 0
        assert glm2x("embed", "finish", store) == 0
        for name, embeddings in (("gc-content", store), ("gc-trained", "null")):
            keys = [f"cohort={cohort}", f"split={split}", f"window={WINDOW}", f"embeddings={embeddings}"]
            keys += [f"backbone.name={name}", "head.name=null", f"out={folder / name}"]
            keys += ["training.epochs=1", "training.batch_size=16", "training.device=cpu"]
            assert glm2x("train", "onehot-personal", *(w for key in keys for w in ("--set", key))) == 0
    return folder


def test_it_is_listed_with_its_package(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with having(site):
        assert glm2x("backbones") == 0
        lines = capsys.readouterr().out.splitlines()
        assert glm2x("backbones", "gc-trained") == 0
        said = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith("none: nothing is learnt (glm2x-gc-content 0.1.0)")
    assert [line.split()[:2] for line in lines[-2:]] == [
        ["gc-content", "frozen"],
        ["gc-trained", "trainable"],
    ]
    assert said[1].split() == ["package:", "glm2x-gc-content", "0.1.0"]
    assert said[-1].split() == ["here:", "ready"]


def test_listing_it_imports_no_torch(site: Path) -> None:
    program = (
        "import sys; from glm2x.cli import run\n"
        "print(run(['backbones']), 'glm2x_gc_content' in sys.modules, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(site))
    assert done.stdout.splitlines()[-1] == "0 True False"


def test_its_own_tests_pass(site: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(site))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("name", ["gc-content", "gc-trained"])
def test_a_model_with_it_predicts(site: Path, folder: Path, demo_cohort: Cohort, name: str) -> None:
    out = folder / f"{name}.parquet"
    data = ("--cohort", demo_cohort.folder, "--genes", folder / "genes", "--out", out)
    with having(site):
        assert glm2x("predict", folder / name / "checkpoint", *data) == 0
    table = pl.read_parquet(out)
    assert table["gene"].n_unique() == 3
    assert table["predicted"].is_finite().all()
    assert table.group_by("gene").agg(pl.col("predicted").n_unique())["predicted"].max() > 1
    state = json.loads((folder / name / "checkpoint/state.json").read_text())
    assert state["metadata"]["backbone_package"] == PACKAGE


def test_its_store_names_it(folder: Path) -> None:
    spec = json.loads((folder / "store/store.json").read_text())["spec"]
    assert spec["model"]["package"] == PACKAGE
    assert (spec["rows"], spec["width"]) == (64, 1)


@pytest.mark.parametrize("name", ["gc-content", "gc-trained"])
def test_predicting_without_it_names_it(
    folder: Path, demo_cohort: Cohort, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = folder / name / "checkpoint", folder / "none.parquet"
    assert glm2x("predict", checkpoint, "--cohort", demo_cohort.folder, "--out", out) == 1
    said = capsys.readouterr().err
    assert f"glm2x: the backbone {name} needs the package glm2x-gc-content\n" in said
    assert "pip install glm2x-gc-content==0.1.0" in said
    assert str(checkpoint) in said
    assert not out.exists()


def test_its_store_without_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is stored is whole; computing more of it, and training on it, need the package."""
    store = shutil.copytree(folder / "store", tmp_path / "store")
    assert glm2x("embed", "status", store) == 0
    assert glm2x("embed", "verify", store) == 0
    capsys.readouterr()
    for part in (*store.glob("index/*"), *store.glob("shards/*")):
        part.unlink()
    assert glm2x("embed", "run", store) == 1
    wanted = "the backbone gc-content needs the package glm2x-gc-content"
    assert wanted in capsys.readouterr().err
    keys = ("--set", f"embeddings={store}", "--set", f"out={tmp_path / 'run'}")
    assert glm2x("train", folder / "gc-content/config.yml", *keys) == 1
    assert wanted in capsys.readouterr().err


def test_another_version_of_it(
    site: Path, folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store is of one version; a trained model predicts, and the difference is said."""
    newer = shutil.copytree(site, tmp_path / "site")
    metadata = newer / "glm2x_gc_content-0.1.0.dist-info/METADATA"
    text = metadata.read_text()
    assert "Version: 0.1.0\n" in text
    metadata.write_text(text.replace("Version: 0.1.0\n", "Version: 0.2.0\n"))
    before = sha256(folder / "store/store.json")
    data = ("--cohort", demo_cohort.folder, "--split", folder / "split.json", "--window", WINDOW)
    out = tmp_path / "table.parquet"
    chosen = ("--cohort", demo_cohort.folder, "--genes", folder / "genes", "--out", out)
    with having(newer):
        assert glm2x("embed", "plan", "--backbone", "gc-content", *data, "--out", folder / "store") == 1
        said = capsys.readouterr().err
        assert glm2x("predict", folder / "gc-trained/checkpoint", *chosen) == 0
    assert "the embedding store was made with another version of the backbone's package" in said
    assert sha256(folder / "store/store.json") == before
    wanted = (
        "was trained with the backbone gc-trained of glm2x-gc-content 0.1.0, and glm2x-gc-content 0.2.0 is"
    )
    assert wanted in capsys.readouterr().err

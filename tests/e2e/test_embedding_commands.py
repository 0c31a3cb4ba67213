"""Language models through the command line: planned, computed, killed and resumed, trained on, evaluated."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from caduceus_checkpoints import write_caduceus
from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.store import Store
from language_checkpoints import kmers, write_esm
from nt_checkpoints import write_nt
from work_cases import alive, workers

STRATEGIES = ("reference", "personal", "reference-then-personal")
WINDOW = 2_048
WINDOW_OF = {"nucleotide-transformer-v2": 2_050}  # no multiple of 6
SMALL = ("training.epochs=1", "training.batch_size=16", "training.device=cpu", "head.name=tower")
# of the shipped experiments' own windows the Tower leaves more tokens
NAMES = ("kmer", "nucleotide-transformer-v2", "caduceus-ph")


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints in the official formats, and a split of 24 people and four genes."""
    folder = tmp_path_factory.mktemp("embedding")
    write_nt(folder / "nucleotide-transformer-v2")
    write_caduceus(folder / "caduceus-ph")
    people = demo_cohort.individuals[:24]
    # of genes that real sequence surrounds
    lists = {"train": people[:12], "validation": people[12:16], "test": people[16:]}
    lists["genes"] = demo_cohort.gene_ids[:4]
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    sides = [word for side in ("train", "validation", "test") for word in (f"--{side}", folder / side)]
    assert _run("split", demo_cohort.folder, *sides, "--out", folder / "split.json") == 0
    return folder


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def _plan_words(folder: Path, cohort: Cohort, name: str, out: Path, *more: object) -> list[str]:
    weights = ["--weights", folder / name] if name != "kmer" else []
    layer = ["--layer", 2] if name == "nucleotide-transformer-v2" else []
    window = WINDOW_OF.get(name, WINDOW)
    chosen = ("--split", folder / "split.json", "--genes", folder / "genes", "--device", "cpu")
    words = ("--backbone", name, "--cohort", cohort.folder, "--window", window, "--out", out)
    return [str(w) for w in ("embed", "plan", *words, *chosen, *weights, *layer, *more)]


def _unique(cohort: Cohort, folder: Path, name: str) -> int:
    """How many different windows there are, counted from the letters of everybody."""
    dictionary = HaplotypeDictionary(cohort, WINDOW_OF.get(name, WINDOW))
    people = [
        cohort.individuals.index(p) for s in ("train", "validation", "test") for p in _lines(folder / s)
    ]
    letters = set()
    for gene in _lines(folder / "genes"):
        found = dictionary.gene(gene)
        letters |= {c.tobytes() for c in found.codes(found.index[people].ravel())} | {
            found.reference.tobytes()
        }
    return len(letters)


def _lines(path: Path) -> list[str]:
    return path.read_text().split()


@pytest.mark.parametrize("name", NAMES)
def test_from_the_plan_to_the_evaluation(
    name: str, folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    store = folder / f"store of {name}"
    assert run(_plan_words(folder, demo_cohort, name, store)) == 0
    unique = _unique(demo_cohort, folder, name)
    told = capsys.readouterr()
    assert f"{unique:,} of them unique" in told.out
    assert "times fewer passes" in told.out
    assert _run("embed", "finish", store) == 1
    assert f"{unique:,} of the planned haplotypes are not stored" in capsys.readouterr().err
    assert _run("embed", "run", store) == 0
    assert f"{unique:,} windows went through the model, one for each" in capsys.readouterr().err
    assert _run("embed", "run", store) == 0
    assert "0 windows went through the model" in capsys.readouterr().err
    assert _run("embed", "finish", store) == 0
    assert _run("embed", "verify", store) == 0
    capsys.readouterr()
    assert _run("embed", "status", store, "--json") == 0
    told_json = json.loads(capsys.readouterr().out)
    assert (told_json["haplotypes"], told_json["plans"][0]["planned"]) == (unique, unique)

    _train_and_evaluate(folder, demo_cohort, name, store)


def _train_and_evaluate(folder: Path, demo_cohort: Cohort, name: str, store: Path) -> None:
    """Train a Tower by each strategy, predict people who were not trained on, and evaluate."""
    tables = []
    for strategy in STRATEGIES:
        values = (
            f"cohort={demo_cohort.folder}",
            f"split={folder / 'split.json'}",
            f"embeddings={store}",
            f"window={WINDOW_OF.get(name, WINDOW)}",
            f"genes.reference={folder / 'genes'}",
            f"genes.personal={folder / 'genes'}",
            f"out={folder / name}-{strategy}",
        )
        settings = [word for value in (*SMALL, *values) for word in ("--set", value)]
        assert _run("train", f"{name}-{strategy}", *settings) == 0
        resolved = yaml.safe_load((folder / f"{name}-{strategy}/config.yml").read_text())
        assert resolved["training"]["learning_rate"] == 1e-4
        tables.append(folder / f"{name}-{strategy}.parquet")
        chosen = ("--individuals", folder / "test", "--genes", folder / "genes")
        words = ("--cohort", demo_cohort.folder, *chosen, "--out", tables[-1])
        assert _run("predict", folder / f"{name}-{strategy}/checkpoint", *words) == 0
        predicted = pl.read_parquet(tables[-1])
        assert predicted["predicted"].is_finite().all()
        assert predicted["predicted"].n_unique() > predicted["gene"].n_unique() == 4
    sides = ("--cohort", demo_cohort.folder, "--split", folder / "split.json")
    assert _run("evaluate", *tables, *sides, "--out", folder / f"{name}-evaluation") == 0
    cells = json.loads((folder / f"{name}-evaluation/metrics.json").read_text())["cells"]
    assert any(name in model for model in cells["seen_gene/new_individual"])


def test_a_plan_of_the_reference_alone_serves_a_reference_phase(
    folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    store = folder / "reference alone"
    words = _plan_words(folder, demo_cohort, "kmer", store, "--reference-only")
    assert run([*words, "--individuals", str(folder / "test")]) == 2
    assert "--reference-only embeds nobody" in capsys.readouterr().err
    assert run(words) == 0
    assert "4 genes in 0 people: 4 windows with the references, 4 of them unique" in capsys.readouterr().out
    assert _run("embed", "run", store) == 0
    values = (
        f"cohort={demo_cohort.folder}",
        f"split={folder / 'split.json'}",
        f"embeddings={store}",
        f"window={WINDOW}",
        f"genes.reference={folder / 'genes'}",
    )
    settings = [word for value in (*SMALL, *values) for word in ("--set", value)]
    assert _run("train", "kmer-reference", *settings, "--set", f"out={folder / 'from the reference'}") == 0
    assert _run("train", "kmer-personal", *settings, "--set", f"out={folder / 'none'}") == 1
    assert "the embedding store lacks" in capsys.readouterr().err


def test_evo2_from_the_plan_to_the_evaluation(
    folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its library on a CPU, with a small model, by the stand-ins of `evo2_shims`."""
    if find_spec("evo2") is None:
        pytest.skip("needs the extra evo2 (Python 3.11 or 3.12)")
    store, weights = folder / "store of evo2", folder / "evo2"
    program = [sys.executable, str(Path(__file__).parents[1] / "evo2_shims.py"), "--weights", str(weights)]
    for words in (_plan_words(folder, demo_cohort, "evo2", store), ["embed", "run", str(store)]):
        done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    unique = _unique(demo_cohort, folder, "evo2")
    assert f"{unique:,} windows went through the model" in done.stderr
    spec = Store.open(store).spec
    assert (spec.width, spec.rows, spec.dtype, spec.model["precision"]) == (64, WINDOW, "bf16", "bfloat16")
    assert _run("embed", "finish", store) == 0
    _train_and_evaluate(folder, demo_cohort, "evo2", store)
    # without the stand-ins this machine has no GPU, and says so
    capsys.readouterr()
    assert run(_plan_words(folder, demo_cohort, "evo2", folder / "none", "--keep", "mean")) == 1
    told = capsys.readouterr()
    assert "NVIDIA GPU" in told.err
    assert f"{unique:,} of them unique" in told.out  # what can be said without one


def test_any_model_of_the_hub(folder: Path, demo_cohort: Cohort) -> None:
    write_esm(folder / "huggingface", [*kmers(6), *"ACGTN"])
    store = folder / "store of huggingface"
    assert run(_plan_words(folder, demo_cohort, "huggingface", store, "--tile", 300, "--overlap", 60)) == 0
    assert _run("embed", "run", store) == 0
    assert _run("embed", "finish", store) == 0
    spec = Store.open(store).spec
    assert (spec.token_bp, spec.tiling) == (6, {"tile": 300, "overlap": 60})
    values = (
        f"cohort={demo_cohort.folder}",
        f"split={folder / 'split.json'}",
        f"embeddings={store}",
        f"window={WINDOW}",
        "backbone.name=huggingface",
        f"genes.personal={folder / 'genes'}",
        f"out={folder / 'huggingface run'}",
    )
    settings = [word for value in (*SMALL, *values) for word in ("--set", value)]
    assert _run("train", "kmer-personal", *settings) == 0


def test_killed_in_the_middle_and_gone_on_with_by_two_gives_the_same_store(
    folder: Path, demo_cohort: Cohort
) -> None:
    alone, shared = folder / "alone", folder / "shared"
    for store in (alone, shared):
        more = ("--shard-haplotypes", 2, "--keep", "tokens")
        assert run(_plan_words(folder, demo_cohort, "caduceus-ph", store, *more)) == 0
    command = [sys.executable, "-m", "glm2x", "embed", "run", str(shared), "--processes", "1"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL)
    _wait_for_shards(shared, 3, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    total = len(Store.open(shared))
    planned = _unique(demo_cohort, folder, "caduceus-ph")
    assert 0 < total < planned
    two = [subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=300)[1] for process in two]
    assert [process.returncode for process in two] == [0, 0], told
    assert subprocess.run([*command[:-3], str(alone)], env=surroundings, check=True).returncode == 0
    for store in (alone, shared):
        assert _run("embed", "gc", store) == 0
        assert _run("embed", "finish", store) == 0
        assert _run("embed", "verify", store) == 0
    for part in ("shards", "index"):
        names = sorted(path.name for path in (alone / part).iterdir())
        assert names == sorted(path.name for path in (shared / part).iterdir())
        assert filecmp.cmpfiles(alone / part, shared / part, names, shallow=False) == (names, [], [])
    assert len(Store.open(shared)) == planned


def _wait_for_shards(store: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(6_000):
        if len(list((store / "index").glob("*.parquet"))) >= count:
            return
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.01)
    raise AssertionError("no shard was written")


def test_several_processes_started_by_one_command(folder: Path, demo_cohort: Cohort) -> None:
    store = folder / "two processes"
    words = _plan_words(folder, demo_cohort, "kmer", store, "--keep", "mean", "--shard-haplotypes", 4)
    assert run(words) == 0
    command = [sys.executable, "-m", "glm2x", "embed", "run", str(store), "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = [int(line.split()[0]) for line in done.stderr.splitlines() if "went through the model" in line]
    assert counts == [_unique(demo_cohort, folder, "kmer")]
    assert len(workers(store)) == 2
    assert _run("embed", "finish", store) == 0


def test_what_is_stored_is_what_the_model_gives(folder: Path, demo_cohort: Cohort) -> None:
    from glm2x.backbones.kmer import Kmer
    from glm2x.embeddings.key import sequence_key

    store = Store.open(folder / "store of kmer")
    gene = HaplotypeDictionary(demo_cohort, WINDOW).gene(_lines(folder / "genes")[1])
    person = demo_cohort.individuals.index(_lines(folder / "test")[0])
    for codes in (gene.reference, *gene.codes(gene.index[person])):
        expected = Kmer()(torch.from_numpy(np.array(codes))[None])[0]
        assert torch.equal(store.read(sequence_key(codes)).float(), expected.bfloat16().float())


def test_a_model_on_embeddings_says_what_it_lacks(
    folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    checkpoint = folder / "kmer-personal/checkpoint"
    everybody = ("--cohort", demo_cohort.folder, "--out", tmp_path / "all.parquet")
    assert _run("predict", checkpoint, *everybody) == 1
    told = capsys.readouterr().err
    assert "the embedding store lacks" in told
    assert "glm2x embed plan" in told
    other = tmp_path / "another"
    words = _plan_words(folder, demo_cohort, "kmer", other, "--dtype", "fp32")
    assert run(words) == 0
    capsys.readouterr()
    assert _run("predict", checkpoint, *everybody, "--embeddings", other) == 1
    assert "made with another numeric type" in capsys.readouterr().err


def test_training_without_a_store_says_how_to_make_one(
    folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = (f"cohort={demo_cohort.folder}", f"split={folder / 'split.json'}", f"out={tmp_path / 'run'}")
    settings = [word for value in values for word in ("--set", value)]
    assert _run("train", "kmer-personal", *settings, "--set", "embeddings=null") == 2
    assert "glm2x embed plan --backbone kmer" in capsys.readouterr().err
    assert _run("train", "kmer-personal", *settings, "--set", f"embeddings={tmp_path / 'none'}") == 1
    assert "there is no embedding store" in capsys.readouterr().err
    stored = f"embeddings={folder / 'store of kmer'}"
    assert _run("train", "kmer-personal", *settings, "--set", stored) == 2  # of 64 kb
    assert "window" in capsys.readouterr().err
    assert _run("train", "onehot-personal", *settings, "--set", stored) == 2
    assert "reads no embeddings" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_cannot_fit_is_refused_before_anything_is_written(
    folder: Path,
    demo_cohort: Cohort,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from collections import namedtuple

    from glm2x.embeddings import plan

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    assert run(_plan_words(folder, demo_cohort, "kmer", tmp_path / "store")) == 1
    told = capsys.readouterr().err
    assert "do not fit on the disk" in told
    assert "1.0 kB free" in told
    assert not (tmp_path / "store").exists()


def test_what_waits_to_be_computed_needs_room_too(
    folder: Path,
    demo_cohort: Cohort,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from collections import namedtuple

    from glm2x.embeddings import plan

    (tmp_path / "gene").write_text(f"{demo_cohort.gene_ids[0]}\n")
    store, split = tmp_path / "store", folder / "split.json"
    words = ("--backbone", "kmer", "--cohort", demo_cohort.folder, "--split", split, "--device", "cpu")
    words = ("embed", "plan", *words, "--window", WINDOW, "--out", store, "--genes")
    assert _run(*words, tmp_path / "gene") == 0
    opened = Store.open(store)
    first = plan.waiting(opened)
    size = opened.spec.bytes_of_one
    more = _unique(demo_cohort, folder, "kmer") - first
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage(10**9, 0, more * size))
    capsys.readouterr()
    assert _run(*words, folder / "genes") == 1
    assert f"for {first + more:,} haplotypes" in capsys.readouterr().err
    assert _run(*words, tmp_path / "gene") == 0  # nothing is left to plan
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage(10**9, 0, (first + more) * size))
    assert _run(*words, folder / "genes") == 0


@pytest.mark.parametrize(("size", "code"), [(2**31, 2), (2**31 - 1, 0)])
def test_a_batch_is_no_larger_than_what_there_is_to_do(
    size: int, code: int, folder: Path, demo_cohort: Cohort, tmp_path: Path
) -> None:
    more = ("--keep", "mean", "--batch-size", size)
    assert run(_plan_words(folder, demo_cohort, "kmer", tmp_path / "store", *more)) == code
    if code == 0:
        assert _run("embed", "run", tmp_path / "store") == 0
        assert _run("embed", "finish", tmp_path / "store") == 0


def test_processes_that_one_command_started_end_with_it(demo_cohort: Cohort, tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = ("--backbone", "kmer", "--cohort", demo_cohort.folder, "--window", 64_000, "--device", "cpu")
    (tmp_path / "genes").write_text("\n".join(demo_cohort.gene_ids[:3]))
    words = (*words, "--genes", tmp_path / "genes", "--keep", "mean", "--shard-haplotypes", 1)
    assert _run("embed", "plan", *words, "--out", store) == 0
    command = [sys.executable, "-m", "glm2x", "embed", "run", str(store), "--processes", "2"]
    parent = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    _wait_for_shards(store, 1, parent)
    for _ in range(6_000):
        if len(workers(store)) == 2:
            break
        time.sleep(0.01)
    started = workers(store)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=120) == 143
    assert len(started) == 2
    assert not alive(started)
    assert not list((store / "shards").glob(".*"))  # nothing half-written

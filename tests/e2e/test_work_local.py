"""Work by processes of this machine: the plain command's bytes, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from glm2x.claims import claimed
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.files import sha256
from glm2x.provenance import artefact
from glm2x.seal import sealed
from glm2x.sidecar import history_of
from work_cases import (
    QUICK,
    alive,
    completed,
    end_started,
    glm2x,
    plan_baseline,
    plan_store,
    results,
    start,
    starts,
    status,
    wait_until,
    workers,
)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks at processes as Linux shows them"
)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of eight genes, a list of four, and what the plain commands make of them."""
    folder = tmp_path_factory.mktemp("work")
    replace(demo_split, seen=demo_split.seen[:8]).save(folder / "split.json")
    (folder / "genes").write_text("\n".join(demo_cohort.gene_ids[:4]) + "\n")
    plain = folder / "plain"
    words = ("baseline", demo_cohort.folder, "--split", folder / "split.json", "--models", QUICK)
    more = ("--genes-out", plain / "genes.parquet", "--weights-out", plain / "weights.parquet")
    assert glm2x(*words, "--out", plain / "predictions.parquet", *more) == 0
    plan_store(demo_cohort, folder / "genes", folder / "store")
    assert glm2x("embed", "run", folder / "store", "--workers", 1) == 0
    assert glm2x("embed", "finish", folder / "store") == 0
    return folder


@pytest.mark.parametrize("how", [["--workers", 1], ["--workers", 2]], ids=["here", "two"])
def test_baselines_are_the_plain_command_s_bytes(
    how: list[object], folder: Path, demo_cohort: Cohort, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work)
    assert glm2x("work", "run", work, *how) == 0
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")
    assert set(starts(work).values()) == {1}
    assert len(starts(work)) == 8
    told = history_of([artefact("predictions", work / "predictions.parquet")])
    assert [made.words[:2] for made in told.made] == [("work", "plan"), ("work", "run"), ("work", "finish")]
    planned, _, finished = told.made
    split = Split.load(folder / "split.json").digest
    assert {(one.role, one.digest) for one in planned.inputs} == {
        ("cohort", demo_cohort.digest),
        ("split", split),
    }
    assert [(one.role, one.digest) for one in finished.inputs] == [("cohort", demo_cohort.digest)]
    written = {one.role: one.digest for one in finished.outputs}
    assert written == {name: sha256(work / f"{name}.parquet") for name in ("predictions", "genes", "weights")}
    assert [one.role for one in told.unrecorded] == ["cohort", "split"]  # which tests make otherwise


def test_embeddings_are_the_same_bytes_by_two_processes(
    folder: Path, demo_cohort: Cohort, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    plan_store(demo_cohort, folder / "genes", store)
    assert glm2x("embed", "run", store, "--workers", 2) == 0
    assert glm2x("work", "finish", store) == 0
    assert results(store) == results(folder / "store")
    assert set(starts(store).values()) == {1}
    assert len(workers(store)) == 2


def test_shard_by_shard_as_any_scheduler_does(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work, 3)
    assert glm2x("work", "finish", work) == 1
    assert "3 of 3 shards are not done, 0 of them failed" in capsys.readouterr().err
    for shard in (2, 0, 2, 1):
        assert glm2x("work", "run", work, "--shard", shard) == 0
    told = capsys.readouterr().err
    assert told.count("is made") == 3
    assert told.count("was there") == 1
    assert glm2x("work", "run", work, "--shard", 3) == 2
    assert "0 to 2" in capsys.readouterr().err
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")


def test_a_damaged_part_is_named_and_made_again(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work, 4)
    assert glm2x("work", "run", work) == 0
    part = work / "parts/00001.part"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    assert [title[:8] for title in status(work, capsys)["damaged"]] == ["shard 1:"]
    assert glm2x("work", "finish", work) == 1
    assert "damaged: its checksum is another" in capsys.readouterr().err
    assert glm2x("work", "run", work) == 0
    assert "was damaged: its checksum is another; it was made again" in capsys.readouterr().err
    assert starts(work) == {"00000": 1, "00001": 2}
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")


def test_killed_at_any_moment_and_run_again(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    """The starter is killed, its workers notice and end; then a worker is, and is replaced."""
    work, chance = tmp_path / "work", random.Random(0)
    plan_baseline(demo_cohort, folder / "split.json", work)
    with ExitStack() as held:  # three of the eight shards, so that none of these runs comes to its end
        assert all(held.enter_context(claimed(work, f"{i:05d}")) for i in (5, 6, 7))
        for reached in (1, 3):
            process = start("work", "run", work, "--workers", 2)
            wait_until(lambda: len(completed(work)) >= reached)  # noqa: B023
            wait_until(lambda: chance.random() < 0.2)
            assert process.poll() is None
            process.kill()
            process.communicate()
            wait_until(lambda: not alive(workers(work)))
    made = completed(work)
    assert set(made.values()) == {1}
    process = start("work", "run", work, "--workers", 2)
    known = set(workers(work))
    wait_until(lambda: set(workers(work)) - known or process.poll() is not None)
    for worker in list(set(workers(work)) - known)[:1]:  # none where the eight shards were made before
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert set(completed(work).values()) == {1}
    assert sum(starts(work).values()) <= 8 + 2 * 2 + 1  # of each that was killed, the shard in hand
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")
    assert not alive(workers(work))


def test_told_to_end_it_takes_its_workers_along(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work)
    process = start("work", "run", work, "--workers", 2)
    wait_until(lambda: len(workers(work)) == 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert not alive(workers(work))
    assert not list((work / "parts").glob(".*"))  # nothing half-written


def test_two_runs_at_once_share_the_work(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work)
    both = [start("work", "run", work, "--workers", 1) for _ in range(2)]
    told = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert completed(work) == dict.fromkeys((f"{i:05d}" for i in range(8)), 1)
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")


def test_a_shard_that_fails_stops_no_other_and_is_named(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work, 4)
    plan = json.loads((work / "plan.json").read_text())
    gene, plan["shards"][0]["genes"][0] = plan["shards"][0]["genes"][0], "nobody"
    (work / "plan.json").write_text(json.dumps(sealed(plan)))
    capsys.readouterr()
    assert glm2x("work", "run", work, "--workers", 2) == 1
    assert "1 of 2 shards failed; the others have gone on" in capsys.readouterr().err
    assert completed(work) == {"00001": 1}
    for verb in ("status", "finish"):
        assert glm2x("work", verb, work) == 1
        told = capsys.readouterr().err
        assert "shard 0: 22:" in told
        assert "KeyError: 'nobody'" in told
    assert "Traceback" in (work / "errors/00000.txt").read_text()
    plan["shards"][0]["genes"][0] = gene
    (work / "plan.json").write_text(json.dumps(sealed(plan)))
    assert glm2x("work", "run", work) == 0
    assert not list((work / "errors").iterdir())
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")


def test_a_worker_that_is_always_killed_is_given_up(
    folder: Path,
    demo_cohort: Cohort,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a shard that takes more memory than there is."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if 'glm2x.work.worker' in sys.orig_argv:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    work = tmp_path / "work"
    plan_baseline(demo_cohort, folder / "split.json", work, 4)
    capsys.readouterr()
    assert glm2x("work", "run", work, "--workers", 2) == 1
    told = capsys.readouterr().err
    assert told.count("a worker was ended by SIGKILL") == 2 * 3
    assert "was ended by SIGKILL, 3 times: is there enough memory?" in (work / "errors/00000.txt").read_text()


def test_what_is_no_work_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert glm2x("work", "run", tmp_path) == 2
    assert "there is no work in this folder" in capsys.readouterr().err
    (tmp_path / "plan.json").write_text(json.dumps({"format_version": 2}))
    assert glm2x("work", "run", tmp_path) == 1
    assert "the plan of a work folder is damaged, or of another version" in capsys.readouterr().err


def test_few_people_drawn_again_and_again_are_one_table(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (demo_cohort.folder, "--split", folder / "split.json", "--models", "ridge,gblup")
    drawn = ("--few-shot", "10,20", "--draws", 2)
    assert glm2x("baseline", *words, *drawn, "--out", tmp_path / "predictions.parquet") == 0
    work = tmp_path / "work"
    assert glm2x("work", "plan", "baseline", *words, *drawn, "--keep-weights", "--out", work) == 2
    assert "--keep-weights is of one fit" in capsys.readouterr().err
    assert glm2x("work", "plan", "baseline", *words, *drawn, "--out", work) == 0
    assert glm2x("work", "run", work) == 0
    assert glm2x("work", "finish", work) == 0
    written = (work / "predictions.parquet").read_bytes()
    assert written == (tmp_path / "predictions.parquet").read_bytes()

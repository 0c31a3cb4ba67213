"""Two processes under torchrun: they end in what one ends in, or in one message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_norm
import training_ranks
from safetensors.torch import load_file
from training_fakes import FakeCohort, FakeSource
from training_ranks import CASES, SGD

from glm2x.errors import UsageError
from glm2x.files import sha256
from glm2x.training.predict import predict
from glm2x.training.runfolder import RunFolder


@pytest.fixture(autouse=True)
def norm(monkeypatch: pytest.MonkeyPatch) -> None:
    training_norm.register(monkeypatch)


def torchrun(verb: str, folder: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [*words, training_ranks.__file__, verb, str(folder)]
    return subprocess.Popen(command, env=environment, text=True, **options)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return its exit code and what it said on standard error, its end not being waited for forever."""
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, said or ""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two processes, all in one process group."""
    folder = tmp_path_factory.mktemp("two")
    code, said = ended(torchrun("every_case", folder, stderr=subprocess.PIPE))
    assert code == 0, said
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_on_half_batches_equal_one_on_whole_batches(
    two: Path, tmp_path: Path, case: str
) -> None:
    one = training_ranks.run(tmp_path / "one", **(SGD | CASES[case]))
    start = training_ranks.run(tmp_path / "start", **(SGD | CASES[case] | {"training__learning_rate": 1e-30}))
    pair = RunFolder(two / case)
    assert (one.facts()["processes"], pair.facts()["processes"]) == (1, 2)
    for mine, theirs in zip(one.read_history(), pair.read_history(), strict=True):
        for key in ("train_loss", "validation_loss", "validation_pearson"):
            assert theirs[key] == pytest.approx(mine[key], abs=1e-5)
    moved = 0.0
    for phase in ("reference", "personal"):
        first, second, untrained = (
            load_file(run.phase(phase) / "last/model.safetensors") for run in (one, pair, start)
        )
        for name, tensor in first.items():
            torch.testing.assert_close(second[name], tensor, rtol=0, atol=1e-5)
            moved = max(moved, float((tensor - untrained[name]).abs().max()))
    assert moved > 1e-2, "the test needs parameters that move"


def test_the_learning_rate_is_multiplied_where_the_rule_says_so(two: Path) -> None:
    """Half the rate, times two processes: the very same training."""
    twice, once = RunFolder(two / "times-devices"), RunFolder(two / "smooth-l1")
    assert {epoch["learning_rate"] for epoch in twice.read_history()} == {0.05}
    same = "phases/personal/last/model.safetensors"
    assert sha256(twice.path / same) == sha256(once.path / same)


def test_predictions_are_shared_by_gene_and_gathered(two: Path) -> None:
    alone = predict(two / "smooth-l1/checkpoint", FakeCohort(), source=FakeSource(), device="cpu")
    for rank in (0, 1):
        np.testing.assert_array_equal(np.load(two / f"predicted-{rank}.npy"), alone)


def test_running_statistics_are_averaged_but_for_frozen_layers(two: Path) -> None:
    for rank in (0, 1):
        assert np.load(two / f"statistics-{rank}.npy").tolist() == [rank, rank, 0.5, 0.5]


def test_one_that_is_killed_and_started_again_ends_in_the_same_weights(two: Path, tmp_path: Path) -> None:
    """With dropout, and BatchNorm in training mode; torchrun starts both processes again."""
    out = tmp_path / "run"
    process = torchrun("go_on", out, "--max-restarts", "1", stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while len(RunFolder(out).read_history()) < 30 + 4:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(0.005)
    os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)
    code, said = ended(process)
    assert code == 0, said
    for path in sorted((two / "whole").rglob("*.safetensors")):
        assert sha256(out / path.relative_to(two / "whole")) == sha256(path), path


def test_an_error_on_one_rank_ends_both_with_one_message(tmp_path: Path) -> None:
    code, said = ended(torchrun("fail", tmp_path / "run", stderr=subprocess.PIPE))
    assert code != 0
    ours = said[: said.index("torch/distributed/elastic")]  # what follows is torchrun's own account
    assert ours.count("glm2x: ") == ours.count("this process cannot read") == 1
    assert "where:  1" in ours
    assert "Traceback" not in ours[: ours.rindex("glm2x: ")]


def test_a_process_that_ends_without_a_word_is_told_of_by_the_other(tmp_path: Path) -> None:
    code, said = ended(torchrun("end_without_a_word", tmp_path / "run", stderr=subprocess.PIPE))
    assert code != 0
    assert said.count("glm2x: another process of this training ended without a word") == 1


def test_more_processes_than_there_are_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="asks for 2 processes, and there is one") as error:
        training_ranks.run(tmp_path / "run", training__devices=2)
    assert "torchrun --standalone --nproc-per-node 2 -m glm2x train" in error.value.do
    assert not (tmp_path / "run").exists()

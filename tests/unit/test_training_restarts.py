"""Who has started a training, and which runs it may go on with unasked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glm2x.files import write_json
from glm2x.training.restarts import BY, starter_again, starters


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)


def test_a_person_is_no_starter(tmp_path: Path) -> None:
    assert starters() == {}
    write_json(tmp_path / "run.json", {BY: []})
    assert starter_again(tmp_path) is None


@pytest.mark.parametrize(("count", "times"), [(None, 0), ("0", 0), ("3", 3), ("many", 0)])
def test_starters_count_how_often_they_have(
    monkeypatch: pytest.MonkeyPatch, count: str | None, times: int
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "leonardo")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    if count is not None:
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", count)
    found = starters()
    assert list(found.values()) == [times, times]
    slurm, torchrun = found
    assert slurm == "SLURM job 12 of leonardo"
    assert torchrun.startswith(f"torchrun none, process {os.getppid()} of ")


@pytest.mark.parametrize("where", ["run.json", "few-shot-n10-draw0/run.json"])
def test_a_starter_goes_on_with_what_it_has_begun_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    mine = list(starters())
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert starter_again(tmp_path) is None  # nothing is there yet
    (tmp_path / where).parent.mkdir(exist_ok=True)
    for begun_by, expected in ((mine, mine[0]), ([], None), (["SLURM job 13 of a cluster"], None)):
        write_json(tmp_path / where, {BY: begun_by}, force=True)
        assert starter_again(tmp_path) == expected
    write_json(tmp_path / where, {}, force=True)  # a person's
    assert starter_again(tmp_path) is None
    write_json(tmp_path / where, {BY: mine}, force=True)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert starter_again(tmp_path) is None

"""An interrupted run that is gone on with ends in the same numbers, bit for bit, as one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import training_fakes
from training_fakes import StoppedError, make_split, run_training, stop_after

from glm2x.errors import DataError, UsageError
from glm2x.files import sha256
from glm2x.training import checkpoint as checkpoint_module
from glm2x.training import loop
from glm2x.training.runfolder import RunFolder

STEPS = 3 + 18  # of the two phases of three epochs: 1 and 6 steps an epoch


def weights(run: RunFolder) -> list[str]:
    paths = sorted(run.path.rglob("*.safetensors"))
    return [f"{path.relative_to(run.path)} {sha256(path)}" for path in paths]


def history(run: RunFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in run.read_history()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_training(tmp_path_factory.mktemp("whole") / "run")


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    assert run.facts()["done"]
    assert weights(run) == weights(whole)
    assert history(run) == history(whole)
    assert not [path for path in run.path.rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize("stop", [1, 2, 4, 9, 10, 20, STEPS])
def test_stopped_at_a_step(tmp_path: Path, whole: RunFolder, stop: int) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(stop))
    assert_same(run_training(tmp_path / "run", resume=True), whole)


def test_stopped_again_and_again(tmp_path: Path, whole: RunFolder) -> None:
    for _ in range(20):
        try:
            run = run_training(tmp_path / "run", resume=True, progress=stop_after(8))
            break
        except StoppedError:
            continue
    else:
        pytest.fail("it never finished")
    assert_same(run, whole)


@pytest.mark.parametrize("call", range(1, 10))
def test_stopped_while_something_is_written(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Dies in the middle of the n-th checkpoint: best and last of both phases, in every order."""
    calls = 0

    def dies(folder: Path, *rest: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise StoppedError
        checkpoint_module.save_checkpoint(folder, *rest)

    monkeypatch.setattr(loop, "save_checkpoint", dies)
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run")
    monkeypatch.undo()
    assert_same(run_training(tmp_path / "run", resume=True), whole)


def test_a_torn_or_extra_line_of_the_history_is_removed(tmp_path: Path, whole: RunFolder) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(10))
    with (tmp_path / "run" / "history.jsonl").open("a") as handle:
        handle.write(json.dumps({"phase": "personal", "epoch": 2, "train_loss": 99}) + '\n{"phase": "per')
    assert_same(run_training(tmp_path / "run", resume=True), whole)


def test_a_line_of_a_finished_epoch_that_is_lost_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(10))
    path = tmp_path / "run" / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) > 1
    for damaged, got in (
        ("".join(lines[1:]), "lines of the reference phase"),
        ("".join([lines[0][:-9] + "\n", *lines[1:]]), '{"phase": "reference"'),
    ):
        path.write_text(damaged)
        with pytest.raises(DataError, match="the history of a run is damaged") as error:
            run_training(tmp_path / "run", resume=True)
        assert got in error.value.got
    path.write_text("".join(lines).replace('"epoch": 1', '"epoch": 3', 1))
    with pytest.raises(DataError, match=r"history\.jsonl was changed after it was made"):
        run_training(tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_not_what_a_run_ends_with(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run")
    best = run.phase("personal") / "best"
    source = best if best.is_dir() else run.phase("personal") / "last"
    weights = source / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.safetensors is not what was written"):
        checkpoint_module.copy_for_prediction(source, tmp_path / "copy", run.history)
    assert not (tmp_path / "copy").exists()


def test_resume_starts_where_there_is_nothing(tmp_path: Path, whole: RunFolder) -> None:
    assert_same(run_training(tmp_path / "run", resume=True), whole)


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run")
    before = run.run.read_text(), weights(run)
    assert run_training(tmp_path / "run", resume=True).path == run.path
    assert (run.run.read_text(), weights(run)) == before


def test_an_interrupted_run_is_not_touched_unasked(tmp_path: Path, whole: RunFolder) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(9))
    with pytest.raises(UsageError, match="holds an interrupted run") as error:
        run_training(tmp_path / "run")
    assert error.value.do == "--resume goes on where it stopped; --force starts anew"
    assert_same(run_training(tmp_path / "run", force=True), whole)
    with pytest.raises(UsageError, match="holds a finished run") as error:
        run_training(tmp_path / "run")
    assert error.value.do == "--force replaces it; or give another out"


def test_what_is_no_run_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("all my work")
    for force in (False, True):
        with pytest.raises(UsageError, match="holds no run, so it is not touched"):
            run_training(tmp_path / "run", force=force)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "all my work"


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert run_training(tmp_path / "run", training__epochs=1).facts()["done"]


def test_another_configuration_is_refused_by_key(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2))
    with pytest.raises(UsageError, match="started with another configuration") as error:
        run_training(tmp_path / "run", resume=True, training__seed=7, loss__alpha=0.5)
    assert error.value.got == "loss.alpha: 0.5, training.seed: 7"
    assert error.value.wanted == "loss.alpha: 0.3, training.seed: 3"


def test_another_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2))
    with pytest.raises(DataError, match="started with another split"):
        run_training(tmp_path / "run", resume=True, split=make_split(seed=1))


def test_resume_and_force_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        run_training(tmp_path / "run", resume=True, force=True)


def test_two_processes_do_not_write_to_one_run(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2))
    for options in ({"resume": True}, {"force": True}):
        with (
            RunFolder(tmp_path / "run").locked(),
            pytest.raises(UsageError, match="another process is training"),
        ):
            run_training(tmp_path / "run", **options)


@pytest.mark.parametrize("content", ["", "- a list", "{"])
def test_a_spoilt_configuration_of_the_run_is_a_data_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2))
    (tmp_path / "run" / "config.yml").write_text(content)
    with pytest.raises(DataError, match="configuration is not readable"):
        run_training(tmp_path / "run", resume=True)


def test_a_run_of_another_format_is_refused(tmp_path: Path) -> None:
    run_training(tmp_path / "run", training__epochs=1)
    (tmp_path / "run" / "run.json").write_text('{"format_version": 2, "done": false}')
    with pytest.raises(DataError, match=r"run\.json is not of a format version"):
        run_training(tmp_path / "run", training__epochs=1, resume=True)


def test_a_head_with_batch_normalisation_and_dropout_goes_on_bit_for_bit(tmp_path: Path) -> None:
    changes = {"head__name": "tower", "window": 146 * 256, "training__batch_size": 8}
    whole = run_training(tmp_path / "whole", **changes)
    stop = 3 + 4  # in the second of the personal phase's epochs of three steps
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(stop), **changes)
    assert_same(run_training(tmp_path / "run", resume=True, **changes), whole)


@pytest.mark.parametrize(("phase", "stop"), [("reference", 2), ("personal", 5)])
def test_another_list_of_genes_under_the_same_name_is_refused(tmp_path: Path, phase: str, stop: int) -> None:
    (tmp_path / "list").write_text("g0\ng1\n")
    changes = {f"genes__{phase}": str(tmp_path / "list")}
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(stop), **changes)
    (tmp_path / "list").write_text("g0\n")
    with pytest.raises(DataError, match=f"started with other samples of the {phase} phase"):
        run_training(tmp_path / "run", resume=True, **changes)
    (tmp_path / "list").write_text("# the same genes\ng1\ng0\n")
    assert run_training(tmp_path / "run", resume=True, **changes).facts()["done"]


def test_other_expression_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(5))
    target = training_fakes.make_values()
    target.values[1, 4] += 0.5
    monkeypatch.setattr(training_fakes, "make_values", lambda: target)
    with pytest.raises(DataError, match="started with other samples of the personal phase"):
        run_training(tmp_path / "run", resume=True)


def test_another_checkpoint_to_start_from_is_refused(tmp_path: Path) -> None:
    start = run_training(tmp_path / "start", training__epochs=1).checkpoint
    changes = {"start_from": str(start)}
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(5), **changes)
    run_training(tmp_path / "start", training__epochs=1, training__seed=9, force=True)
    for other in (changes, {}):
        with pytest.raises(DataError, match="started with another checkpoint in start_from"):
            run_training(tmp_path / "run", resume=True, **other)


def test_the_same_folders_may_be_spelt_otherwise(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoppedError):
        run_training("run", progress=stop_after(5))
    assert_same(run_training(tmp_path / "run", resume=True, cohort=str(tmp_path / "cohort")), whole)


def test_surroundings_are_recorded_when_a_run_starts(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(1))
    facts = RunFolder(tmp_path / "run").facts()
    assert (facts["device"], facts["threads"]) == ("cpu", torch.get_num_threads())
    assert facts["versions"]["torch"] == torch.__version__


def test_going_on_under_other_surroundings_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(1))
    folder = RunFolder(tmp_path / "run")
    folder.record(device="cuda:0", processes=4, versions=folder.facts()["versions"] | {"torch": "1.0"})
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", resume=True, progress=stop_after(1))
    facts = run_training(tmp_path / "run", resume=True).facts()  # this one changes nothing any more
    assert facts["warnings"] == [
        f"gone on with under torch {torch.__version__} after 1.0 and device cpu after cuda and "
        "processes 1 after 4: an uninterrupted run would end in other digits"
    ]
    assert facts["versions"]["torch"] == torch.__version__


def test_an_undisturbed_run_has_no_warnings(tmp_path: Path, whole: RunFolder) -> None:
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(1))
    assert "warnings" not in run_training(tmp_path / "run", resume=True).facts()
    assert "warnings" not in whole.facts()

"""Parts, stretches, boards and grids, each by itself."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glm2x.baselines.fitting import FittedGene
from glm2x.baselines.parts import as_bytes, from_bytes
from glm2x.baselines.summary import FittedModel
from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError, UsageError
from glm2x.progress import silent
from glm2x.reml import Heritability
from glm2x.work.board import Board
from glm2x.work.folder import Input, Parts, Plan, read_plan, write_plan
from glm2x.work.kinds import kind_of
from glm2x.work.stretches import stretches
from glm2x.work.unit import Outcome, error_path, read_errors, read_log, run_shard


class Made:
    """Work whose shards are what a function does."""

    kind, threads, device = "made", 1, "cpu"

    def __init__(self, folder: Path, *does: Any) -> None:
        self.folder, self.does, self.parts = folder, does, Parts(folder)

    def __len__(self) -> int:
        return len(self.does)

    def name(self, i: int) -> str:
        return f"{i:05d}"

    def title(self, i: int) -> str:
        return f"shard {i}"

    def lacking(self, i: int) -> str | None:
        return self.parts.lacking(self.name(i))

    def undone(self) -> list[int]:
        return [i for i in range(len(self)) if self.lacking(i) is not None]

    def compute(self, i: int) -> None:
        self.parts.write(self.name(i), self.does[i]())


def fails() -> bytes:
    raise DataError("no such thing", where="here")


def test_a_shard_is_made_once_and_a_failure_is_on_record(tmp_path: Path) -> None:
    work = Made(tmp_path, lambda: b"content", fails, lambda: 1 / 0)
    assert [run_shard(work, i).state for i in (0, 0, 1, 2)] == ["done", "there", "failed", "failed"]
    assert work.parts.read("00000") == b"content"
    errors = read_errors(work)
    assert errors[1] == "shard 1\nno such thing\n  where:  here"
    assert errors[2] == "shard 2\nZeroDivisionError: division by zero"
    assert "Traceback" in error_path(work, 2).read_text()
    assert work.undone() == [1, 2]
    assert Counter(line["event"] for line in read_log(tmp_path)) == {"start": 3, "done": 1, "failed": 2}
    work.does = (fails, lambda: b"now", fails)
    assert run_shard(work, 1) == Outcome(1, "done")
    assert list(read_errors(work)) == [2]


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:7] + b"x" + b[8:], lambda b: b""])
def test_a_part_that_is_not_whole_is_made_again_and_said(spoil: Any, tmp_path: Path) -> None:
    work = Made(tmp_path, lambda: b"some content")
    run_shard(work, 0)
    path = work.parts.path("00000")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match="a part is damaged: its checksum is another"):
        work.parts.read("00000")
    assert run_shard(work, 0) == Outcome(0, "done", "damaged: its checksum is another")
    assert work.parts.read("00000") == b"some content"


def test_what_ends_the_process_leaves_a_shard_as_if_not_begun(tmp_path: Path) -> None:
    def ended() -> bytes:
        raise SystemExit(143)

    work = Made(tmp_path, ended)
    with pytest.raises(SystemExit):
        run_shard(work, 0)
    assert not read_errors(work)
    assert not list((tmp_path / "claims").iterdir())


def test_a_board_asks_again_for_what_others_have_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glm2x.work import board as module

    monkeypatch.setattr(module, "PAUSE", 0.0)
    said: list[str] = []
    with silent("", 0) as bar:
        board = Board(Made(tmp_path, *[fails] * 3), [0, 1, 2], bar, said.append)
        assert [board.take(), board.take()] == [0, 1]
        board.put(Outcome(0, "elsewhere"))
        board.put(Outcome(1, "failed", "no"))
        assert [board.take(), board.take()] == [2, 0]
        board.put(Outcome(2, "done", "damaged"))
        assert board.take() is None
        board.put(Outcome(0, "there"))
        assert board.take() is None
    assert (board.done, board.counts["there"], board.failed) == ([2], 1, {1: "no"})
    assert said == [
        "  shard 1 failed: no",
        "  note: waiting for shards that another run has in hand",
        "  note: shard 2 was damaged; it was made again",
    ]
    with pytest.raises(DataError, match="1 of 3 shards failed") as error:
        board.require_done()
    assert str(tmp_path / "errors/00001.txt") in str(error.value)


def test_fits_come_back_to_the_last_bit() -> None:
    third = np.array([1 / 3, -0.0, 5e-324])
    weighed = FittedModel(
        third, 9, 3, 2, 0.1, None, Heritability(0.2, np.nan, 0.0, 1.0, 0.5), 1.5, third, third[:0]
    )
    plain = FittedModel(third[:2], 8, None, None, None, None, None)
    fitted = [
        FittedGene([weighed, plain], False, Counter({"lasso": 4}), [("overflow", RuntimeWarning)]),
        FittedGene([plain, plain], True, Counter(), []),
    ]
    content = as_bytes(["a", "b"], fitted)
    found = from_bytes(content)
    assert list(found) == ["a", "b"]
    assert as_bytes(list(found), list(found.values())) == content
    one = found["a"].models[0]
    assert one.predicted is not None
    assert one.predicted.tobytes() == third.tobytes()
    assert one.means is not None
    assert one.means.shape == (0,)
    assert np.isnan(one.heritability.se)
    assert found["a"].warnings == [("overflow", RuntimeWarning)]
    assert found["a"].unconverged == {"lasso": 4}
    assert found["b"].models[1].weights is None
    assert found["b"].null


def test_stretches_hold_neighbours_of_one_contig(demo_cohort: Cohort) -> None:
    genes = demo_cohort.gene_ids[::-1]
    found = stretches(demo_cohort, genes, 10)
    assert [len(stretch.genes) for stretch in found] == [10, 10, 6]
    order = [gene for stretch in found for gene in stretch.genes]
    assert sorted(order) == sorted(genes)
    starts = [demo_cohort.gene(gene).tss for gene in order]
    assert starts == sorted(starts)
    assert (found[0].start, found[0].end) == (starts[0], starts[9])
    assert str(found[2]).startswith(f"22:{starts[20] + 1:,}-{starts[25] + 1:,} (6 genes, from ")


def test_plans_come_back_and_damaged_ones_are_named(tmp_path: Path) -> None:
    plan = Plan("baseline", {"a": [1]}, {"cohort": Input("x", "ab")}, [["g"]], ["one"], 2, "cpu")
    write_plan(tmp_path / "work", plan, lambda folder: (folder / "beside").touch())
    assert (tmp_path / "work/beside").exists()
    beside = {"beside": hashlib.sha256(b"").hexdigest()}
    assert read_plan(tmp_path / "work") == replace(plan, files=beside)
    with pytest.raises(UsageError, match="is there already"):
        write_plan(tmp_path / "work", plan, lambda folder: None)
    with pytest.raises(DataError, match="the cohort is another than the one that was planned with"):
        plan.require("cohort", "cd", tmp_path)
    path = tmp_path / "work/plan.json"
    content = json.loads(path.read_text())
    for damaged in ({"threads": 0}, {"titles": []}, {"inputs": 3}, {"more": 1}, {"format_version": 2}):
        path.write_text(json.dumps(content | damaged))
        with pytest.raises(DataError, match="damaged, or of another version"):
            read_plan(tmp_path / "work")
    with pytest.raises(DataError, match="of a kind that is not known"):
        kind_of("os", "here")


def test_a_work_folder_that_has_gone_is_not_made_again_for_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    work = Made(folder, lambda: folder.rename(tmp_path / "moved") and b"content")
    with pytest.raises(DataError, match="work has gone while it was being written to"):
        run_shard(work, 0)
    assert not folder.exists()


def test_a_board_that_is_broken_off_gives_out_nothing_and_raises_the_first_problem(tmp_path: Path) -> None:
    board = Board(Made(tmp_path, fails, fails), [0, 1], None, lambda text: None)  # type: ignore[arg-type]
    for name in ("first", "second"):
        board.break_off(DataError(name))
    assert board.take() is None
    with pytest.raises(DataError, match="first"):
        board.require_done()

"""Damaged lists of people, as `glm2x split` reads them, and files that may not be read."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from fuzz_base import inputs
from fuzz_case import ENCODINGS, Run

TRAIN = b"# a comment\nann\n\nbob\n"
LISTS: dict[str, bytes] = {
    "unknown": b"ann\nzed\n",
    "twice": b"ann\nbob\nann\n",
    "in-both": b"ann\ncyd\n",
    "comments-only": b"#ann\n#bob\n",
    "two-on-a-line": b"ann bob\n",
    "with-a-tab": b"ann\tGBR\nbob\tGBR\n",
    "blanks-around": b"  ann\nbob  \n",
    "quoted": b'"ann"\n"bob"\n',
    "of-1-mb": b"a" * 1_000_000 + b"\n",
    "escape": b"\x1b[31mann\nbob\n",
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, run_case: Run) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    words = inputs().write(folder)
    assert run_case(words, folder)["status"] == 0
    return folder / "out/cohort"


def names(data: bytes) -> list[str] | None:
    """Return the people of a list where it is one: known people, each once, one a line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    found = [line for line in lines if line and not line.startswith("#")]
    return found if found and set(found) <= {"ann", "bob"} and len(set(found)) == len(found) else None


@pytest.mark.parametrize("name", ["as-it-is", *LISTS, *ENCODINGS])
def test_a_damaged_list_of_people(name: str, cohort: Path, tmp_path: Path, run_case: Run) -> None:
    damaged = LISTS.get(name, TRAIN)
    if name in ENCODINGS:
        damaged = ENCODINGS[name][0](TRAIN, random.Random(name))
    (tmp_path / "train.txt").write_bytes(damaged)
    (tmp_path / "test.txt").write_bytes(b"cyd\ndee\n")
    lists = ["--train", str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.txt")]
    done = run_case(["split", str(cohort), *lists, "--out", str(tmp_path / "split.json")], tmp_path)
    said = done["stderr"]
    assert "Traceback" not in said, said
    right = names(damaged)
    if done["status"] == 0:
        assert right is not None
        content = json.loads((tmp_path / "split.json").read_text())
        assert sorted(content["train"]) == sorted(right)
        return
    assert right is None or name not in ("as-it-is", "bom", "crlf", "blanks-around", "no-last-newline"), said
    assert done["status"] in (1, 2)
    assert said.startswith("glm2x: "), said
    assert not set(said) & set(map(chr, [*range(10), *range(11, 32)])), repr(said)
    assert not (tmp_path / "split.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["v.vcf", "ref.fa", "expression.bed", "covariates.txt", "individuals.tsv"])
def test_a_file_that_may_not_be_read(name: str, tmp_path: Path, run_case: Run) -> None:
    words = inputs().write(tmp_path)
    (tmp_path / name).chmod(0)
    done = run_case(words, tmp_path)
    assert done["status"] == 1
    assert done["stderr"].startswith("glm2x: ")
    assert name in done["stderr"]
    assert "Traceback" not in done["stderr"]

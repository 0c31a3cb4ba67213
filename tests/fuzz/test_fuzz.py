"""Damaged inputs: each ends in one clear error or in what the files say, never in a wrong haplotype.

Each case runs `glm2x cohort build` in a process of its own. Where the command succeeds, everything the
cohort holds is compared with what `fuzz_oracle` reads from the same damaged files by other means. One
case alone: ``pytest tests/fuzz -k vcf-flip-3``; a case's name is its seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzz_base import PEOPLE, Inputs, inputs
from fuzz_case import Case, Run
from fuzz_expression_cases import CASES as EXPRESSION_CASES
from fuzz_index_cases import CASES as INDEX_CASES
from fuzz_oracle import expected
from fuzz_oracle_tables import NonsenseError
from fuzz_packed_cases import CASES as PACKED_CASES
from fuzz_reference_cases import CASES as REFERENCE_CASES
from fuzz_table_cases import CASES as TABLE_CASES
from fuzz_vcf_cases import CASES as VCF_CASES

WINDOWS = [50, 2000]  # the second holds every contig whole, whichever gene
CASES = [*VCF_CASES, *PACKED_CASES, *INDEX_CASES, *REFERENCE_CASES, *TABLE_CASES, *EXPRESSION_CASES]
MADE_BESIDE = {".fai", ".gzi"}  # indices that may be made beside a reference that has none


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_input(case: Case, tmp_path: Path, run_case: Run) -> None:
    made = case.make()
    words = made.write(tmp_path)
    (tmp_path / "out").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    done = run_case(words, tmp_path, windows=WINDOWS)
    new = {p.name for p in tmp_path.iterdir()} - before - {"stderr", "stdout", "read.json"}
    assert not {name for name in new if Path(name).suffix not in MADE_BESIDE}, new
    assert not done["killed"], "it hung"
    assert done["status"] in (0, 1, 2), done
    if done["status"]:
        refused(done["stderr"], case, tmp_path)
        assert case.verdict != "right", done["stderr"]
        return
    assert case.verdict != "refused", f"accepted: {done['stderr']}"
    held = json.loads((tmp_path / "read.json").read_text())
    differences = different(held, oracle(inputs() if case.verdict == "same" else made))
    assert not differences, (differences, done["stderr"])


def refused(said: str, case: Case, folder: Path) -> None:
    """Check that there is one clear message, and that nothing is left behind."""
    assert "Traceback" not in said, said
    assert said.startswith("glm2x: "), said
    assert said.count("glm2x: ") == 1, said
    assert all(line.startswith("  ") for line in said.splitlines()[1:]), said
    assert any(name in said for name in case.blamed), said
    assert len(said) < 2500, f"{len(said)} characters: {said[:300]}"
    assert said.isprintable() or not set(said) - {"\n"} & set(map(chr, range(32))), repr(said)
    assert list((folder / "out").iterdir()) == []


def oracle(made: Inputs) -> dict[str, Any]:
    """Return what the files say, or fail where they say nothing and were accepted."""
    files = {option: made.bytes_of(name) for option, name in made.options.items()}
    try:
        return expected(files, WINDOWS)
    except NonsenseError as error:
        pytest.fail(f"accepted, though the files say nothing: {error}")


def different(held: dict[str, Any], says: dict[str, Any]) -> list[str]:
    """Return what differs between a cohort and what its files say, each in a few words."""
    found = [key for key in says if key != "sequences" and held[key] != says[key]]
    for place, sequences in says["sequences"].items():
        for row, sequence in enumerate(sequences):
            if held["sequences"].get(place, [None] * (row + 1))[row] != sequence:
                found.append(f"haplotype {row} of {place}")
    return [f"{one}: {held.get(one)!s:.300} for {says.get(one)!s:.300}" for one in found[:5]]


@pytest.mark.parametrize("reference", ["ref.fa", "ref.fa.gz"])
@pytest.mark.parametrize("variants", ["v.vcf", "v.vcf.gz", "v.bcf"])
def test_the_undamaged_cohort(variants: str, reference: str, tmp_path: Path, run_case: Run) -> None:
    made = inputs(variants, reference)
    words = made.write(tmp_path)
    done = run_case(words, tmp_path, windows=WINDOWS)
    assert done["status"] == 0, done["stderr"]
    held = json.loads((tmp_path / "read.json").read_text())
    says = oracle(made)
    assert different(held, says) == []
    assert held["individuals"] == list(PEOPLE)
    whole = says["sequences"]["gA 2000"]
    assert len(set(whole)) == 2 * len(PEOPLE)  # nobody's haplotypes could be taken for another's
    printed = run_case(
        ["haplotypes", str(tmp_path / "out/cohort"), "--gene", "gB", "--individual", "cyd", "--window", "50"],
        tmp_path,
    )
    assert printed["status"] == 0
    lines = (tmp_path / "stdout").read_text().splitlines()
    assert lines == [">cyd_1", says["sequences"]["gB 50"][4], ">cyd_2", says["sequences"]["gB 50"][5]]


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(CASES) >= 300
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.verdict for case in CASES} == {"either", "right", "same", "refused"}

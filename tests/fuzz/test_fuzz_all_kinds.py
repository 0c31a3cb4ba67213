"""Damaged variant files read with ``--variant-kind all``: each ends in one clear error or in a whole cohort.

What the haplotypes must be is held by the property tests and the frozen cases; here the dictionary must agree
with haplotypes made one at a time, and nothing may be a traceback, a hang, or left behind.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzz_case import Case, Run
from fuzz_packed_cases import CASES as PACKED_CASES
from fuzz_vcf_cases import CASES as VCF_CASES
from test_fuzz import WINDOWS, refused

CASES = [*VCF_CASES, *PACKED_CASES][::3]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_variant_file_with_all_kinds(case: Case, tmp_path: Path, run_case: Run) -> None:
    words = [*case.make().write(tmp_path), "--variant-kind", "all"]
    (tmp_path / "out").mkdir()
    done = run_case(words, tmp_path, windows=WINDOWS)
    assert not done["killed"], "it hung"
    assert done["status"] in (0, 1, 2), done
    if done["status"]:
        refused(done["stderr"], case, tmp_path)
    else:
        assert json.loads((tmp_path / "read.json").read_text())["genes"]

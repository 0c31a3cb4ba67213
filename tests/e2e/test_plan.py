"""`glm2x plan` counts in a cohort what `glm2x embed plan` counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort


def test_plan_counts_what_embed_plan_counts(
    demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "plan",
        "--cohort",
        str(demo_cohort.folder),
        "--backbones",
        "caduceus-ph",
        "--disk-gb",
        "1e6",
        "--json",
    ]
    assert run([*words, "--window", "2000"]) == 0
    planned = json.loads(capsys.readouterr().out)["backbones"][0]
    words = ["embed", "plan", "--backbone", "kmer", "--cohort", str(demo_cohort.folder), "--window", "2000"]
    assert run([*words, "--keep", "mean", "--out", str(tmp_path / "store")]) == 0
    found = re.search(r": ([\d,]+) windows with the references, ([\d,]+) of them", capsys.readouterr().out)
    assert found is not None
    windows, unique = (int(text.replace(",", "")) for text in found.groups())
    assert planned["windows"] == windows
    # two neighbouring genes with one sequence would be one embedding
    assert unique <= planned["unique_windows"] <= unique + 26
    assert (
        run(
            [
                "plan",
                "--cohort",
                str(demo_cohort.folder),
                "--backbones",
                "caduceus-ph",
                "--disk-gb",
                "1e6",
                "--window",
                "2000",
                "--min-maf",
                "0.2",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["backbones"][0]["unique_windows"] < unique

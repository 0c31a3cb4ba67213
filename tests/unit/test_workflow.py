"""The Snakemake workflow: linted, and what its configuration may hold. A page of the docs runs it whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOW = Path(__file__).parents[2] / "workflow"
SHIPPED: dict[str, Any] = yaml.safe_load((WORKFLOW / "config.yml").read_text())

pytestmark = pytest.mark.skipif(find_spec("snakemake") is None, reason="needs snakemake")


def snakemake(folder: Path, config: Mapping[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder that has the files which the shipped configuration names."""
    for name in SHIPPED["cohort"].values():
        (folder / name).touch()
    (folder / "study.yml").write_text(yaml.safe_dump(dict(config)))
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile")),
            *("--configfile", "study.yml", "--cores", "2", *words),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def commands(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """The commands of a dry run."""
    ran = snakemake(folder, config, "--dry-run", "--printshellcmds")
    assert ran.returncode == 0, ran.stderr
    mark = "Shell command: "
    said = (ran.stdout + ran.stderr).splitlines()
    told = [line.strip().removeprefix(mark) for line in said if line.strip().startswith(mark)]
    return [line for line in told if "glm2x" in line]  # the rule `all` has none


def test_its_lint_finds_nothing(tmp_path: Path) -> None:
    # where no container is named, the lint asks for one in each rule
    ran = snakemake(tmp_path, {**SHIPPED, "container": "glm2x.sif"}, "--lint")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_shipped_configuration_holds_every_key() -> None:
    schema = yaml.safe_load((WORKFLOW / "config.schema.yml").read_text())
    assert set(SHIPPED) == set(schema["properties"])
    assert set(SHIPPED["threads"]) == set(schema["properties"]["threads"]["properties"])


def test_a_cohort_alone_is_evaluated_by_its_baselines(tmp_path: Path) -> None:
    told = commands(tmp_path, {"cohort": {"variants": "cohort.vcf.gz", "expression": "expression.bed.gz"}})
    verbs = sorted(" ".join(line.split()[1:3]) for line in told)
    assert verbs == [
        *("baseline study/cohort", "cohort build", "evaluate study/predictions/baselines.parquet"),
        *("report study/evaluation", "split study/cohort"),
    ]


def test_each_model_is_trained_with_each_seed_and_options_are_passed_on(tmp_path: Path) -> None:
    model = {"experiment": "kmer-personal", "store": "kmer", "set": {"target": "z-score", "window": 2050}}
    config = {**SHIPPED, "models": {"tower": model}, "seeds": [3, 5], "runners": 2}
    told = commands(tmp_path, {**config, "predict": {"device": "cpu", "genes": "some genes.txt"}})
    trained = sorted(line for line in told if "glm2x train" in line)
    assert len(trained) == 2
    assert "--set training.seed=3" in trained[0]
    assert "--set 'embeddings=\"study/stores/kmer\"'" in trained[0]
    assert "--set 'target=\"z-score\"' --set window=2050" in trained[0]
    assert sum("glm2x embed run study/stores/kmer" in line for line in told) == 2
    assert sum("--device cpu --genes 'some genes.txt'" in line for line in told) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modells": {}}, "modells"),
        ({"models": {"a": {"experiment": "kmer-personal", "store": "nt"}}}, "models.a.store is 'nt'"),
        ({"models": {"../a": {"experiment": "kmer-personal"}}}, "'../a' does not match"),
        ({"models": {"a": {"experiment": "kmer-personal", "set": {"out": "x"}}}}, "'out'"),
        ({"split": {"out": "x"}}, "'out'"),
        ({"cohort": {"expression": "expression.bed.gz"}}, "'variants' is a required property"),
        ({"seeds": []}, "[] should be non-empty"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    ran = snakemake(tmp_path, {**SHIPPED, **change}, "--dry-run")
    assert ran.returncode != 0
    assert said in ran.stdout + ran.stderr

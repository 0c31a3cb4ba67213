"""`glm2x cohort build` killed at several moments: nothing looks finished, and it can be run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "src/glm2x/demo/data"
SECONDS = 120  # a build takes 2 s


def command(out: Path) -> list[str]:
    """The build of the demo's cohort, in a process of its own."""
    options = {
        "--variants": "genotypes.vcf.gz",
        "--expression": "expression.bed.gz",
        "--reference": "reference.fa.gz",
        "--individuals": "individuals.tsv",
        "--covariates": "covariates.txt.gz",
    }
    words = [word for option, name in options.items() for word in (option, str(DATA / name))]
    return [sys.executable, "-m", "glm2x", "cohort", "build", *words, "--out", str(out)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a cohort but the record of how it was made, which holds the time that took."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "made.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "cohort"
    subprocess.run(command(out), check=True, stderr=subprocess.DEVNULL)
    return contents(out)


def writing(folder: Path) -> list[Path]:
    """What a build is writing: the hidden folder beside the place of the cohort."""
    return [path for path in folder.iterdir() if path.name.startswith(".cohort.partial")]


def holds(pattern: str) -> Callable[[Path], bool]:
    """Return whether the half-written cohort has a file of a pattern yet."""
    return lambda folder: any(path for aside in writing(folder) for path in aside.rglob(pattern))


# in the order in which they come; what a build has not written yet when it is ended differs at each
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "as it starts": lambda _: True,
    "a folder is there": lambda folder: bool(writing(folder)),
    "a table is there": holds("*.parquet"),
    "the variants are there": holds("variants/*.npy"),
    "the reference is there": holds("reference/*.npy"),
}


def end(folder: Path, moment: Callable[[Path], bool], by: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a build, end it as soon as the moment has come, and return the process."""
    process = subprocess.Popen(command(folder / "cohort"), stderr=subprocess.PIPE)
    deadline = time.monotonic() + SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline and not moment(folder):
            time.sleep(0.0005)
    finally:
        process.send_signal(by)
        process.wait(SECONDS)
    return process


def require_nothing_finished(folder: Path, process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    """Check that a build was ended before its end, and left nothing under the final name."""
    assert process.returncode != 0, "the build was quicker than the signal"
    assert process.returncode in (-by, 128 + by)
    assert not os.path.lexists(folder / "cohort")
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_built_again(moment: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    process = end(tmp_path, MOMENTS[moment], signal.SIGKILL)
    require_nothing_finished(tmp_path, process, signal.SIGKILL)
    refused = subprocess.run(
        [sys.executable, "-m", "glm2x", "cohort", "check", str(tmp_path / "cohort")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "there is no cohort" in refused.stderr
    subprocess.run(command(tmp_path / "cohort"), check=True, stderr=subprocess.DEVNULL)
    assert contents(tmp_path / "cohort") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]  # nothing half-written remains


@pytest.mark.parametrize("moment", list(MOMENTS)[1:])  # before that there is no handler yet
def test_a_scheduler_ends_it(moment: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    process = end(tmp_path, MOMENTS[moment], signal.SIGTERM)
    require_nothing_finished(tmp_path, process, signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []  # SIGTERM leaves time to tidy up
    subprocess.run(command(tmp_path / "cohort"), check=True, stderr=subprocess.DEVNULL)
    assert contents(tmp_path / "cohort") == undisturbed


def test_a_cohort_that_is_there_outlives_a_killed_rebuild(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    out = tmp_path / "cohort"
    subprocess.run(command(out), check=True, stderr=subprocess.DEVNULL)
    process = subprocess.Popen([*command(out), "--force"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline and not holds("*.parquet")(tmp_path):
            time.sleep(0.0005)
    finally:
        process.kill()
        process.wait(SECONDS)
    assert process.returncode == -signal.SIGKILL, "the build was quicker than the signal"
    assert contents(out) == undisturbed


def test_two_builds_at_once_leave_one_whole_cohort(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    builds = [subprocess.Popen(command(tmp_path / "cohort"), stderr=subprocess.PIPE) for _ in range(2)]
    said = [build.communicate(timeout=SECONDS)[1] for build in builds]
    codes = sorted(build.returncode for build in builds)
    assert codes in ([0, 2], [0, 1]), said
    assert not any(b"Traceback" in one for one in said)
    assert contents(tmp_path / "cohort") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]

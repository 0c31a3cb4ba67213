"""The definitions of the container images: linted, and both the same. CI does their steps, too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
sys.path.insert(0, str(CONTAINERS))

from rehearse import copied, steps  # noqa: E402


def program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def findings(*words: object, given: str | None = None) -> str:
    ran = subprocess.run([*map(str, words)], input=given, capture_output=True, text=True)
    return ran.stdout + ran.stderr


def sections() -> dict[str, str]:
    """The sections of the Apptainer definition; what stands before them is the header."""
    parts = re.split(r"^%(\w+)\n", (CONTAINERS / "glm2x.def").read_text(), flags=re.MULTILINE)
    return {"header": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def dockerfile() -> list[tuple[str, str]]:
    return steps((CONTAINERS / "Dockerfile").read_text())


def test_hadolint_finds_nothing() -> None:
    assert findings(program("hadolint"), CONTAINERS / "Dockerfile") == ""


def test_hadolint_would_find_something() -> None:
    assert "DL3006" in findings(program("hadolint"), "-", given="FROM debian\n")


def test_shellcheck_finds_nothing() -> None:
    shellcheck = program("shellcheck")
    assert findings(shellcheck, CONTAINERS / "install.sh") == ""
    for name in ("post", "environment", "runscript", "test"):
        assert findings(shellcheck, "--shell=sh", "-", given=sections()[name]) == "", name


def test_both_images_are_made_of_the_same_in_the_same_way() -> None:
    of_docker = dockerfile()
    base = next(words for name, words in of_docker if name == "FROM")
    assert f"From: {base}\n" in sections()["header"]
    files = [pair for name, words in of_docker if name == "COPY" for pair in copied(words)]
    assert [tuple(line.split()) for line in sections()["files"].split("\n") if line.strip()] == files
    assert [words for name, words in of_docker if name == "RUN"] == [sections()["post"].strip()]


def test_docker_is_given_all_that_it_copies_and_no_more() -> None:
    files = [source for name, words in dockerfile() if name == "COPY" for source, _ in copied(words)]
    lines = (CONTAINERS / "Dockerfile.dockerignore").read_text().split("\n")
    assert [line.removeprefix("!") for line in lines if line.startswith("!")] == files
    assert all((ROOT / source).exists() for source in files)


def test_the_extras_that_are_installed_are_extras_of_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = re.search(r"^extras=(.*)$", (CONTAINERS / "install.sh").read_text(), re.MULTILINE)
    assert found is not None
    assert set(found[1].split(",")) <= set(extras)


def test_lines_of_a_dockerfile_that_go_on_are_one_step() -> None:
    assert steps("# base\nFROM a\n\nRUN one && \\\n    two\n") == [("FROM", "a"), ("RUN", "one && two")]
    assert copied("a b /opt/c/") == [("a", "/opt/c/a"), ("b", "/opt/c/b")]
    assert copied("src /opt/c/src") == [("src", "/opt/c/src")]

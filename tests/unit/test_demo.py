"""The demo types its commands: what it prints, and how it ends where one of them fails."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from glm2x.cli import run
from glm2x.demo import run as demo_run


def stages(monkeypatch: pytest.MonkeyPatch, *commands: list[str]) -> None:
    """Let the demo type other, quicker commands."""
    monkeypatch.setattr(demo_run, "_stages", lambda out, seed: [("what", list(words)) for words in commands])


def test_each_command_is_printed_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stages(monkeypatch, ["backbones", "onehot"], ["backbones", "kmer"])
    assert run(["demo", "--out", "a demo"]) == 0
    shown = capfd.readouterr()
    assert "$ glm2x backbones onehot\n" in shown.err
    assert shown.err.index("backbones onehot") < shown.err.index("backbones kmer")
    assert (tmp_path / "a demo/data/genotypes.vcf.gz").is_file()


def test_its_commands_name_nothing_outside_their_folder() -> None:
    for _, words in demo_run._stages(Path("demo-out"), 3):
        assert not any(word.startswith(("/", "cohort=/")) for word in words), shlex.join(words)
    typed = [shlex.join(words) for _, words in demo_run._stages(Path("demo-out"), 3)]
    assert typed[1] == "split demo-out/cohort --preset s250 --out demo-out/split.json"
    assert "--set training.seed=3" in typed[3]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["split", "nothing", "--preset", "s250", "--out", "split.json"], 1, "there is no cohort"),
        (["config", "show", "no-such-experiment"], 2, "no-such-experiment"),
        (["split"], 2, "glm2x split --help"),
    ],
)
def test_a_command_that_fails_ends_it_with_its_code_and_one_message(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    stages(monkeypatch, words, ["backbones", "onehot"])
    assert run(["demo", "--out", "demo"]) == code
    shown = capfd.readouterr()
    assert shown.err.count("glm2x: ") == 1
    assert message in shown.err
    assert "backbones onehot" not in shown.err


def test_an_interrupt_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glm2x.backbones.registry.get", interrupted)
    stages(monkeypatch, ["backbones", "onehot"], ["backbones", "kmer"])
    assert run(["demo", "--out", str(tmp_path / "demo")]) == 130
    assert capfd.readouterr().err.count("interrupted") == 1


def test_what_is_there_is_replaced_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stages(monkeypatch, ["config", "show"])
    (tmp_path / "demo").mkdir()
    assert run(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "--force" in capfd.readouterr().err

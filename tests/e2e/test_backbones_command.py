"""`glm2x backbones NAME`: what it says of a machine, without importing what it describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from glm2x import __version__
from glm2x.backbones.registry import backbones, get
from glm2x.cli import run
from s2f_checkpoints import write_hub_cache

S2F = ("enformer", "borzoi", "alphagenome")
LABELS = [
    *("name", "package", "kind", "input", "output", "width", "head", "parameters"),
    *("memory", "weights", "licence", "here"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    return tmp_path


def said(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["backbones", name]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", S2F)
def test_it_imports_nothing_of_it(name: str) -> None:
    program = (
        "import sys, json; from glm2x.cli import run\n"
        f"code = run(['backbones', {name!r}])\n"
        "names = ['torch', 'transformers', 'huggingface_hub', 'numpy', *json.loads(sys.argv[1])]\n"
        "print(code, [n for n in names if n in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    words = [sys.executable, "-c", program, json.dumps(get(name).needs)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_list_has_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "kind", "weights"]
    assert [line.split()[0] for line in lines[1:]] == [info.name for info in backbones()]


def test_json_is_all_that_stands_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backbones", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)["backbones"]
    assert [one["name"] for one in every] == [info.name for info in backbones()]
    assert run(["backbones", "onehot", "--json"]) == 0
    (onehot,) = json.loads(capsys.readouterr().out)["backbones"]
    assert onehot == every[0]
    assert (onehot["kind"], onehot["width"], onehot["lacks"]) == ("trainable", 48, [])
    assert list(onehot) == [
        *("name", "package", "kind", "input", "output", "width", "head", "parameters", "memory", "weights"),
        *("licence", "lacks"),
    ]


@pytest.mark.parametrize("name", ["onehot", *S2F])
def test_it_says_what_a_user_asks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, info = said(name, capsys), get(name)
    labels = [line.split(":")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert labels == LABELS
    assert text.splitlines()[1].split() == ["package:", "glm2x", __version__]
    for value in (info.input, info.output, info.parameters, info.memory, info.weights, info.licence):
        assert value
        assert value in text
    assert ("GB in bf16-mixed" in text) == (name != "onehot")


def test_what_lacks_and_the_commands_that_mend_it(
    own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"enformer_pytorch", "alphagenome_pt"}
    find = util.find_spec

    def some(name: str, *rest: Any) -> Any:
        return None if name in gone else find(name, *rest)

    monkeypatch.setattr(util, "find_spec", some)
    text = said("enformer", capsys)
    assert "lacks enformer_pytorch: pip install enformer-pytorch\n" in text
    weights = "lacks the weights (not in {}): hf download {}\n"
    assert weights.format(own_cache, "EleutherAI/enformer-official-rough") in text
    assert "HF_HUB_OFFLINE" not in text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in said("enformer", capsys)
    assert "pip install" not in said("borzoi", capsys)
    text = said("alphagenome", capsys)
    assert "lacks alphagenome_pt: pip install 'glm2x[alphagenome]'\n" in text
    name = "RylieWeaver/alphagenome-pytorch v1.0.0/alphagenome_all_folds.safetensors"
    assert weights.format(own_cache, name) in text


def test_weights_in_the_hubs_cache(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = write_hub_cache(own_cache, "EleutherAI/enformer-official-rough", "0" * 40)
    (snapshot / "config.json").write_text("{}")
    assert "lacks the weights" in said("enformer", capsys)
    (snapshot / "pytorch_model.bin").write_bytes(b"")
    assert said("enformer", capsys).splitlines()[-1].split() == ["here:", "ready"]


def test_evo2_on_a_machine_that_has_it(
    own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are one .pt file, and flash-attn is in no extra."""
    there = {"evo2", "flash_attn_2_cuda"}
    monkeypatch.setattr(util, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr("shutil.which", lambda name: name)
    snapshot = write_hub_cache(own_cache, "arcinstitute/evo2_7b", "0" * 40)
    assert "lacks the weights" in said("evo2", capsys)
    (snapshot / "evo2_7b.pt").write_bytes(b"")
    assert said("evo2", capsys).splitlines()[-1].split() == ["here:", "ready"]
    there.remove("flash_attn_2_cuda")
    assert "lacks flash_attn_2_cuda: pip install flash-attn\n" in said("evo2", capsys)
    there.clear()
    wanted = "lacks evo2 and flash_attn_2_cuda: pip install 'glm2x[evo2]' flash-attn\n"
    assert wanted in said("evo2", capsys)


def test_onehot_lacks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert said("onehot", capsys).splitlines()[-1].split() == ["here:", "ready"]

"""Packages that declare backbones, as an installer leaves them: a module and its distribution's metadata."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

DESCRIPTION = """
from glm2x.backbones.info import BackboneInfo

INFO = BackboneInfo(
    name={name!r}, kind={kind!r}, input="codes", output="tokens", width=2,
    tokens_for=lambda window: -(-window // 4), head="attention-pool", weights="none", licence="MIT",
    memory="none", needs=(), module={module!r}, parameters="none",
)
"""
FROZEN = """
import torch
from glm2x.backbones.language import LanguageModel

class Model(LanguageModel):
    width = 2
    token_bp = 4
    longest = None
    made = 0

    def __init__(self):
        super().__init__()
        Model.made += 1
        self.number = Model.made
        self.spec = {"architecture": {}}

    def forward(self, codes):
        padded = torch.nn.functional.pad(codes, (0, -codes.shape[1] % 4), value=4)
        cells = padded.reshape(len(codes), -1, 4).float()
        tokens = torch.stack([cells.mean(2), cells[..., 0]], dim=2)
        return tokens

def build(config):
    return Model()
"""
TRAINABLE = """
import torch
from glm2x.backbones.base import Backbone

class Model(Backbone):
    width = 2
    made = 0

    def __init__(self):
        super().__init__()
        Model.made += 1
        self.number = Model.made
        self.linear = torch.nn.Linear(4, 2)

    def tokens(self, window):
        return -(-window // 4)

    def forward(self, inputs):
        padded = torch.nn.functional.pad(inputs, (0, -inputs.shape[1] % 4), value=4)
        tokens = self.linear(padded.reshape(len(inputs), -1, 4).float())
        return tokens

def build(window, config, spec=None):
    return Model()
"""


def install(
    folder: Path, package: str, backbone: str, *, kind: str = "frozen", version: str = "1.0", code: str = ""
) -> None:
    """Write a package of two modules, `{package}_info` and `{package}_model`, that declares one backbone."""
    module = package.replace("-", "_")
    description = DESCRIPTION.format(name=backbone, kind=kind, module=f"{module}_model")
    (folder / f"{module}_info.py").write_text(description)
    (folder / f"{module}_model.py").write_text(code or (FROZEN if kind == "frozen" else TRAINABLE))
    declare(folder, package, {backbone: f"{module}_info:INFO"}, version)


def declare(folder: Path, package: str, entries: dict[str, str], version: str = "1.0") -> None:
    """Write the metadata of a distribution that declares these entry points."""
    metadata = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (metadata / "entry_points.txt").write_text(f"[glm2x.backbones]\n{lines}")


def install_source(source: Path, site: Path) -> None:
    """Install a package from its folder, without a download; skip where what installs is lacking."""
    for module in ("pip", "hatchling"):
        if find_spec(module) is None:
            pytest.skip(f"installing the example package needs {module}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as folder:  # the build leaves nothing beside the source
        copy = Path(folder) / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
        command = [sys.executable, "-m", "pip", *words, str(site), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr

"""A backbone with BatchNorm and dropout, small enough for tests, as a registered backbone's module is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from glm2x.backbones import registry
from glm2x.backbones.base import Backbone
from glm2x.config import BackboneConfig

PATCH, WIDTH = 32, 6
loaded: list[str] = []  # the weights that were looked for


class Norm(Backbone):
    """Two stages of a linear layer over a patch, BatchNorm, ReLU and dropout."""

    width = WIDTH

    def __init__(self, *, dropout: float, keeps_statistics: bool) -> None:
        super().__init__()
        self.first = nn.ModuleList([nn.Linear(4 * PATCH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(dropout)])
        self.second = nn.ModuleList([nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(dropout)])
        self.keeps_statistics = keeps_statistics
        self.activation_checkpointing = False
        self.calls: list[tuple[int, bool]] = []  # windows, and whether a gradient is kept

    def tokens(self, window: int) -> int:
        return window // PATCH

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls.append((len(inputs), torch.is_grad_enabled()))
        one_hot = functional.one_hot(inputs.long(), 5)[..., :4].float()
        x = one_hot.reshape(-1, 4 * PATCH)
        for stage in self.stages():
            if self.activation_checkpointing:
                x = checkpoint(_through, stage, x, use_reentrant=False)
            else:
                x = _through(stage, x)
        return x.reshape(len(inputs), -1, WIDTH)

    def stages(self) -> Sequence[nn.Module]:
        return (self.first, self.second)

    def train(self, mode: bool = True) -> Norm:
        super().train(mode)
        if self.keeps_statistics:
            self.first[1].eval()
            self.second[1].eval()
        return self


def _through(stage: Any, x: Tensor) -> Tensor:
    linear, norm, dropout = stage
    return dropout(functional.relu(norm(linear(x))))


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> Norm:
    """`weights` says what kind of the backbone: ``plain``, ``eval-norm`` or ``dropout``."""
    if spec is None:
        loaded.append(str(config.weights))
        architecture = {"kind": config.weights or "plain"}
        spec = {"architecture": architecture, "weights": "fake/norm", "revision": "abc"}
    kind = spec["architecture"]["kind"]
    backbone = Norm(dropout=0.5 if kind == "dropout" else 0.0, keeps_statistics=kind == "eval-norm")
    with torch.no_grad():
        for norm in (backbone.first[1], backbone.second[1]):
            norm.running_var.uniform_(0.5, 1.5)  # so that evaluation is no identity
    backbone.spec = spec
    return backbone


def register(monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Make the backbone known as ``norm``, for good or for a test."""
    info = replace(
        registry.get("onehot"),
        name="norm",
        module=__name__,
        width=WIDTH,
        tokens_for=lambda window: window // PATCH,
        head="attention-pool",
    )
    known = (*registry._BACKBONES, info)
    if monkeypatch is None:
        registry._BACKBONES = known
    else:
        monkeypatch.setattr(registry, "_BACKBONES", known)

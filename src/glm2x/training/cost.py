"""What one window costs on this machine: measured with the models themselves, on random letters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam

from glm2x.backbones.device import require_device
from glm2x.backbones.registry import build, build_language_model, get
from glm2x.config import BackboneConfig
from glm2x.embeddings.describe import seconds_a_window, spec_of
from glm2x.heads.registry import build_head
from glm2x.training.model import ExpressionModel

_PEOPLE = 8  # of a step of a Tower, as in the shipped experiments
_TIMES = 2  # the first one also pays for what is made once


class Seconds(NamedTuple):
    """Seconds of one window: of a forward pass without gradients, and of a training step."""

    forward: float
    train: float


def measure(config: BackboneConfig, window: int, rows: int, device: str) -> Seconds:
    """Measure a backbone, and the training of it or of its head.

    Parameters
    ----------
    config
        The backbone, with its official weights or those of a folder.
    window
        Base pairs.
    rows
        Of a frozen backbone: how many the head reads of a window.
    device
        As ``--device``.

    Raises
    ------
    UsageError
        No such backbone or device, or a window that it cannot take.
    DataError
        Its weights are not there.
    """
    kind = require_device(device)
    info = get(config.name)
    if info.kind == "frozen":
        model = build_language_model(config)
        spec = spec_of(
            info.name,
            model,
            window,
            keep="mean",
            bins=None,
            dtype=None,
            strand="gene",
            tile=None,
            overlap=None,
            device=kind,  # type: ignore[arg-type]
        )
        forward = seconds_a_window(model, spec, kind, 1)
        head = build_head(info.head, model.width, rows).to(kind)
        tokens = torch.randn(2 * _PEOPLE, rows, model.width, device=kind)
        return Seconds(forward, _seconds(lambda: _step(head, tokens)) / len(tokens))
    backbone = build(config.name, window, config)
    head = build_head(info.head, backbone.width, backbone.tokens(window))
    whole = ExpressionModel(backbone, head).to(kind)
    codes = torch.randint(0, 4, (2, window), dtype=torch.uint8, device=kind)

    def forward_pass() -> None:
        with torch.inference_mode():
            whole.predict_haplotypes(codes[:1]).cpu()

    whole.eval()
    once = _seconds(forward_pass)
    whole.train()
    return Seconds(once, _seconds(lambda: _step(whole.predict_haplotypes, codes, whole)) / len(codes))


def _step(predict: Callable[[Tensor], Tensor], inputs: Tensor, model: nn.Module | None = None) -> None:
    """Do one step of training."""
    module = model if model is not None else predict
    assert isinstance(module, nn.Module)
    optimizer = Adam(module.parameters(), lr=0.0)
    loss = predict(inputs).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    loss.item()


def _seconds(work: Callable[[], None]) -> float:
    """Return the time of the fastest of a few runs."""
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)

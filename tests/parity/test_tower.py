"""The Tower and the published loss against numbers of the published implementation.

The oracle, `tower.safetensors`, was made by running the published code on random weights (eval
mode, float32, CPU); tensors named `weights.*` carry its checkpoint's names.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from glm2x.backbones.base import Backbone
from glm2x.heads.tower import Tower
from glm2x.training.losses import Loss
from glm2x.training.model import ExpressionModel

ORACLE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "parity" / "tower.safetensors"
pytestmark = pytest.mark.skipif(not ORACLE.is_file(), reason=f"the oracle {ORACLE} is not on this machine")


class Embeddings(Backbone):
    """Passes embeddings through."""

    width = 16

    def tokens(self, window: int) -> int:
        return window

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


@pytest.fixture(scope="module")
def oracle() -> dict[str, torch.Tensor]:
    return load_file(ORACLE)


@pytest.fixture(scope="module")
def tower(oracle: dict[str, torch.Tensor]) -> Tower:
    tower = Tower(width=16, tokens=600)
    weights = {k.removeprefix("weights."): v for k, v in oracle.items() if k.startswith("weights.")}
    tower.load_state_dict(weights, strict=True)
    return tower.eval()


def test_one_haplotype(oracle: dict[str, torch.Tensor], tower: Tower) -> None:
    with torch.no_grad():
        output = tower(oracle["input.haplotype_1"])
    assert output.shape == (3,)
    torch.testing.assert_close(output, oracle["output.haplotype_1"][:, 0], rtol=1e-5, atol=0)


def test_the_mean_of_both_haplotypes(oracle: dict[str, torch.Tensor], tower: Tower) -> None:
    inputs = torch.cat([oracle["input.haplotype_1"], oracle["input.haplotype_2"]])
    index = torch.tensor([[0, 3], [1, 4], [2, 5]])
    with torch.no_grad():
        output = ExpressionModel(Embeddings(), tower)(inputs, index)
    torch.testing.assert_close(output, oracle["output.mean_of_both"][:, 0], rtol=1e-5, atol=0)


@pytest.mark.parametrize(("alpha", "key"), [(0.3, "loss.alpha_0.3"), (0.0, "loss.alpha_0")])
def test_the_published_loss(oracle: dict[str, torch.Tensor], alpha: float, key: str) -> None:
    predicted, observed = oracle["loss.predicted"][:, 0], oracle["loss.observed"][:, 0]
    gene = torch.arange(6)
    loss = Loss("smooth-l1", "published", alpha)(predicted, observed, gene, torch.ones(6))
    torch.testing.assert_close(loss, oracle[key][0], rtol=1e-5, atol=0)

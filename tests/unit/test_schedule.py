from __future__ import annotations

import warnings

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from glm2x.training.schedule import factor


def test_published_against_torch() -> None:
    """40 epochs: LinearLR from 0.01 for 4, then CosineAnnealingLR to 0.1 over 36."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    warm_up = LinearLR(optimizer, start_factor=0.01, total_iters=4)
    cosine = CosineAnnealingLR(optimizer, T_max=36, eta_min=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR passes its children an epoch, which they deprecate
        scheduler = SequentialLR(optimizer, [warm_up, cosine], milestones=[4])
        for epoch in range(40):
            assert factor("published", epoch, 40) == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()


def test_published_by_hand() -> None:
    assert factor("published", 0, 40) == pytest.approx(0.01)
    assert factor("published", 2, 40) == pytest.approx(0.01 + 0.99 / 2)
    assert factor("published", 4, 40) == 1
    assert factor("published", 22, 40) == pytest.approx(0.55)
    assert factor("published", 22.9, 40) == factor("published", 22, 40)


@pytest.mark.parametrize("epochs", [1, 5, 9])
def test_published_has_no_warm_up_below_ten_epochs(epochs: int) -> None:
    assert factor("published", 0, epochs) == 1


def test_constant() -> None:
    assert {factor("constant", p / 7, 3) for p in range(21)} == {1.0}


def test_one_cycle_by_hand() -> None:
    assert factor("one-cycle", 0, 10) == pytest.approx(0.01)
    assert factor("one-cycle", 0.5, 10) == pytest.approx(0.01 + 0.99 / 2)
    assert factor("one-cycle", 1, 10) == 1
    assert factor("one-cycle", 5.5, 10) == pytest.approx(0.5)
    assert 0 < factor("one-cycle", 9.99, 10) < 1e-4

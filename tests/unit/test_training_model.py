from __future__ import annotations

import numpy as np
import pytest
import torch
from training_fakes import make_config

from glm2x.training.model import ExpressionModel, build_model

WINDOW = 25_600


def people_of_few_snps(model: ExpressionModel) -> tuple[torch.Tensor, np.ndarray]:
    """Return 40 haplotypes that differ from one another in at most six places, and float32 predictions."""
    random = np.random.default_rng(0)
    codes = np.repeat(random.integers(0, 4, (1, WINDOW), dtype=np.uint8), 40, axis=0)
    for place in random.choice(WINDOW, 6, replace=False):
        carriers = random.random(40) < 0.4
        codes[carriers, place] = (codes[carriers, place] + 1) % 4
    inputs = torch.from_numpy(codes)
    with torch.no_grad():
        return inputs, model.predict_haplotypes(inputs).numpy()


@pytest.mark.parametrize("head", ["position-pool", "attention-pool"])
def test_bf16_mixed_keeps_the_differences_between_people(head: str) -> None:
    torch.manual_seed(0)
    model = build_model(make_config("out", window=WINDOW, head__name=head)).eval()
    model.start_at(5.0)
    inputs, exact = people_of_few_snps(model)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.predict_haplotypes(inputs)
    assert mixed.dtype == torch.float32
    assert len(np.unique(exact)) > 10
    assert len(np.unique(mixed.numpy())) == len(np.unique(exact))
    assert np.corrcoef(mixed.numpy(), exact)[0, 1] > 0.99

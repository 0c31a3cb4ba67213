"""What one SNP changes in embeddings is still there after they were stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glm2x.embeddings.store import Store
from glm2x.errors import UsageError
from small_store import SPEC, key

TOKENS, WIDTH, SNP = 4_000, 16, 1_234
TOKENS_SPEC = replace(SPEC, window=6 * TOKENS, rows=TOKENS, width=WIDTH)
MEAN_SPEC = replace(TOKENS_SPEC, keep="mean", rows=1, dtype="fp32", width=256)


def haplotypes(width: int) -> Tensor:
    """Return tokens of the reference and of one with a SNP, float64 [2, tokens, width].

    Random features around a mean of each channel. The token of the SNP changes as much as tokens differ;
    the change decays by half every two tokens, and is some other one in each of them.
    """
    rng = torch.Generator().manual_seed(0)
    reference = torch.randn(TOKENS, width, generator=rng, dtype=torch.float64)
    reference += torch.randn(width, generator=rng, dtype=torch.float64)
    change = torch.randn(TOKENS, width, generator=rng, dtype=torch.float64)
    decay = 0.5 ** ((torch.arange(TOKENS) - SNP).abs() / 2)
    return torch.stack([reference, reference + change * decay[:, None]])


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten().double(), other.flatten().double()]))[0, 1])


def stored(folder: Path, spec: object, values: Tensor) -> Tensor:
    """Return what a store gives back of two haplotypes."""
    store = Store.create(folder, spec)  # type: ignore[arg-type]
    store.write_shard([key(0), key(1)], values)
    return Store.open(folder).gather([key(0), key(1)])


def test_tokens_in_bf16(tmp_path: Path) -> None:
    tokens = haplotypes(WIDTH)
    reference, personal = stored(tmp_path / "store", TOKENS_SPEC, tokens.to(torch.bfloat16)).double()
    assert correlation(personal - reference, tokens[1] - tokens[0]) > 0.99
    # far from it nothing changed, and nothing appears to have
    assert torch.equal(personal[: SNP - 100], reference[: SNP - 100])


def test_pooled_in_fp32_and_not_in_bf16(tmp_path: Path) -> None:
    tokens = haplotypes(MEAN_SPEC.width)
    pooled = tokens.mean(dim=1, keepdim=True)
    truth = pooled[1] - pooled[0]
    reference, personal = stored(tmp_path / "store", MEAN_SPEC, pooled.float()).double()
    assert correlation(personal - reference, truth) > 0.99
    rounded = pooled.to(torch.bfloat16).double()
    assert correlation(rounded[1] - rounded[0], truth) < 0.5
    with pytest.raises(UsageError, match="bins and means are kept in fp32 only"):
        replace(MEAN_SPEC, dtype="bf16")

"""Embedding stores of a few haplotypes, for the tests of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store

SPEC = StoreSpec(
    backbone="kmer",
    model={"architecture": {"k": 6}, "layer": None, "weights": "kmer", "precision": "float32"},
    window=60,
    token_bp=6,
    strand="gene",
    tiling=None,
    keep="tokens",
    rows=10,
    width=4,
    dtype="bf16",
    device="cpu",
)


def key(number: int) -> str:
    """Return the key of a haplotype that is called by a number."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def values(numbers: Sequence[int], spec: StoreSpec = SPEC) -> Tensor:
    """Return what a store holds of haplotypes: always the same, and of each something else."""
    parts = [
        torch.randn(spec.rows, spec.width, generator=torch.Generator().manual_seed(number))
        for number in numbers
    ]
    return torch.stack(parts).to({"bf16": torch.bfloat16, "fp32": torch.float32}[spec.dtype])


def write(store: Store, numbers: Sequence[int]) -> str:
    """Write haplotypes as one shard; return its name."""
    return store.write_shard([key(number) for number in numbers], values(numbers, store.spec))


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

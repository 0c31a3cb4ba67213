"""Randomness as a pure function of (seed, phase, epoch, step): a resumed run repeats the same numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream(*parts: int | str) -> int:
    """Return a seed in [0, 2^63) that depends on every part and on their order."""
    text = "/".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def reproducible(device: torch.device | str, threads: int) -> Iterator[None]:
    """Leave torch's global state as it was found; on a CPU, allow deterministic kernels only.

    Sums are split among `threads` threads, so that another number of them rounds otherwise. On a GPU
    several kernels have no deterministic form: equal seeds give equal batches and dropout there, but
    not equal bits.
    """
    place = torch.device(device)
    threads_before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # of GPUs this one alone: asking for another's state would take memory there
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.use_deterministic_algorithms(deterministic or place.type == "cpu")
        torch.set_num_threads(threads)
        # filling memory that is about to be written costs time and changes no result
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(threads_before)
            torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]

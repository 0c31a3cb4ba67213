"""How alike sequences are, by a sample of the k-mers that they share; nothing is aligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.sequence import N, complement

K = 16
SAMPLED = 16
"""One k-mer in so many is kept: those whose hash is small, the same ones in every sequence (FracMinHash)."""


def kmer_sketch(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the sampled hashes of a sequence's k-mers, each once, sorted; a k-mer is its other strand's too.

    Parameters
    ----------
    codes
        uint8 ``[length]``; k-mers that hold an N are left out.
    """
    if len(codes) < K:
        return np.zeros(0, dtype=np.uint64)
    known = np.lib.stride_tricks.sliding_window_view(codes, K).max(axis=1) < N
    clean = np.where(codes < N, codes, 0).astype(np.uint64)
    other = np.where(codes < N, complement(codes), 0).astype(np.uint64)[::-1]
    kmers = np.minimum(_kmers(clean), _kmers(other)[::-1])[known]
    hashes = _mixed(kmers)
    return np.unique(hashes[hashes < np.uint64(2**64 // SAMPLED)])


def _kmers(letters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return every k-mer as a number, 2 bits a letter: by doubling, four steps for k = 16."""
    length = 1
    while length < K:
        letters = (letters[:-length] << np.uint64(2 * length)) | letters[length:]
        length *= 2
    return letters


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the numbers mixed (the finaliser of splitmix64), so that small ones are a random sample."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def alike(
    left: Sequence[NDArray[np.uint64]],
    right: Sequence[NDArray[np.uint64]],
    *,
    threshold: float,
    most: int,
) -> Iterator[tuple[int, int, float]]:
    """Give the pairs (left, right) of which the smaller sketch is in the other one by more than a share.

    Parameters
    ----------
    most
        K-mers that stand in more than so many of the sequences are repeats, and are left out of all.
    """
    nothing = np.zeros(0, dtype=np.uint64)
    hashes, counts = np.unique(np.concatenate([*left, *right, nothing]), return_counts=True)
    repeats = hashes[counts > most]
    kept_left, kept_right = (
        [np.setdiff1d(sketch, repeats, assume_unique=True) for sketch in side] for side in (left, right)
    )
    sizes = np.array([len(sketch) for sketch in kept_right])
    values = np.concatenate([*kept_right, nothing])
    order = np.argsort(values, kind="stable")
    values, owner = values[order], np.repeat(np.arange(len(right)), sizes)[order]
    for i, sketch in enumerate(kept_left):
        first, end = (np.searchsorted(values, sketch, side=side) for side in ("left", "right"))
        found = end - first
        # first, first + 1, ... of each k-mer that is there
        at = np.repeat(first - np.cumsum(found) + found, found) + np.arange(found.sum())
        shared = np.bincount(owner[at], minlength=len(right))
        smaller = np.minimum(sizes, len(sketch))
        for j in np.flatnonzero(shared > threshold * smaller):
            yield i, int(j), float(shared[j] / smaller[j])

"""Tokens of any lengths laid on a regular grid of base pairs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def on_grid(tokens: Tensor, spans: NDArray[np.int64], window: int, token_bp: int) -> Tensor:
    """Return the mean of the tokens over the bases of each cell, float [B, ceil(window / token_bp), width].

    A base that several tokens cover counts as their mean, so that each base of a cell weighs the same.

    Parameters
    ----------
    tokens
        Float [B, S, width].
    spans
        The base pairs that each token covers, int64 [S, 2], 0-based, half-open, starts ascending. Every base
        of the window is covered; a token may cover none.
    window, token_bp
        Base pairs of the window and of a cell.
    """
    cells = -(-window // token_bp)
    starts = np.arange(cells, dtype=np.int64) * token_bp
    if np.array_equal(spans, np.stack([starts, np.minimum(starts + token_bp, window)], axis=1)):
        return tokens
    places, shares = _shares(spans, window, token_bp)
    place = torch.from_numpy(places).to(tokens.device)
    share = torch.from_numpy(shares).to(tokens)
    # one addition after the other: a scattered sum would add up in another order each time on a GPU
    total = tokens[:, place[0]] * share[0, :, None]
    for rank in range(1, len(place)):
        total += tokens[:, place[rank]] * share[rank, :, None]
    return total


def _shares(
    spans: NDArray[np.int64], window: int, token_bp: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the tokens of each cell and what each counts in it, both [most tokens of a cell, cells].

    Cells with fewer tokens are filled with token 0, which counts nothing there.
    """
    starts, ends = spans.T
    change = np.zeros(window + 1, dtype=np.int64)
    np.add.at(change, starts, 1)
    np.add.at(change, ends, -1)
    covered = np.cumsum(change[:window])
    assert covered.min() > 0
    before = np.concatenate([[0.0], np.cumsum(1 / covered)])  # of a base: what a token has there

    some = ends > starts
    counts = np.where(some, (ends - 1) // token_bp - starts // token_bp + 1, 0)
    token = np.repeat(np.arange(len(spans)), counts)
    cell = starts[token] // token_bp + _ranks(counts)
    order = np.argsort(cell, kind="stable")
    token, cell = token[order], cell[order]

    first = np.maximum(starts[token], cell * token_bp)
    last = np.minimum(ends[token], (cell + 1) * token_bp)
    size = np.minimum((cell + 1) * token_bp, window) - cell * token_bp
    per_cell = np.bincount(cell, minlength=-(-window // token_bp))
    rank = _ranks(per_cell)
    places = np.zeros((per_cell.max(), len(per_cell)), dtype=np.int64)
    shares = np.zeros(places.shape)
    places[rank, cell] = token
    shares[rank, cell] = (before[last] - before[first]) / size
    return places, shares


def _ranks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, ... for each of the counts, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)

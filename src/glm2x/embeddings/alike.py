"""Whether two sets of embeddings can be of the same sequence."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# In the unit of `largest_difference`: what rounding, other kernels and other devices may do. Tokens that have
# nothing to do with each other differ by about 1.4.
TOLERANCE = 0.2

_LEAST_SPREAD = 2.0**-5  # of a channel's size: what varies by less is, in bfloat16, rounding for a good part
_TOKENS_AT_ONCE = 1_024


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Return how far two sets of embeddings differ at the token where they differ most.

    The difference of a token is the root mean square over channels, each in units of the channel's standard
    deviation over the tokens of `one`; so it is the same whatever the scale of the channels, and a
    single base shows where a mean over all tokens hides it.

    Parameters
    ----------
    one, other
        [tokens, width], of one type and finite.

    Returns
    -------
    0 where they are equal.
    """
    assert one.shape == other.shape
    if torch.equal(one, other):
        return 0.0
    total = torch.zeros(one.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for part in _parts(one):
        values = part.double()
        total += values.sum(dim=0)
        squares += values.square().sum(dim=0)
    mean, mean_square = total / len(one), squares / len(one)
    variance = (mean_square - mean.square()).clamp(min=0)
    unit = torch.maximum(variance, mean_square * _LEAST_SPREAD**2).sqrt()
    largest = 0.0
    for first, second in zip(_parts(one), _parts(other), strict=True):
        apart = first.double() - second.double()
        apart = torch.where(apart == 0, 0.0, apart / unit)
        largest = max(largest, float(apart.square().mean(dim=1).sqrt().max()))
    return largest


def is_finite(tokens: Tensor) -> bool:
    """Whether embeddings, [tokens, width], hold numbers only."""
    return all(bool(torch.isfinite(part).all()) for part in _parts(tokens))


def _parts(tokens: Tensor) -> Iterator[Tensor]:
    return (tokens[start : start + _TOKENS_AT_ONCE] for start in range(0, len(tokens), _TOKENS_AT_ONCE))

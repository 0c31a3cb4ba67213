"""The heads by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import nn

from glm2x.errors import UsageError
from glm2x.heads.attention_pool import AttentionPool
from glm2x.heads.position_pool import PositionPool
from glm2x.heads.tower import Tower

_HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "attention-pool": lambda width, tokens: AttentionPool(width),
    "position-pool": PositionPool,
    "tower": Tower,
}


def heads() -> tuple[str, ...]:
    """Return the names of the heads, sorted."""
    return tuple(sorted(_HEADS))


def build_head(name: str, width: int, tokens: int) -> nn.Module:
    """Return a freshly initialised head: [B, `tokens`, `width`] -> [B].

    A head may have a method ``start_at(value)``: training calls it once with the mean training
    target (log2 expression), so that the first predictions are of the right size. The published
    heads have none and keep torch's default initialisation. A head may have an attribute
    ``least_haplotypes``, the fewest haplotypes of a batch that it can be trained on; training
    refuses smaller batches before it starts.

    Parameters
    ----------
    name
        One of `heads()`.
    width
        Channels of a token.
    tokens
        Tokens of a window.

    Raises
    ------
    UsageError
        No such head, or too few tokens for it.
    """
    if name not in _HEADS:
        near = difflib.get_close_matches(name, heads(), n=1, cutoff=0.4)
        raise UsageError(
            f"no head is called {name}",
            wanted=", ".join(heads()),
            do=f"did you mean {near[0]}?" if near else "",
        )
    return _HEADS[name](width, tokens)

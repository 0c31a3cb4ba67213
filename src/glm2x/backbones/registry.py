"""What backbones there are, in words and numbers, without importing torch."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from glm2x.errors import UsageError

if TYPE_CHECKING:
    from glm2x.backbones.base import Backbone
    from glm2x.config import BackboneConfig


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone, described.

    Attributes
    ----------
    name
        As in a configuration's ``backbone.name``.
    kind
        ``trainable``: trained whole, from codes; ``frozen``: read through precomputed embeddings.
    input, output
        What it takes and gives, with shapes, for people to read.
    width
        Channels of a token.
    tokens_for
        From a window (bp) to its number of tokens.
    head
        The head it is used with unless ``head.name`` says otherwise.
    weights
        The official weights, or where it starts without any.
    licence
        The licence of the weights.
    memory
        What a forward and a training step need.
    needs
        Python modules beyond the core that must be importable.
    module
        The module whose ``build(window, config)`` makes it.
    """

    name: str
    kind: Literal["trainable", "frozen"]
    input: str
    output: str
    width: int
    tokens_for: Callable[[int], int]
    head: str
    weights: str
    licence: str
    memory: str
    needs: tuple[str, ...]
    module: str


_BACKBONES = (
    BackboneInfo(
        name="onehot",
        kind="trainable",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4",
        output="float32 [batch, window / 256, 48]",
        width=48,
        tokens_for=lambda window: -(-window // 256),
        head="position-pool",
        weights="none: trained from scratch",
        licence="as glm2x",
        memory="under 1 GB: a gene's 700 haplotypes of 64 kb share nearly all that is computed",
        needs=(),
        module="glm2x.backbones.onehot",
    ),
)


def backbones() -> tuple[BackboneInfo, ...]:
    """Return every backbone."""
    return _BACKBONES


def get(name: str) -> BackboneInfo:
    """Return the backbone called `name`.

    Raises
    ------
    UsageError
        No such backbone (the nearest name is given).
    """
    known = {info.name: info for info in _BACKBONES}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise UsageError(
            f"no backbone is called {name}",
            wanted=", ".join(known),
            do=f"did you mean {near[0]}?" if near else "glm2x backbones lists them",
        )
    return known[name]


def build(name: str, window: int, config: BackboneConfig) -> Backbone:
    """Import the backbone's module and return the model for windows of `window` bp.

    Raises
    ------
    UsageError
        No such backbone, or the configuration asks of it what it cannot do.
    """
    module = importlib.import_module(get(name).module)
    return cast("Backbone", module.build(window, config))

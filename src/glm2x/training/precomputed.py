"""What stands in a model where a genomic language model would: it hands on the tokens of a store."""

from __future__ import annotations

from torch import Tensor

from glm2x.backbones.base import Backbone
from glm2x.embeddings.spec import StoreSpec

# of tokens that go through the head together, where no gradient is kept; in bf16, the Tower takes some five
# times as much memory with its own
BYTES_AT_ONCE = 256_000_000


class Precomputed(Backbone):
    """Tokens in, tokens out; it has no parameters.

    Parameters
    ----------
    spec
        What the store holds. It is kept with every checkpoint, which another store then does not fit.
    """

    precomputed = True

    def __init__(self, spec: StoreSpec) -> None:
        super().__init__()
        self.width = spec.width
        self.spec = spec.as_json()
        self._rows = spec.rows
        self._at_once = max(1, BYTES_AT_ONCE // spec.bytes_of_one)

    def tokens(self, window: int) -> int:
        """Return the rows that the store holds of a haplotype, whatever the window: it knows one only."""
        return self._rows

    def at_once(self, window: int) -> int:
        """Return how many haplotypes' tokens go through together where no gradient is kept."""
        return self._at_once

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the tokens, [B, T, width], as they are."""
        return inputs

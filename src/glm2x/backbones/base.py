"""What every backbone's torch module is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from torch import Tensor, nn

from glm2x.errors import UsageError

Freeze = Literal["trunk"] | int | None
WINDOW = 64_000  # bp that `windows_at_once` counts in


class Backbone(nn.Module, ABC):
    """Turns a batch of windows into tokens.

    Attributes
    ----------
    width
        Channels of a token.
    spec
        What is needed to build it again without its official weights: its architecture, and where its
        weights came from (source, resolved revision), all of it JSON. Kept with every checkpoint.
    windows_at_once
        How many windows of 64 kb go through together where no gradient is kept; shorter ones
        proportionally more.
    precomputed
        Whether its inputs are tokens already, from a store, and not letters.
    """

    width: int
    spec: Mapping[str, Any]
    windows_at_once: int = 256
    precomputed: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.spec = {}
        self._frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def tokens(self, window: int) -> int:
        """Return the number of tokens of a window of `window` bp."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, T, width], from codes, uint8 [B, window]."""

    def at_once(self, window: int) -> int:
        """Return how many windows of `window` bp go through together where no gradient is kept."""
        return max(1, self.windows_at_once * WINDOW // window)

    def stages(self) -> Sequence[nn.Module]:
        """Return the parts of the trunk in the order of the computation, every parameter in one of them.

        `freeze` counts from the last. A backbone that cannot be frozen in part has none.
        """
        return ()

    def freeze(self, what: Freeze) -> None:
        """Leave parameters as they are in training: of the whole trunk, or of all but its last stages.

        What is frozen stays in evaluation mode, so that neither dropout nor the running statistics of
        BatchNorm change it.

        Parameters
        ----------
        what
            ``trunk``, how many of the last stages are trained, or None for all.

        Raises
        ------
        UsageError
            The backbone has no stages, or not that many.
        """
        if what is None:
            return
        stages = self.stages()
        if not stages or (what != "trunk" and what > len(stages)):
            raise UsageError(
                "this backbone cannot be frozen so",
                where="freeze",
                got=str(what),
                wanted=f"null, trunk, or a number up to {len(stages)}" if stages else "null",
            )
        kept = stages if what == "trunk" else stages[: len(stages) - what]
        for stage in kept:
            stage.requires_grad_(False)
        self._frozen = tuple(kept)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

"""The trainable backbone: a convolution over the GC content of neighbouring bins."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones.base import Backbone
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError
from glm2x_gc_content import WIDTH, bins
from glm2x_gc_content.content import gc_content


class GCTrained(Backbone):
    """Eight patterns of the GC content of five bins."""

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, WIDTH, kernel_size=5, padding=2)

    def tokens(self, window: int) -> int:
        """Return the number of bins of a window of `window` bp."""
        return bins(window)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float32 [B, ceil(L / 32), 8], from codes, uint8 [B, L]."""
        patterns = self.convolution(gc_content(inputs)[:, None])
        return functional.relu(patterns).transpose(1, 2)


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> GCTrained:
    """Return the backbone, freshly initialised: a checkpoint's weights are then loaded into it."""
    if config.weights is not None or config.revision is not None:
        raise UsageError("the gc-trained backbone has no pretrained weights", do="leave them out")
    return GCTrained()

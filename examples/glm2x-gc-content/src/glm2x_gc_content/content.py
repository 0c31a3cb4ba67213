"""The frozen backbone: the GC content of each bin, read through an embedding store."""

import torch
from torch import Tensor
from torch.nn import functional

from glm2x.backbones.language import LanguageModel
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError
from glm2x_gc_content import BIN

N = 4
SHARES = (0.0, 1.0, 1.0, 0.0, 0.5)  # of G and C in A, C, G, T, N


def gc_content(codes: Tensor) -> Tensor:
    """Return the share of G and C in each bin, float32 [B, ceil(L / 32)], from codes, uint8 [B, L].

    What the last bin lacks counts as N.
    """
    padded = functional.pad(codes, (0, -codes.shape[1] % BIN), value=N)
    shares = torch.tensor(SHARES, device=codes.device)[padded.long()]
    return shares.reshape(len(codes), -1, BIN).mean(dim=2)


class GCContent(LanguageModel):
    """One number for each bin of 32 bp."""

    width = 1
    token_bp = BIN
    longest = None
    windows_at_once = 64

    def __init__(self) -> None:
        super().__init__()
        self.spec = {
            "architecture": {"bin": BIN},
            "layer": None,
            "weights": None,
            "revision": None,
            "weights_digest": None,
            "precision": "float32",
        }

    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float32 [B, ceil(L / 32), 1], from codes, uint8 [B, L]."""
        return gc_content(codes)[..., None]


def build(config: BackboneConfig) -> GCContent:
    """Return the model; it has no weights."""
    if config.weights is not None or config.revision is not None or config.layer is not None:
        raise UsageError("the gc-content backbone has no weights and no layers", do="leave them out")
    return GCContent()

"""A backbone and a head as one model of a person: the mean of the head's outputs for the haplotypes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from glm2x.backbones.base import Backbone
from glm2x.backbones.registry import build, get
from glm2x.config import TrainConfig
from glm2x.heads.registry import build_head


class ExpressionModel(nn.Module):
    """Haplotypes -> numbers -> people.

    Parameters
    ----------
    backbone
        [H, L] -> [H, T, C].
    head
        [H, T, C] -> [H].
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def start_at(self, value: float) -> None:
        """Let the head start at `value`, the mean training target, where it knows how to."""
        start = getattr(self.head, "start_at", None)
        if start is not None:
            start(value)

    def predict_haplotypes(self, inputs: Tensor) -> Tensor:
        """Return one number a haplotype, float32 [H], from codes uint8 [H, L].

        The head computes in float32 whatever the precision of training: between two people the sum
        over tokens differs by less than the 8 bits that bfloat16 keeps of it.
        """
        tokens = self.backbone(inputs)
        with torch.autocast(tokens.device.type, enabled=False):
            return cast(Tensor, self.head(tokens.float()))

    def forward(self, inputs: Tensor, index: Tensor) -> Tensor:
        """Return one number a person, float [P].

        Parameters
        ----------
        inputs
            Codes, uint8 [H, L].
        index
            int64 [P, n]: the rows of `inputs` that are a person's n haplotypes.
        """
        return self.predict_haplotypes(inputs)[index].mean(dim=1)


def build_model(config: TrainConfig) -> ExpressionModel:
    """Return the configuration's model with the backbone's weights and a fresh head.

    Raises
    ------
    UsageError
        Unknown backbone or head, or a window too short for the head.
    """
    name = config.backbone.name
    backbone = build(name, config.window, config.backbone)
    head = build_head(head_name(config), backbone.width, backbone.tokens(config.window))
    return ExpressionModel(backbone, head)


def head_name(config: TrainConfig) -> str:
    """Return the configured head, or the backbone's own."""
    return config.head.name or get(config.backbone.name).head

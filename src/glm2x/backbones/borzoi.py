"""Borzoi: the published trunk (borzoi-pytorch) and its embeddings at the TSS, for fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glm2x.backbones.base import Backbone
from glm2x.backbones.centre import centre
from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.recompute import computed
from glm2x.backbones.unfilled import unfilled
from glm2x.backbones.weights import (
    described_in,
    load_into,
    read_config,
    read_state,
    require_fitting,
    resolve,
)
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

OFFICIAL = "johahi/borzoi-replicate-0"
HEADS = ("human_head.", "mouse_head.")
WIDTH = 1920
BIN = 32
BINS = 10
DEEPEST = 4  # bins of 32 bp to a position of the transformer
ARCHITECTURE = (
    "dim",
    "depth",
    "heads",
    "attn_dim_key",
    "attn_dim_value",
    "dropout_rate",
    "attn_dropout",
    "pos_dropout",
    "flashed",
)


class Borzoi(Backbone):
    """Borzoi's last embedding before its output heads, of the 10 bins of 32 bp around the TSS.

    One pass through the trunk gives 1,920 channels a bin of 32 bp for the whole window; the library's
    own crop (6,144 bins, more than 64 kb has) is not used. Of T bins, ``T/2 - 5`` to ``T/2 + 4`` are
    kept. With L a multiple of 128 the base at index L/2 of a window, the TSS of a gene on ``+``, is the
    first of the sixth of them, and L/2 - 1, that of a gene on ``-``, the last of the fifth.

    Precision: weights stay float32; bfloat16 by autocast works, bfloat16 weights do not, since the
    library's positions are float32.

    In training, and unless frozen:

    - its 11 BatchNorm layers take the mean and variance of the batch, over all positions of all of its
      windows (the last one over the 10 bins that are left), and move their running statistics towards
      them by a tenth a step. With ``batch: people`` a haplotype counts as often as people of the batch
      carry it, with ``batch: haplotypes`` once; and each process of several has statistics of its own;
    - dropout (attention 0.05 and 0.2, its positions 0.01, feed-forward 0.2, last layer 0.1) draws a
      mask a window: with ``batch: haplotypes`` all carriers of a haplotype share one.

    So the two ways of batching are equal in evaluation mode, and in training only where the trunk is
    frozen.

    Parameters
    ----------
    architecture
        The keys of `ARCHITECTURE` that a checkpoint's ``config.json`` gives; others are the library's.
    window
        Base pairs, see `tokens`.

    Attributes
    ----------
    activation_checkpointing
        Keep only what goes into each stage, and compute the stage again in the backward pass.

    Raises
    ------
    UsageError
        A window that the U-net cannot take, or an architecture that needs what this machine lacks.
    """

    width = WIDTH
    windows_at_once = 8
    activation_checkpointing = False

    def __init__(self, architecture: Mapping[str, Any], window: int) -> None:
        super().__init__()
        require_window(window)
        if architecture.get("flashed", False) is not False:
            raise UsageError(
                "Flashzoi weights are not supported",
                where="backbone.weights",
                got=f"flashed: {architecture['flashed']} in config.json",
                wanted="Borzoi: its flash attention runs on some GPUs only, in half precision",
                do="johahi/borzoi-replicate-0 to 3 are the same model without it",
            )
        from borzoi_pytorch.config_borzoi import BorzoiConfig
        from borzoi_pytorch.pytorch_borzoi_model import Borzoi as Library

        config = BorzoiConfig(**architecture, enable_human_head=False, enable_mouse_head=False)
        self.model = Library(config)
        self.spec = {"architecture": dict(architecture), "weights": None, "revision": None}

    def tokens(self, window: int) -> int:
        """Return the number of tokens, 10.

        Raises
        ------
        UsageError
            The bins of 32 bp of `window` bp are no multiple of 4 (the U-net halves them twice), or
            fewer than 10.
        """
        require_window(window)
        return BINS

    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, 10, 1920], from codes, uint8 [B, L]."""
        self.tokens(inputs.shape[1])
        self._forget_positions(inputs.shape[1])
        model = self.model
        x = self._run(model.conv_dna, one_hot(inputs, model.conv_dna.conv_layer.weight.dtype))
        for stage in self._tower():
            x = self._run(stage, x)
        at_32 = x
        at_64 = self._run(model.unet1, at_32)
        x = model._max_pool(at_64).transpose(1, 2)
        for block in model.transformer:
            x = self._run(block, x)
        x = x.transpose(1, 2)
        for level, skipped in zip(self._levels(), (at_64, at_32), strict=True):
            x = self._run(level, x, skipped, forward=_climb(level))
        # cropped first, as the library does it for few bins: the BatchNorm of what follows sees these alone
        x = centre(x.transpose(1, 2), BINS).transpose(1, 2)
        return self._run(model.final_joined_convs, x).transpose(1, 2)

    def stages(self) -> Sequence[nn.Module]:
        """Return 18 of the official model: first convolution, 6 of the tower, 8 attention, 3 upwards."""
        model = self.model
        return (
            model.conv_dna,
            *self._tower(),
            model.unet1,
            *model.transformer,
            *self._levels(),
            model.final_joined_convs,
        )

    def _tower(self) -> list[nn.Module]:
        """Return the convolutions from 2 to 32 bp, each but the first with the pooling before it."""
        tower = self.model.res_tower
        return [tower[max(0, end - 2) : end] for end in range(1, len(tower) + 1, 2)]

    def _levels(self) -> list[nn.ModuleList]:
        """Return the modules of both steps up: of what was skipped, of what rises, of their sum."""
        model = self.model
        return [
            nn.ModuleList([model.horizontal_conv1, model.upsampling_unet1, model.separable1]),
            nn.ModuleList([model.horizontal_conv0, model.upsampling_unet0, model.separable0]),
        ]

    def _run(self, part: nn.Module, *inputs: Tensor, forward: Callable[..., Tensor] | None = None) -> Tensor:
        """Return what a stage, or `forward` with its modules, makes of the inputs."""
        output: Tensor = computed(forward or part, part, *inputs, checkpointing=self.activation_checkpointing)
        return output

    def _forget_positions(self, window: int) -> None:
        """Drop the attention layers' cached positions unless they are those of this window.

        The library keeps those of the first window that it sees. A shorter one later would get wrong
        positions without a word, another device or a backward pass after inference mode an error.
        """
        distances = 2 * (window // (BIN * DEEPEST)) - 1
        for module in self.model.transformer.modules():
            cached = getattr(module, "positions", None)
            if cached is not None and (
                len(cached) != distances
                or cached.device != module.to_v.weight.device
                or (cached.is_inference() and not torch.is_inference_mode_enabled())
            ):
                module.positions = None


def _climb(level: nn.ModuleList) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a step up the U-net: twice the positions, plus what was skipped, then a convolution."""
    across, up, join = level

    def forward(x: Tensor, skipped: Tensor) -> Tensor:
        output: Tensor = join(up(x) + across(skipped))
        return output

    return forward


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> Borzoi:
    """Return the backbone with its pretrained weights, or as `spec` says with zeros in their place.

    Raises
    ------
    UsageError
        A window that it cannot take, or weights that this machine cannot run.
    DataError
        The weights are not there, or not Borzoi's.
    """
    if spec is not None:
        backbone = unfilled(lambda: Borzoi(spec["architecture"], window))
        backbone.spec = dict(spec)
        return backbone
    require_window(window)  # before a gigabyte is downloaded
    weights = resolve(OFFICIAL, config)
    architecture = read_architecture(weights.folder)
    where, state = str(weights.folder), read_state(weights.folder)
    with described_in(weights.folder):
        backbone = unfilled(
            lambda: Borzoi(architecture, window),
            lambda empty: require_fitting(empty.model, state, ignore=HEADS, where=where),
        )
    load_into(backbone.model, state, ignore=HEADS, where=where)
    backbone.spec = {**backbone.spec, "weights": weights.source, "revision": weights.revision}
    return backbone


def read_architecture(folder: Path) -> dict[str, Any]:
    """Return what a weights folder's ``config.json`` says of the trunk (`DataError`: not Borzoi's)."""
    values = read_config(folder)
    kind = values.get("model_type", "borzoi")
    if kind != "borzoi":
        raise DataError(
            "these weights are not Borzoi's",
            where=str(folder / "config.json"),
            got=f"model_type {kind}",
            wanted="model_type borzoi",
        )
    return {key: values[key] for key in ARCHITECTURE if key in values}


def require_window(window: int) -> None:
    """Refuse a window whose bins are no multiple of 4, or fewer than 10 (`UsageError`)."""
    bins = window // BIN
    if bins % DEEPEST or bins < BINS:
        step = BIN * DEEPEST
        least = -(-BINS // DEEPEST) * step
        below, above = window // step * step, (window // step + 1) * step
        usable = [length for length in (below, above) if length >= least] or [least]
        raise UsageError(
            f"Borzoi takes no window of {window} bp",
            where="window",
            got=f"{bins} bins of {BIN} bp",
            wanted=f"a multiple of {DEEPEST} bins, and {BINS} at least",
            do=f"window: {' or '.join(map(str, usable))}",
        )

"""Enformer: the trunk of the published model, and the bins around the transcription start site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from glm2x.backbones.base import Backbone
from glm2x.backbones.centre import centre
from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.recompute import computed
from glm2x.backbones.unfilled import fitting
from glm2x.backbones.weights import (
    FILES,
    described_in,
    load_into,
    read_config,
    read_state,
    require_fitting,
    resolve,
)
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

OFFICIAL = "EleutherAI/enformer-official-rough"
BIN = 128
BINS = 10
DOWNSAMPLES = 7  # 2 ** 7 = 128 bp
HEADS = 8
TF_GAMMA_BINS = 1536
# every weight of the trunk stands twice in the library's module; its output heads are not used
IGNORED = ("_trunk.", "_heads.")

_SIZES = ("dim", "depth", "heads", "attn_dim_key", "num_downsamples", "dim_divisible_by")
_RATES = ("dropout_rate", "attn_dropout", "pos_dropout")


class Enformer(Backbone):
    """Stem, convolution tower, transformer and final pointwise layer, on the centre 10 bins of 128 bp.

    The layers are those of `enformer_pytorch`, under the names of the official weights and without output
    heads. The crop comes before the final pointwise layer, as in the library: its BatchNorm sees the 10
    bins alone in training.

    Parameters
    ----------
    architecture
        Sizes and dropout rates under the names of the official ``config.json``; those that are lacking
        are the published ones.
    window
        Base pairs, see `tokens`; other windows may follow.

    Attributes
    ----------
    activation_checkpointing
        Keep only what goes into each stage, and compute the stage again in the backward pass.

    Notes
    -----
    Method: Avsec et al., Nature Methods 18, 1196 (2021).
    TensorFlow's gamma positions, with which the official weights were trained, are tabulated for 1,536
    bins (196,608 bp) alone. Windows of that length have them; others have the formula's.
    In training BatchNorm takes its statistics from the haplotypes it is given: with ``batch: haplotypes``
    one that several people share counts once, so that training is not the same as with ``batch: people``.
    In evaluation mode, or frozen, it is. Under torchrun, the library's BatchNorm takes them from the
    haplotypes of all processes, if these compute on GPUs.
    """

    # the stem's activations of a window of 64 kb in float32 take about a gigabyte
    windows_at_once = 4
    activation_checkpointing = False

    def __init__(self, architecture: Mapping[str, Any], window: int) -> None:
        super().__init__()
        require_window(window)
        from enformer_pytorch import modeling_enformer as library
        from enformer_pytorch.config_enformer import EnformerConfig

        config = EnformerConfig(**architecture, output_heads={}, target_length=-1, use_tf_gamma=False)
        whole = library.Enformer(config)
        _without_sync(whole)
        self.stem: nn.Sequential = whole.stem
        self.conv_tower: nn.Sequential = whole.conv_tower
        self.transformer: nn.Sequential = whole.transformer
        self.final_pointwise: nn.Sequential = whole.final_pointwise
        self.width: int = 2 * config.dim
        architecture = {name: getattr(config, name) for name in (*_SIZES, *_RATES)}
        self.spec = {"architecture": architecture, "weights": None, "revision": None}
        self._attention = [m for m in self.transformer.modules() if isinstance(m, library.Attention)]
        tabulated = library.TF_GAMMAS.shape[-1]
        self._has_tf_gamma = config.dim // config.heads == 6 * tabulated

    def tokens(self, window: int) -> int:
        """Return the number of tokens, 10.

        Raises
        ------
        UsageError
            The window has fewer bins than that.
        """
        require_window(window)
        return BINS

    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, 10, 2 dim], from codes, uint8 [B, L].

        A last bin that the window does not fill counts the bases that it has.
        """
        x = self._run(self.stem, one_hot(inputs))
        for block in self.conv_tower:
            x = self._run(block, x)
        x = x.transpose(1, 2)
        self._choose_positions(x.shape[1])
        for block in self.transformer:
            x = self._run(block, x)
        return self._run(self.final_pointwise, centre(x, BINS))

    def stages(self) -> Sequence[nn.Module]:
        """Return the stem, 6 blocks of the convolution tower, 11 of the transformer, the final layer."""
        return (self.stem, *self.conv_tower, *self.transformer, self.final_pointwise)

    def _run(self, part: nn.Module, x: Tensor) -> Tensor:
        """Return what a part makes of its input, keeping its activations or not."""
        out: Tensor = computed(part, part, x, checkpointing=self.activation_checkpointing)
        return out

    def _choose_positions(self, bins: int) -> None:
        """Let attention use TensorFlow's gamma positions where they are tabulated."""
        for attention in self._attention:
            attention.use_tf_gamma = bins == TF_GAMMA_BINS and self._has_tf_gamma


def _without_sync(module: nn.Module) -> None:
    """Put BatchNorm in the place of SyncBatchNorm, which the library takes where it finds several processes.

    That one runs on GPUs only, and each backbone's processes normalise by their own share of a batch.
    """
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.SyncBatchNorm):
                setattr(part, name, nn.BatchNorm1d(child.num_features))


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> Enformer:
    """Return the backbone with its pretrained weights, or as `spec` describes it.

    Raises
    ------
    UsageError
        The window has fewer than 10 bins, or a revision stands beside a folder of weights.
    DataError
        The weights are not there, damaged, or not Enformer's.
    """
    if spec is not None:
        backbone = Enformer(spec["architecture"], window)
        backbone.spec = dict(spec)
        return backbone
    require_window(window)  # before a gigabyte is downloaded
    weights = resolve(OFFICIAL, config, files=FILES)
    architecture = read_architecture(weights.folder)
    where, state = str(weights.folder), read_state(weights.folder)
    with described_in(weights.folder):
        backbone = fitting(
            lambda: Enformer(architecture, window),
            lambda empty: require_fitting(empty, state, ignore=IGNORED, where=where),
        )
    load_into(backbone, state, ignore=IGNORED, where=where)
    backbone.spec = {**backbone.spec, "weights": weights.source, "revision": weights.revision}
    return backbone


def require_window(window: int) -> None:
    """Refuse a window with fewer than 10 bins (`UsageError`)."""
    if -(-window // BIN) < BINS:
        raise UsageError(
            f"Enformer's output is the {BINS} bins of {BIN} bp around the start site",
            where="window",
            got=f"{window} bp",
            wanted=f"{(BINS - 1) * BIN + 2} bp or more",
        )


def read_architecture(folder: Path) -> dict[str, Any]:
    """Return the sizes and rates in a folder's ``config.json`` (`DataError` when it is not Enformer's)."""
    values = read_config(folder)
    architecture = {name: values[name] for name in (*_SIZES, *_RATES) if name in values}
    wrong = _wrong_in(values)
    if wrong is not None:
        raise DataError(
            "config.json does not describe an Enformer with bins of 128 bp",
            where=str(folder / "config.json"),
            got=f"{wrong}: {values[wrong]}",
            wanted="as of the official weights, or of a model trained with enformer_pytorch",
        )
    return architecture


def _wrong_in(values: Mapping[str, Any]) -> str | None:
    """Return the first key of a ``config.json`` with a value that no Enformer of ours has."""
    for name, value in values.items():
        if name in _SIZES and (type(value) is not int or value <= 0):
            return name
        if name in _RATES and (not isinstance(value, int | float) or not 0 <= value < 1):
            return name
    if values.get("model_type", "enformer") != "enformer":
        return "model_type"
    if values.get("num_downsamples", DOWNSAMPLES) != DOWNSAMPLES:
        return "num_downsamples"
    # six kinds of positions share the channels of a head
    if "dim" in values and values["dim"] % (6 * values.get("heads", HEADS)):
        return "dim"
    return None

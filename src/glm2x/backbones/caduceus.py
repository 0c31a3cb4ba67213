"""Caduceus-ph: a bidirectional Mamba over single bases, and its hidden state of every base."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.selective_scan import scan_both_ways
from glm2x.backbones.unfilled import fitting
from glm2x.backbones.weights import (
    described_in,
    identity,
    load_into,
    read_config,
    read_state,
    require_fitting,
    require_layers,
    resolve,
)
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

OFFICIAL = "kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16"
TRAINED = 131_072  # bp
PREFIX = "caduceus.backbone."
IGNORED = ("lm_head.",)
TIED = ("in_proj", "out_proj")
# ids of the tokenizer: A C G T N are 7 to 11, in the order of the codes
FIRST_BASE = 7
SEPARATOR = 1
LETTERS = 12  # with the special tokens; the official table is padded to 16
SCANNED = 2**15  # numbers of state that a core of a CPU moves a step

_SIZES = ("d_model", "n_layer", "vocab_size")
_STATE_SIZES = {"d_state": 16, "d_conv": 4, "expand": 2}  # Mamba's own, where config.json has none
_FIXED = {
    "model_type": "caduceus",
    "rms_norm": True,
    "bidirectional": True,
    "bidirectional_strategy": "add",
    "bidirectional_weight_tie": True,
    "rcps": False,  # True: Caduceus-ps, another architecture
}
_FIXED_STATE = {"conv_bias": True, "bias": False}


class Caduceus(LanguageModel):
    """The last hidden state of every base, after the final norm; SEP ends each window and has no token.

    A layer adds to the residual what a Mamba makes of its norm, read from the left and from the right. The
    two Mambas share the projections into and out of their width. The reverse complement of a window gives
    other numbers than the window; its authors take the mean of both.

    On a GPU with `mamba_ssm` and `causal_conv1d`, transformers' mixers run their kernels. Where the package
    `kernels` is installed too, they would download and run the Hub's instead, and are not asked. Everywhere
    else both directions go through `scan_both_ways`. No gradients are kept.

    Parameters
    ----------
    architecture
        `d_model`, `n_layer`, `vocab_size` (rows of the embedding table), `d_state`, `d_conv`, `expand`,
        `dt_rank` and `norm_epsilon`, as `read_architecture` gives them.

    Notes
    -----
    Method: Schiff et al., ICML (2024), arXiv 2403.03234; weights Apache-2.0.
    Nothing in the architecture limits a window. But it was trained on 131,072 bp, what it makes of more is
    not known, and so longer windows are tiled.
    """

    token_bp = 1
    longest = TRAINED
    # one of 64 kb takes 0.4 GB on a CPU, and more with a GPU's kernels
    windows_at_once = 2

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width: int = architecture["d_model"]
        epsilon: float = architecture["norm_epsilon"]
        self.width = width
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(architecture["vocab_size"], width)})
        self.layers = nn.ModuleList(Layer(architecture, i) for i in range(architecture["n_layer"]))
        self.norm_f = nn.RMSNorm(width, epsilon)
        state = 2 * width * architecture["expand"] * architecture["d_state"]
        self._rows_a_core = max(1, SCANNED // state)
        self.spec = {"architecture": dict(architecture), "layer": None, "precision": "float32"}

    @torch.no_grad()
    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float32 [B, L, width], from codes, uint8 [B, L] (A C G T N = 0 1 2 3 4)."""
        at_once = len(codes)
        if codes.device.type == "cpu":  # more would not be faster, and take more memory
            at_once = self._rows_a_core * torch.get_num_threads()
        return torch.cat([self._hidden(codes[i : i + at_once]) for i in range(0, len(codes), at_once)])

    def _hidden(self, codes: Tensor) -> Tensor:
        """Return the hidden states of some rows."""
        ids = functional.pad(codes.long() + FIRST_BASE, (0, 1), value=SEPARATOR)
        residual = self.embeddings["word_embeddings"](ids)
        for layer in self.layers:
            residual += layer(residual)
        hidden: Tensor = self.norm_f(residual[:, :-1])
        return hidden


class Layer(nn.Module):
    """What a layer adds to the residual, float [B, L, width]; parameters under the official names."""

    def __init__(self, architecture: Mapping[str, Any], index: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(architecture["d_model"], architecture["norm_epsilon"])
        self.mixer = BothWays(_mixer(architecture, index), _mixer(architecture, index))

    def forward(self, residual: Tensor) -> Tensor:
        """Return what is to be added to the residual."""
        added: Tensor = self.mixer(self.norm(residual))
        return added


class BothWays(nn.Module):
    """A Mamba from the left plus one from the right, which take over the first one's outer projections.

    Parameters
    ----------
    forward, reverse
        `MambaMixer` of transformers.
    """

    def __init__(self, forward: nn.Module, reverse: nn.Module) -> None:
        super().__init__()
        self.mamba_fwd: Any = forward
        self.mamba_rev: Any = reverse
        for name in TIED:
            getattr(self.mamba_rev, name).weight = getattr(self.mamba_fwd, name).weight

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of what both directions make of x, float [B, L, width], position by position."""
        forward, reverse = self.mamba_fwd, self.mamba_rev
        if runs_kernels(x.device):
            both: Tensor = forward(x) + reverse(x.flip(1)).flip(1)
            return both
        # both directions multiply by the same matrices and by the same gate: once is enough
        into, gate = forward.in_proj.weight.chunk(2)
        y = scan_both_ways(forward, reverse, functional.linear(x, into))
        y *= functional.silu(functional.linear(x, gate), inplace=True)
        out: Tensor = forward.out_proj(y)
        return out


def runs_kernels(device: torch.device) -> bool:
    """Return whether transformers' mixers run kernels that are installed here, and no code of the Hub."""
    if device.type != "cuda":
        return False
    from transformers.utils.import_utils import (
        is_causal_conv1d_available,
        is_kernels_available,
        is_mamba_ssm_available,
    )

    return bool(is_mamba_ssm_available() and is_causal_conv1d_available() and not is_kernels_available())


def build(config: BackboneConfig) -> Caduceus:
    """Return the model with its pretrained weights.

    Raises
    ------
    UsageError
        A layer is asked for, or a revision stands beside a folder of weights.
    DataError
        The weights are not there, damaged, or not Caduceus-ph's.
    """
    if config.layer is not None:
        raise UsageError(
            "caduceus-ph gives the last hidden state, and no other layer's",
            where="backbone.layer",
            got=str(config.layer),
            wanted="null",
        )
    weights = resolve(OFFICIAL, config)
    where = str(weights.folder)
    architecture = read_architecture(weights.folder)
    state = read_state(weights.folder)
    require_layers(state, architecture["n_layer"], where=where)
    state = fill_tied(state, architecture["n_layer"], where)
    with described_in(weights.folder):
        model = fitting(
            lambda: Caduceus(architecture),
            lambda empty: require_fitting(empty, state, ignore=IGNORED, where=where),
        )
    load_into(model, state, ignore=IGNORED, where=where)
    model.spec = {**model.spec, **identity(weights)}
    return model


def fill_tied(state: Mapping[str, Tensor], layers: int, where: str = "") -> dict[str, Tensor]:
    """Return a checkpoint's tensors under our names, the shared projections under both directions' names.

    Raises
    ------
    DataError
        The checkpoint has both directions' and they differ: its model did not share them.
    """
    filled = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    for layer, tied in product(range(layers), TIED):
        twins = [f"layers.{layer}.mixer.mamba_{way}.{tied}.weight" for way in ("fwd", "rev")]
        found = [filled[name] for name in twins if name in filled]
        if len(found) == 2 and not _is_same(*found):
            raise DataError(
                "the weights of the two directions are not shared",
                where=where,
                got=f"{' and '.join(twins)} differ",
                wanted="the same projections for both, as in Caduceus-ph",
            )
        filled |= {name: found[0] for name in twins if found}
    return filled


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def read_architecture(folder: Path) -> dict[str, Any]:
    """Return the sizes in a folder's ``config.json`` (`DataError` when it is not Caduceus-ph's)."""
    values = read_config(folder)
    inner = values.get("ssm_cfg") or {}
    wrong = _wrong_in(values, inner)
    if wrong is not None:
        raise DataError(
            "config.json does not describe a Caduceus-ph",
            where=str(folder / "config.json"),
            got=wrong,
            wanted=f"as of {OFFICIAL}",
        )
    rank, multiple = inner.get("dt_rank", "auto"), values.get("pad_vocab_size_multiple", 8)
    return {
        "d_model": values["d_model"],
        "n_layer": values["n_layer"],
        "vocab_size": -(-values["vocab_size"] // multiple) * multiple,
        **{name: inner.get(name, default) for name, default in _STATE_SIZES.items()},
        "dt_rank": -(-values["d_model"] // 16) if rank == "auto" else rank,
        "norm_epsilon": values.get("norm_epsilon", 1e-5),
    }


def _wrong_in(values: Mapping[str, Any], inner: Any) -> str | None:
    """Return the first key and value of a ``config.json`` that no Caduceus-ph has."""
    if not isinstance(inner, Mapping):
        return f"ssm_cfg: {inner}"
    sizes = {
        **{name: values.get(name) for name in _SIZES},
        "pad_vocab_size_multiple": values.get("pad_vocab_size_multiple", 8),
        **{name: inner.get(name, default) for name, default in _STATE_SIZES.items()},
        "dt_rank": 1 if inner.get("dt_rank", "auto") == "auto" else inner["dt_rank"],
    }
    for name, value in sizes.items():
        if type(value) is not int or value <= 0 or (name == "vocab_size" and value < LETTERS):
            return f"{name}: {value}"
    for given, fixed in ((values, _FIXED), (inner, _FIXED_STATE)):
        for name, wanted in fixed.items():
            if given.get(name, wanted) != wanted:
                return f"{name}: {given[name]}"
    epsilon = values.get("norm_epsilon", 1e-5)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        return f"norm_epsilon: {epsilon}"
    return None


def _mixer(architecture: Mapping[str, Any], index: int) -> nn.Module:
    """Return transformers' mixer, without the search for kernels on the Hub that its constructor makes."""
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    class Mixer(MambaMixer):
        def warn_slow_implementation(self) -> None:
            """Say nothing: what runs in its place is `scan_both_ways`."""

    config = MambaConfig(  # type: ignore[no-untyped-call]
        hidden_size=architecture["d_model"],
        state_size=architecture["d_state"],
        conv_kernel=architecture["d_conv"],
        expand=architecture["expand"],
        time_step_rank=architecture["dt_rank"],
        num_hidden_layers=architecture["n_layer"],
    )
    return Mixer(config, index)

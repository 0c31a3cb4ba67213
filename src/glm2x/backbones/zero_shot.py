"""Published models with their own output heads: coverage around a TSS as a prediction, without training.

The whole native window is read. Only what the answer needs is computed behind the transformer: the last
layers work bin by bin, so they are given the bins around the TSS, and of the head's thousands of tracks
the chosen rows are kept. The numbers are the library's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones import borzoi, enformer
from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.squashed import Unsquash, read_tracks
from glm2x.backbones.weights import Weights, load_into, read_state, resolve
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

STEP = 128  # windows are multiples: Enformer's bin; four of Borzoi's, which halves its 32 bp bins twice


@dataclass(frozen=True)
class Readout:
    """What of a model's output is the prediction.

    Attributes
    ----------
    tracks
        Rows of the human head; their mean is taken.
    bins
        How many bins around the TSS are summed; odd, the TSS in the middle one.
    """

    tracks: tuple[int, ...]
    bins: int


class ZeroShot(nn.Module, ABC):
    """Coverage around the TSS, from codes.

    Parameters
    ----------
    window
        Base pairs, a multiple of 128 and at most `native`.
    readout
        What is summed and averaged.
    weight, bias
        The chosen rows of the head, float [tracks, channels] and [tracks].

    Attributes
    ----------
    windows_at_once
        How many windows are to go through together: of the native length each takes gigabytes.
    """

    native: ClassVar[int]
    bin: ClassVar[int]
    official: ClassVar[str]
    default: ClassVar[Readout]
    windows_at_once = 1

    def __init__(self, window: int, readout: Readout, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.window = window
        self.readout = readout
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.load_state_dict({"weight": weight, "bias": bias})
        self.weights: Weights | None = None
        self.track_names: tuple[str, ...] = tuple(map(str, readout.tracks))

    @abstractmethod
    def embed(self, inputs: Tensor, bins: slice) -> Tensor:
        """Return the last embedding of some bins, float [H, bins, channels], from one-hot [H, 4, L]."""

    def coverage(self, codes: Tensor, tss: int) -> Tensor:
        """Return coverage a bin around the TSS, float [H, bins, tracks].

        Parameters
        ----------
        codes
            uint8 [H, L], in the gene's direction.
        tss
            Its index in the window: L / 2 of a gene on +, L / 2 - 1 of one on -.
        """
        first = tss // self.bin - self.readout.bins // 2
        tokens = self.embed(one_hot(codes), slice(first, first + self.readout.bins))
        return functional.softplus(self.head(tokens.float()))

    def describe(self) -> list[str]:
        """Return, in lines for people, which weights are read out where."""
        lines = [f"tracks: {', '.join(self.track_names)}"]
        lines.append(f"around the TSS: {self.readout.bins} bins of {self.bin} bp, window {self.window} bp")
        if self.window < self.native:
            lines.append(f"note: shorter than the {self.native} bp that the model was trained with")
        if self.weights is not None:
            revision = f", revision {self.weights.revision}" if self.weights.revision else ""
            lines.append(f"weights: {self.weights.source}{revision}")
        return lines

    def forward(self, codes: Tensor, tss: int) -> Tensor:
        """Return one number a haplotype, float32 [H]: the mean over tracks of the sum over bins."""
        return self.coverage(codes, tss).sum(dim=1).mean(dim=1)


class EnformerZeroShot(ZeroShot):
    """Enformer (Avsec et al., Nature Methods 2021) with its human head, 5,313 tracks of 128 bp bins.

    The trunk is that of `glm2x.backbones.enformer`: at the native window with TensorFlow's gamma
    positions, with which it was trained, and at a shorter one with the formula's.
    """

    native = 196_608
    bin = enformer.BIN
    official = enformer.OFFICIAL
    default = Readout(tracks=(5110,), bins=3)

    def __init__(self, window: int, readout: Readout, folder: Path) -> None:
        architecture, state = enformer.read_architecture(folder), read_state(folder)
        rows = head_rows(state, "_heads.human.0.weight", "_heads.human.0.bias", readout.tracks, folder)
        super().__init__(window, readout, *rows)
        self.trunk = enformer.Enformer(architecture, window)
        load_into(self.trunk, state, ignore=enformer.IGNORED, where=str(folder))

    def embed(self, inputs: Tensor, bins: slice) -> Tensor:
        """Return the last embedding of some bins, float [H, bins, 3072], from one-hot [H, 4, L]."""
        x = self.trunk.conv_tower(self.trunk.stem(inputs)).transpose(1, 2)
        self.trunk._choose_positions(x.shape[1])
        tokens: Tensor = self.trunk.final_pointwise(self.trunk.transformer(x)[:, bins])
        return tokens


class BorzoiZeroShot(ZeroShot):
    """Borzoi (Linder et al., Nature Genetics 2025) with its human head, 7,611 tracks of 32 bp bins.

    Its output scale is undone bin by bin (`glm2x.backbones.squashed`).
    """

    native = 524_288
    bin = borzoi.BIN
    official = borzoi.OFFICIAL
    default = Readout(tracks=(870,), bins=13)

    def __init__(self, window: int, readout: Readout, folder: Path) -> None:
        architecture, state = borzoi.read_architecture(folder), read_state(folder)
        weight, bias = head_rows(state, "human_head.weight", "human_head.bias", readout.tracks, folder)
        super().__init__(window, readout, weight[:, :, 0], bias)
        self.model = borzoi.Borzoi(architecture, window).model
        self.model.crop.target_length = -1
        load_into(self.model, state, ignore=borzoi.HEADS, where=str(folder))
        table = read_tracks()
        chosen = [table[track] for track in readout.tracks]
        self.track_names = tuple(
            f"{number} ({track.identifier} {track.description})"
            for number, track in zip(readout.tracks, chosen, strict=True)
        )
        self.unsquash = Unsquash(chosen)

    def embed(self, inputs: Tensor, bins: slice) -> Tensor:
        """Return the last embedding of some bins, float [H, bins, 1920], from one-hot [H, 4, L]."""
        tokens: Tensor = self.model.final_joined_convs(self.model.get_embs_after_crop(inputs)[:, :, bins])
        return tokens.transpose(1, 2)

    def coverage(self, codes: Tensor, tss: int) -> Tensor:
        """Return coverage a bin around the TSS, its scale undone, float [H, bins, tracks]."""
        coverage: Tensor = self.unsquash(super().coverage(codes, tss))
        return coverage


MODELS: dict[str, type[EnformerZeroShot] | type[BorzoiZeroShot]] = {
    "enformer": EnformerZeroShot,
    "borzoi": BorzoiZeroShot,
}


def build_zero_shot(
    config: BackboneConfig,
    *,
    window: int | None = None,
    tracks: Sequence[int] | None = None,
    bins: int | None = None,
) -> ZeroShot:
    """Return a published model with its head, in evaluation mode on the CPU.

    Parameters
    ----------
    config
        ``enformer`` or ``borzoi``, and where its weights are.
    window
        Base pairs; the model's native window by default. A shorter one is allowed and is not what the
        model was trained with.
    tracks, bins
        See `Readout`; by default CAGE of GM12878 and about 400 bp around the TSS.

    Raises
    ------
    UsageError
        No such model or track, or a window that it cannot take.
    DataError
        The weights are not there, or are not this model's.
    """
    kind = MODELS.get(config.name)
    if kind is None:
        raise UsageError(
            f"{config.name} has no output head to predict with",
            wanted=" or ".join(MODELS),
            do="train a head on it instead: glm2x train",
        )
    readout = Readout(tuple(tracks or kind.default.tracks), kind.default.bins if bins is None else bins)
    length = kind.native if window is None else window
    _require_window(kind, length, readout)
    weights = resolve(kind.official, config)
    model = kind(length, readout, weights.folder)
    model.weights = weights
    return model.eval().requires_grad_(False)


def head_rows(
    state: dict[str, Tensor], weight: str, bias: str, tracks: Sequence[int], folder: Path
) -> tuple[Tensor, Tensor]:
    """Return some tracks' weights and biases of a head.

    Raises
    ------
    DataError
        The weights hold no head: those of a trunk alone cannot predict without training.
    UsageError
        The head has no such track.
    """
    if weight not in state or bias not in state:
        raise DataError(
            "the weights hold no human output head",
            where=str(folder),
            wanted=weight,
            do="take the published weights, or train a head on these: glm2x train",
        )
    width = len(state[bias])
    absent = [track for track in tracks if not 0 <= track < width]
    if absent or len(set(tracks)) < len(tracks):
        raise UsageError(
            f"the head has no track {absent[0]}" if absent else "a track is named twice",
            where="--tracks",
            got=", ".join(map(str, tracks)),
            wanted=f"different numbers from 0 to {width - 1}",
        )
    rows = list(tracks)
    return state[weight][rows], state[bias][rows]


def _require_window(kind: type[ZeroShot], window: int, readout: Readout) -> None:
    if readout.bins < 1 or readout.bins % 2 == 0:
        raise UsageError("the TSS lies in the middle one of the bins", got=str(readout.bins), wanted="odd")
    # the trunks want 10 bins; one more than is read on either side, so that no strand lacks any
    least = -(-max(readout.bins + 2, 10) * kind.bin // STEP) * STEP
    if window % STEP or not least <= window <= kind.native:
        raise UsageError(
            "the model takes no window of this length",
            where="--window",
            got=f"{window} bp",
            wanted=f"a multiple of {STEP} bp from {least} to {kind.native} (its native window)",
            do="leave --window out",
        )

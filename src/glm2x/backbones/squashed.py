"""Borzoi's output scale, and the way back to coverage.

Borzoi was trained on squashed coverage (Linder et al., Nature Genetics 2025, doi 10.1038/s41588-024-02053-6;
the code that wrote its targets is in its authors' repositories, calico/borzoi and calico/baskerville): a
bin's coverage, to the power 3/4 for RNA-seq; what then exceeds a track's soft clip c becomes
c + sqrt(x - c); all of it times the track's scale. The table of tracks that says so for each of
them comes with borzoi-pytorch.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import torch
from torch import Tensor, nn

ROOT_POWER = 0.75  # of the tracks whose statistic is `sum_sqrt`


@dataclass(frozen=True)
class Track:
    """One row of the table of Borzoi's human tracks.

    Attributes
    ----------
    identifier
        Ends in + or - where a track is of one strand; + is the strand that the model reads.
    description
        Assay and sample, such as ``RNA:GM12878``.
    scale, clip_soft, power
        How its coverage was squashed; see the module.
    """

    identifier: str
    description: str
    scale: float
    clip_soft: float
    power: float


def read_tracks() -> tuple[Track, ...]:
    """Return all of Borzoi's human tracks, in the order of its head, from the library's table."""
    table = resources.files("borzoi_pytorch") / "precomputed/targets.txt"
    with table.open(encoding="utf-8") as lines:
        return tuple(
            Track(
                identifier=row["identifier"],
                description=row["description"],
                scale=float(row["scale"]),
                clip_soft=float(row["clip_soft"]),
                power=ROOT_POWER if row["sum_stat"].endswith("_sqrt") else 1.0,
            )
            for row in csv.DictReader(lines, delimiter="\t")
        )


class Unsquash(nn.Module):
    """Turns the squashed scale of some tracks into coverage a bin.

    Parameters
    ----------
    tracks
        The tracks, in the order of the last dimension.
    """

    scale: Tensor
    clip_soft: Tensor
    power: Tensor

    def __init__(self, tracks: Sequence[Track]) -> None:
        super().__init__()
        for name in ("scale", "clip_soft", "power"):
            values = torch.tensor([getattr(track, name) for track in tracks], dtype=torch.float32)
            self.register_buffer(name, values, persistent=False)

    def forward(self, squashed: Tensor) -> Tensor:
        """Return coverage, float [..., tracks], from a head's output of the same shape, >= 0."""
        x = squashed / self.scale
        x = torch.where(x > self.clip_soft, self.clip_soft + (x - self.clip_soft).square(), x)
        return x ** (1 / self.power)

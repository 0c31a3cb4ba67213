"""What one window costs: measured, given, or reckoned from the operations of a forward pass and a device.

Operations are two a multiply-add. Those of Enformer, Borzoi and the Tower were counted by
``benchmarks/flops.py``; those of language models follow from their parameters (two a parameter and token,
Kaplan et al. 2020, https://arxiv.org/abs/2001.08361) and attention (four a pair of tokens, channel, layer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, write_json

FORMAT_VERSION = 1
UTILISATION = 0.3
"""The share of a device's peak that such models reach; a guess, to be replaced by a measurement."""

DEVICES: Mapping[str, float] = MappingProxyType(
    {"a100": 312e12, "h100": 989e12, "l40s": 362e12, "a10": 125e12, "rtx4090": 165e12, "v100": 125e12}
)
"""Peak operations a second in bf16 (v100: fp16), without sparsity, of the makers' data sheets."""

READ_BYTES = 2e9
"""Bytes a second that a store is read with where nothing is given: one fast local disk."""

_TOWER = 0.29  # of 2 x tokens x width^2, at all three published sizes


def _caduceus(window: int) -> float:
    # 16 layers in two directions: projections of 0.46 million parameters each, and a scan of 9 operations
    # a base, inner channel and state
    return window * 16 * 2 * (2 * 0.46e6 + 9 * 512 * 16)


def _nucleotide_transformer(window: int) -> float:
    tiles = -(-window // 12_282)  # longer windows are read in tiles
    tokens = window / 6 / tiles
    return tiles * (2 * 335.7e6 * tokens + 4 * tokens**2 * 1_024 * 20)


def _evo2(window: int) -> float:
    # up to the layer that is kept; 5 of 32 layers are attention, causal
    return 28 / 32 * (2 * 6.5e9 * window + 5 / 2 * 4 * window**2 * 4_096)


FORWARD: Mapping[str, Callable[[int], float]] = MappingProxyType(
    {
        "enformer": lambda window: 1.022e12 * window / 64_000,
        "borzoi": lambda window: 0.485e12 * window / 64_000,
        "nucleotide-transformer-v2": _nucleotide_transformer,
        "caduceus-ph": _caduceus,
        "evo2": _evo2,
    }
)
"""Operations of one forward pass, by window in bp."""


def tower(tokens: int, width: int) -> float:
    """Return the operations of the Tower's forward pass."""
    return _TOWER * 2 * tokens * width**2


@dataclass(frozen=True)
class Costs:
    """What one window costs on one device.

    Attributes
    ----------
    forward
        Seconds of the backbone's forward pass.
    train
        Seconds of one window of a training step (of the Tower where the backbone is frozen); a person's
        sample has two.
    source
        In words, where they are from.
    """

    forward: float
    train: float
    source: str


def reckoned(
    backbone: str, window: int, frozen: tuple[int, int] | None, device: str, utilisation: float = UTILISATION
) -> Costs:
    """Return costs from operations and a device's peak.

    Parameters
    ----------
    frozen
        Rows and width of what is stored of a haplotype; None where the backbone is trained itself.
    device
        Of `DEVICES`.

    Raises
    ------
    UsageError
        The operations of the backbone, or the device, are not known.
    """
    if device not in DEVICES:
        raise UsageError(
            "no such device is known", got=device, wanted=", ".join(DEVICES), do="or give --costs"
        )
    if backbone not in FORWARD:
        raise UsageError(
            f"what a window costs {backbone} is not known",
            wanted=", ".join(FORWARD),
            do="give --costs FILE; glm2x embed plan measures a language model on this machine",
        )
    speed = DEVICES[device] * utilisation
    forward = FORWARD[backbone](window)
    # backward takes twice the forward pass
    train = 3 * (forward if frozen is None else tower(*frozen))
    peak = f"{DEVICES[device] / 1e12:.0f} TFLOP/s of the {device.upper()}"
    source = f"reckoned, not measured: operations at {utilisation:.0%} of the {peak}"
    return Costs(forward / speed, train / speed, source)


def read_costs(path: Path) -> dict[str, Costs]:
    """Read a JSON file of costs, by backbone.

    It is ``{"format_version": 1, "costs": {NAME: {"forward_seconds": ..., "train_seconds": ...}}}``, in
    seconds a window.

    Raises
    ------
    DataError
        It is missing, damaged, or says something else.
    """
    content = read_json(path)
    version = content.get("format_version") if isinstance(content, dict) else None
    found = content.get("costs") if isinstance(content, dict) else None
    if version != FORMAT_VERSION or not isinstance(found, dict):
        raise _wrong(path, f"format_version {version}")
    return {str(name): _costs(path, str(name), said) for name, said in found.items()}


def _costs(path: Path, name: str, said: Any) -> Costs:
    keys = ("forward_seconds", "train_seconds")
    values = [said.get(key) for key in keys] if isinstance(said, dict) else []
    fine = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < 1e9]
    if len(fine) != len(keys):
        raise _wrong(path, f"{name}: {str(said)[:80]}")
    return Costs(float(fine[0]), float(fine[1]), f"given in {path.name}")


def write_costs(path: Path, costs: Mapping[str, Costs], *, force: bool = False) -> None:
    """Write costs as `read_costs` reads them."""
    said = {name: {"forward_seconds": c.forward, "train_seconds": c.train} for name, c in costs.items()}
    write_json(path, {"format_version": FORMAT_VERSION, "costs": said}, force=force)


def _wrong(path: Path, got: str) -> DataError:
    return DataError(
        "the file of costs does not say what a window costs",
        where=str(path),
        got=got,
        wanted='{"format_version": 1, "costs": {"evo2": {"forward_seconds": 3.4, "train_seconds": 0.02}}}',
    )

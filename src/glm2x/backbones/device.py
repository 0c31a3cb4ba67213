"""Where to compute: what a device's name means on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from glm2x.errors import UsageError


def require_device(device: str, *, where: str = "--device") -> str:
    """Return the torch device type that `device` (auto | cpu | cuda | mps) means on this machine.

    Raises
    ------
    UsageError
        The device asked for is not there; `where` names the option or key that asked.
    """
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, there in present.items() if there)
    if not present[device]:
        raise UsageError(
            f"this machine has no {device} device that torch can use",
            where=where,
            got=device,
            wanted="auto, or one of " + ", ".join(name for name, there in present.items() if there),
            do="choose auto",
        )
    return device


def devices_of(kind: str) -> int:
    """Return how many GPUs of a kind (cuda | mps) there are; of CPUs, none."""
    import torch

    return torch.cuda.device_count() if kind == "cuda" else int(kind == "mps")


def default_threads() -> int:
    """Return with how many threads torch computes on this machine's CPU where nobody says."""
    import torch

    return torch.get_num_threads()


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with so many threads on the CPU: sums are split among them, and rounded so.

    None leaves the number as it is.
    """
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Where to compute: what a device's name means on this machine."""

from __future__ import annotations

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

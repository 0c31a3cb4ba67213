"""Lightning Fabric, in one place: the device, the precision, and (later) several of them.

Importing lightning_fabric takes seconds, so it is imported when training starts and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm2x.config import TrainingConfig
from glm2x.errors import UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric as Fabric  # other modules take the type from here


def start_fabric(training: TrainingConfig) -> Fabric:
    """Return a launched Fabric on one device.

    Raises
    ------
    UsageError
        The device asked for is not on this machine.
    """
    device = training.device
    require_device(device)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=device, devices=1, precision=training.precision)
    fabric.launch()
    return fabric


def require_device(device: str) -> str:
    """Return the torch device type that `device` (auto | cpu | cuda | mps) means on this machine.

    Raises
    ------
    UsageError
        The device asked for is not there.
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
            where="training.device",
            got=device,
            wanted="auto, or one of " + ", ".join(name for name, there in present.items() if there),
            do="set training.device: auto",
        )
    return device

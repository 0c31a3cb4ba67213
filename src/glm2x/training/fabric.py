"""Lightning Fabric, in one place: the device, the precision, and the processes that train together.

Importing lightning_fabric takes seconds, so it is imported when training starts and not before.
"""

from __future__ import annotations

import inspect
import logging
import os
from typing import TYPE_CHECKING, Any

from glm2x.backbones.device import require_device
from glm2x.config import TrainingConfig
from glm2x.errors import UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric as Fabric  # other modules take the type from here


def start_fabric(training: TrainingConfig) -> Fabric:
    """Return a launched Fabric: on one device, or, where torchrun has started several processes, on theirs.

    Several form a process group (gloo on CPUs, NCCL on GPUs) and share gradients by
    DistributedDataParallel. Buffers stay each process's own during an epoch.

    Raises
    ------
    UsageError
        The device asked for is not on this machine, or the number of processes is another than
        ``training.devices``.
    """
    device = training.device
    kind = require_device(device, where="training.device")
    require_processes(training.devices)
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each process would tell its rank
    size = processes()
    if size == 1:
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment

        # one process is one, whatever a cluster's own variables say: only torchrun starts several
        fabric = Fabric(
            accelerator=device, devices=1, precision=training.precision, plugins=[LightningEnvironment()]
        )
    else:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        _require_devices(kind, here)
        if here == size:
            _join_again(kind, size)
        fabric = Fabric(
            accelerator=kind,
            devices=here,
            num_nodes=size // here,
            strategy=_shared_gradients(),
            precision=training.precision,
        )
    fabric.launch()
    return fabric


def _join_again(kind: str, size: int) -> None:
    """Start the process group of processes that torchrun has started again, by keys of this attempt alone.

    Torchrun's store outlives them: gloo and NCCL would find in it the addresses of those that have ended
    (pytorch issue 135712). On several machines attempts are not counted alike, and torchrun must be told to
    make a new store each time; see the guide to training.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    import torch
    from torch.distributed import (  # type: ignore[attr-defined]
        PrefixStore,
        TCPStore,
        init_process_group,
    )

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        store=PrefixStore(f"glm2x/{attempt}", store),
        rank=int(os.environ["RANK"]),
        world_size=size,
        device_id=torch.device("cuda", int(os.environ["LOCAL_RANK"])) if kind == "cuda" else None,
    )


def processes() -> int:
    """Return how many processes torchrun has started, on all machines; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def require_processes(devices: int | str) -> None:
    """Refuse another number of processes than ``training.devices``: only torchrun starts several.

    Raises
    ------
    UsageError
        They differ; ``auto`` takes any number.
    """
    size = processes()
    if devices in ("auto", size):
        return
    raise UsageError(
        f"training.devices asks for {devices} processes, and there "
        + ("is one" if size == 1 else f"are {size}, which torchrun has started"),
        where="training.devices",
        got=str(devices),
        wanted=f"auto, or {size}",
        do=f"torchrun --standalone --nproc-per-node {devices} -m glm2x train CONFIG.yml; "
        "or set training.devices: auto",
    )


def _shared_gradients() -> Any:
    """Return the strategy in which processes share gradients, and buffers not at all."""
    from lightning_fabric.strategies.ddp import DDPStrategy
    from torch.nn.parallel import DistributedDataParallel

    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before 2.13
    settings: dict[str, Any] = {name: False}
    return DDPStrategy(**settings)


def _require_devices(kind: str, wanted: int) -> None:
    """Refuse several processes where there is no device for each (`UsageError`)."""
    import torch

    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind, wanted)
    if there < wanted:
        raise UsageError(
            f"torchrun has started {wanted} processes on a machine with {there} {kind} devices",
            where="training.device",
            got=f"{wanted} processes",
            wanted=f"at most {there}",
            do=f"torchrun --nproc-per-node {there}, or set training.device: cpu",
        )

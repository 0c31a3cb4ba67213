"""A checkpoint: a folder that holds a model and everything needed to use it or to go on training it.

======================== ====================================================================
``model.safetensors``     weights and buffers
``config.yml``            the complete, resolved configuration
``split.json``            the split that it was trained with
``state.json``            format version, where training stood, metadata, SHA-256 of the others,
                          the structure of the optimiser's state
``optimizer.safetensors`` the optimiser's tensors; only where training goes on (`last`)
======================== ====================================================================

It is written aside and renamed; reading it runs no code from it.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from glm2x.cohort.split import Split
from glm2x.config import TrainConfig, dump_config, parse_config
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, require_file, sha256, write_aside, write_json

FORMAT = "glm2x checkpoint"
FORMAT_VERSION = 1
MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
CONFIG, SPLIT, STATE = "config.yml", "split.json", "state.json"


@dataclass(frozen=True)
class State:
    """Where training stood: `epoch` epochs and `step` steps of the phase are done.

    `best` is the lowest validation loss so far and `best_epoch` its epoch (from 1); None without
    validation data.
    """

    phase: str
    epoch: int
    step: int
    best: float | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class Metadata:
    """What a model was made from. `genes` are those of the phase that it was saved in."""

    glm2x_version: str
    backbone: str
    head: str
    target: str
    window: int
    cohort_digest: str
    split_digest: str
    train_individuals: int
    genes: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole; tensors are read on request."""

    folder: Path
    config: TrainConfig
    state: State
    metadata: Metadata
    optimizer: dict[str, Any] | None

    @property
    def split(self) -> Path:
        """The file of the split that the model was trained with."""
        return self.folder / SPLIT

    def load_into(self, model: nn.Module) -> None:
        """Copy the weights into `model`.

        Raises
        ------
        DataError
            A tensor is missing, left over, or of another shape.
        """
        path = self.folder / MODEL
        tensors, wanted = _read_tensors(path), model.state_dict()
        for name in sorted(tensors.keys() ^ wanted.keys()):
            raise _misfit(path, name, _shape(tensors.get(name)), _shape(wanted.get(name)))
        for name, tensor in tensors.items():
            if tensor.shape != wanted[name].shape:
                raise _misfit(path, name, _shape(tensor), _shape(wanted[name]))
        model.load_state_dict(tensors)

    def load_optimizer_into(self, optimizer: Optimizer) -> None:
        """Restore the optimiser's state.

        Raises
        ------
        DataError
            The checkpoint holds none.
        """
        if self.optimizer is None:
            raise DataError(
                "the checkpoint holds no optimiser state, so training cannot go on from it",
                where=str(self.folder),
                wanted="a phase's last checkpoint",
                do="to start a new run from its weights set start_from",
            )
        tensors = _read_tensors(self.folder / OPTIMIZER)
        values: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in self.optimizer["scalars"].items()}
        for name, tensor in tensors.items():
            parameter, _, key = name.partition(".")
            values.setdefault(int(parameter), {})[key] = tensor.clone()
        groups = [
            {key: tuple(value) if key == "betas" else value for key, value in group.items()}
            for group in self.optimizer["param_groups"]
        ]
        optimizer.load_state_dict({"state": values, "param_groups": groups})


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    config: TrainConfig,
    split: Split,
    state: State,
    metadata: Metadata,
    optimizer: Optimizer | None = None,
) -> None:
    """Write a checkpoint, replacing the one at `folder`; with the optimiser's state where it is given."""
    with write_aside(folder, force=True) as aside:
        aside.mkdir()
        _write_tensors(aside / MODEL, model.state_dict())
        (aside / CONFIG).write_text(dump_config(config))
        split.save(aside / SPLIT)
        structure = None
        if optimizer is not None:
            tensors, structure = _take_apart(optimizer)
            _write_tensors(aside / OPTIMIZER, tensors)
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "state": asdict(state),
            "metadata": asdict(metadata),
            "files": {path.name: sha256(path) for path in sorted(aside.iterdir())},
            "optimizer": structure,
        }
        write_json(aside / STATE, content)


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Read a checkpoint and verify that it is whole.

    Raises
    ------
    DataError
        It is not there, is no checkpoint, is of another format version, or is damaged.
    """
    folder = Path(folder)
    content = _read_state(folder)
    for name, wanted in content["files"].items():
        path = require_file(folder / name, kind="checkpoint file")
        got = sha256(path)
        if got != wanted:
            raise _damaged(path, f"SHA-256 {got[:12]}...", f"SHA-256 {wanted[:12]}...")
    try:
        metadata = Metadata(**(content["metadata"] | {"genes": tuple(content["metadata"]["genes"])}))
        state = State(**content["state"])
        config = parse_config(yaml.safe_load((folder / CONFIG).read_text()), where=str(folder / CONFIG))
    except (KeyError, TypeError, OSError, ValueError, yaml.YAMLError, UsageError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}", "what glm2x train writes") from error
    return Checkpoint(folder, config, state, metadata, content["optimizer"])


def copy_for_prediction(source: Path, target: Path, history: Path) -> None:
    """Copy a checkpoint without its optimiser state, with the run's history beside it."""
    content = _read_state(source)
    content["optimizer"] = None
    content["files"].pop(OPTIMIZER, None)
    with write_aside(target, force=True) as aside:
        aside.mkdir()
        for name in content["files"]:
            shutil.copyfile(source / name, aside / name)
        shutil.copyfile(history, aside / history.name)
        write_json(aside / STATE, content)


def recover(folder: Path) -> None:
    """Undo what a killed process left below `folder`: half-written files go, moved-away ones come back.

    A checkpoint is replaced by moving the old one away and the new one in. A process killed
    between the two leaves the old one, whole, under a hidden name.
    """
    for old in sorted(folder.rglob(".*.replaced-*")):
        target = old.parent / old.name[1:].rpartition(".replaced-")[0]
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)
    for partial in sorted(folder.rglob(".*.partial-*")):
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def _read_state(folder: Path) -> dict[str, Any]:
    if not (folder / STATE).is_file():
        raise DataError(
            "there is no checkpoint",
            where=str(folder),
            got="a folder without state.json" if folder.is_dir() else "no folder",
            wanted="a folder that glm2x train wrote, such as RUN/checkpoint",
        )
    content = read_json(folder / STATE)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("this is no glm2x checkpoint", where=str(folder / STATE), wanted=f"format: {FORMAT}")
    if content.get("format_version") != FORMAT_VERSION:
        raise DataError(
            "the checkpoint is of a format version that this glm2x does not read",
            where=str(folder),
            got=f"version {content.get('format_version')}",
            wanted=f"version {FORMAT_VERSION}",
            do="use the glm2x that wrote it (metadata.glm2x_version in state.json), or train again",
        )
    files = content.get("files")
    if not isinstance(files, dict) or not {MODEL, SPLIT} <= files.keys() or "optimizer" not in content:
        raise _damaged(folder / STATE, "keys are missing", "files and optimizer")
    return content


def _take_apart(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimiser's tensors by `parameter.key`, and all that is not a tensor."""
    content = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, values in content["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}.{key}"] = value
            else:
                scalars.setdefault(str(parameter), {})[key] = value
    return tensors, {"param_groups": content["param_groups"], "scalars": scalars}


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error), "a safetensors file") from error


def _damaged(path: Path, got: str, wanted: str) -> DataError:
    return DataError(
        f"the checkpoint is damaged: {path.name} is not what was written",
        where=str(path),
        got=got,
        wanted=wanted,
        do="restore it from a copy, or train again",
    )


def _misfit(path: Path, name: str, got: str, wanted: str) -> DataError:
    return DataError(
        f"the checkpoint does not fit the model: {name} differs",
        where=str(path),
        got=got,
        wanted=wanted,
        do="backbone, head and window must be those that the checkpoint was trained with",
    )


def _shape(tensor: Tensor | None) -> str:
    return "no such tensor" if tensor is None else f"shape {list(tensor.shape)}"

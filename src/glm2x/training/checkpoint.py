"""A checkpoint: a folder that holds a model and everything needed to use it or to go on training it.

========================= ====================================================================
``model.safetensors``     weights and buffers
``config.yml``            the complete, resolved configuration
``split.json``            the split that it was trained with
``state.json``            format version, where training stood, metadata, SHA-256 of the others,
                          the structure of the optimiser's state
``optimizer.safetensors`` the optimiser's tensors; only where training goes on (`last`)
========================= ====================================================================

It is written aside and renamed; reading it runs no code from it, believes no type and allocates
nothing before names and shapes were compared. Tensors that a model holds under several names (tied
weights) are stored under each of them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from glm2x.backbones.info import Package
from glm2x.backbones.packages import require_names
from glm2x.cohort.split import Split
from glm2x.config import TrainConfig, dump_config, parse_config
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, require_file, sha256, write_aside, write_json
from glm2x.seal import unsealed

FORMAT = "glm2x checkpoint"
FORMAT_VERSION = 2
MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
CONFIG, SPLIT, STATE = "config.yml", "split.json", "state.json"

_T = TypeVar("_T")
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class State:
    """Where training stood: `epoch` epochs and `step` steps of the phase are done.

    `best` is the lowest validation loss so far and `best_epoch` its epoch (from 1); None without
    validation data.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    phase: str
    epoch: _Count
    step: _Count
    best: float | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class Metadata:
    """What a model was made from.

    `backbone_spec` is the backbone's own `Backbone.spec`: its architecture and the source of its weights,
    by which it is built again without looking for these. `backbone_package` is the package that the backbone
    came from; None: glm2x itself. `freeze` is what was not trained.

    `individuals_touched` and `genes` are the people and genes that it was trained on or validated
    with, sorted: those of the phase that it was saved in, of the phases before, and of the checkpoint
    of ``start_from`` and its own ancestors. A reference phase touches the training people through its
    target, which is their mean.

    `train_individuals` counts the split's training and validation people (the latter choose the
    epoch), and any others that an ancestor has touched: the number by which models are matched with
    baselines, which fit on both.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    glm2x_version: str
    backbone: str
    backbone_spec: dict[str, Any]
    freeze: Literal["trunk"] | int | None
    head: str
    target: str
    window: int
    cohort_digest: str
    split_digest: str
    train_individuals: _Count
    genes: tuple[str, ...]
    individuals_touched: tuple[str, ...]
    backbone_package: Package | None = None


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

    @property
    def digest(self) -> str:
        """The SHA-256 of `state.json`, which holds those of the other files."""
        return sha256(self.folder / STATE)

    def load_into(self, model: nn.Module) -> None:
        """Copy the weights into `model`.

        Raises
        ------
        DataError
            A tensor is missing, left over, or of another shape.
        """
        self.require_fit(model)
        model.load_state_dict(_read_tensors(self.folder / MODEL))

    def require_fit(self, model: nn.Module) -> None:
        """Compare the names and shapes of the stored weights with those of `model`, whatever its device.

        Raises
        ------
        DataError
            A tensor is missing, left over, or of another shape.
        """
        path = self.folder / MODEL
        stored = _read_shapes(path)
        wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        for name in sorted(stored.keys() ^ wanted.keys()) or sorted(stored):
            if stored.get(name) != wanted.get(name):
                raise _misfit(path, name, _shape(stored.get(name)), _shape(wanted.get(name)))

    def load_optimizer_into(self, optimizer: Optimizer) -> None:
        """Restore the optimiser's state.

        Raises
        ------
        DataError
            The checkpoint holds none, or none that fits the optimiser.
        """
        if self.optimizer is None:
            raise DataError(
                "the checkpoint holds no optimiser state, so training cannot go on from it",
                where=str(self.folder),
                wanted="a phase's last checkpoint",
                do="to start a new run from its weights set start_from",
            )
        path = self.folder / OPTIMIZER
        tensors = _read_tensors(path)
        try:
            values = {int(k): dict(v) for k, v in self.optimizer["scalars"].items()}
            for name, tensor in tensors.items():
                parameter, _, key = name.partition(".")
                values.setdefault(int(parameter), {})[key] = tensor.clone()
            groups = [
                {key: tuple(value) if key == "betas" else value for key, value in group.items()}
                for group in self.optimizer["param_groups"]
            ]
            optimizer.load_state_dict({"state": values, "param_groups": groups})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}", "this optimiser's state") from error


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
    files = content["files"]
    for name, wanted in files.items():
        if Path(name).name != name or not isinstance(wanted, str):
            raise _damaged(folder / STATE, f"{name}: {wanted}", "names of files in the folder, and SHA-256s")
        path = require_file(folder / name, kind="checkpoint file")
        got = sha256(path)
        if got != wanted:
            raise _damaged(path, f"SHA-256 {got[:12]}...", f"SHA-256 {wanted[:12]}...")
    try:
        metadata = _typed(Metadata, content["metadata"])
        state = _typed(State, content["state"])
        optimizer = _typed(dict[str, Any] | None, content["optimizer"])  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        got = f"{key}: {str(first['input'])[:80]} ({first['msg']})"
        raise _damaged(folder / STATE, got, "what glm2x train writes") from error
    try:
        config = parse_config(yaml.safe_load((folder / CONFIG).read_text()), where=str(folder / CONFIG))
    except (OSError, ValueError, RecursionError, yaml.YAMLError, UsageError) as error:
        raise _damaged(folder / CONFIG, f"{type(error).__name__}: {error}", "a configuration") from error
    if metadata.backbone_package is not None:
        require_names(metadata.backbone_package, str(folder / STATE))
    told = (metadata.backbone, metadata.freeze, metadata.target, metadata.window)
    configured = (config.backbone.name, config.freeze, config.target, config.window)
    if told != configured:
        raise _damaged(folder / STATE, f"metadata of {told}", f"those of {CONFIG}: {configured}")
    unsealed(content, folder / STATE)
    return Checkpoint(folder, config, state, metadata, optimizer)


def copy_for_prediction(source: Path, target: Path, history: Path) -> None:
    """Copy a checkpoint without its optimiser state, with the run's history beside it.

    Raises
    ------
    DataError
        It is damaged.
    """
    load_checkpoint(source)  # what is damaged is not passed on
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
    content = read_json(folder / STATE, verify=False)
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
    missing = {"files", "metadata", "optimizer", "state"} - content.keys()
    if missing or not isinstance(files, dict):
        raise _damaged(folder / STATE, "no " + ", ".join(sorted(missing or {"files"})), "all keys")
    unlisted = {MODEL, CONFIG, SPLIT} - files.keys()
    if unlisted:
        raise _damaged(folder / STATE, "files without " + ", ".join(sorted(unlisted)), "a SHA-256 of each")
    return content  # not compared with its checksum yet


def _typed(kind: type[_T], value: Any) -> _T:
    """Return a JSON value as `kind`, with every type checked (`ValidationError`)."""
    return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)


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
    """Write tensors; those that share memory are copied, as moving them from another device does.

    A file so holds tied weights once a name, and is the same on every device.
    """
    stored: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.untyped_storage().data_ptr() in taken:
            plain = plain.clone()
        taken.add(plain.untyped_storage().data_ptr())
        stored[name] = plain
    save_file(stored, path)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error), "a safetensors file") from error


def _read_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shapes of a file's tensors from its header alone."""
    try:
        with safe_open(path, framework="pt") as tensors:
            return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
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


def _shape(shape: list[int] | None) -> str:
    return "no such tensor" if shape is None else f"shape {shape}"

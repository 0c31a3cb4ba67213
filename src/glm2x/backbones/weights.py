"""Pretrained weights: from the Hugging Face Hub or a folder, read without running code, loaded strictly."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from glm2x.backbones.hub_cache import cache_folder, is_offline
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.files import require_file, sha256
from glm2x.seal import digest

MAIN = "main"  # the Hub's branch
# in the order in which `read_state` prefers them
STATE_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# what `resolve` is asked for by most models; shards are named by an index
_AT_ONCE = 1 << 20  # bytes
FILES = ("config.json", *STATE_FILES, "model-*.safetensors", "pytorch_model-*.bin")


@dataclass(frozen=True)
class Weights:
    """Where pretrained weights lie, and what they are.

    Attributes
    ----------
    folder
        Holds the files asked for.
    source
        The Hub's name, or the folder as the configuration gives it.
    revision
        The Hub's commit; None for a folder.
    """

    folder: Path
    source: str
    revision: str | None


def resolve(official: str, config: BackboneConfig, *, files: Sequence[str] = FILES) -> Weights:
    """Return where the weights lie, after downloading what is not on this machine yet.

    Parameters
    ----------
    official
        The name on the Hub that is taken when the configuration names no folder.
    config
        `weights`: null, or a folder. `revision`: a branch, tag or commit of the Hub; null is ``main``.
    files
        Names and patterns (``model-*.safetensors``). Every plain name that is no weight file must be
        there, and at least one weight file. ``.bin`` files are downloaded only where there are no others.

    Raises
    ------
    DataError
        Nothing there: no such folder, a file lacking, offline and not downloaded before, no network, or
        the Hub does not have it or gives it only to those who accepted its licence.
    UsageError
        A revision other than ``main`` beside a folder.
    """
    if config.weights is not None:
        return _resolve_folder(official, config, files)
    revision = config.revision or MAIN
    try:
        folder = _download(official, revision, [f for f in files if not _is_bin(f)])
        if _lacks(folder, files):
            folder = _download(official, revision, list(files))
    except (OSError, ValueError) as error:  # all that the Hub's client raises is one of these
        raise _unavailable(official, revision, error, files) from error
    if lacking := _lacks(folder, files):
        raise DataError(
            f"the weights {official} are not complete",
            where=str(folder),
            got=f"no {lacking}",
            wanted=_wanted(files),
            do=_how_to_get(official, revision),
        )
    return Weights(folder, official, folder.name)


def identity(weights: Weights) -> dict[str, Any]:
    """Return what tells weights from others, for a spec: the Hub's name and commit, or what a folder holds.

    Two folders with the same weight files are the same: `weights_digest` is the SHA-256 over their names and
    contents, and their path is no part of it.
    """
    if weights.revision is not None:
        return {"weights": weights.source, "revision": weights.revision, "weights_digest": None}
    kept = (".safetensors", ".bin", ".pt")
    files = sorted(p for p in weights.folder.iterdir() if p.suffix in kept or p.name == "config.json")
    return {
        "weights": "folder",
        "revision": None,
        "weights_digest": digest({path.name: sha256(path) for path in files}),
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Return the mapping in a weights folder's ``config.json`` (`DataError` when it is none)."""
    return _read_json(folder / "config.json")


def read_state(folder: Path, names: Sequence[str] = STATE_FILES) -> dict[str, Tensor]:
    """Return the tensors in a weights folder, on the CPU, by name.

    Parameters
    ----------
    folder
        As `resolve` found it.
    names
        The first of these files that is there is read; an ``.index.json`` names the shards to read.

    Raises
    ------
    DataError
        None is there, a shard is lacking, or a file is damaged or holds anything but tensors. No code
        in a file is ever run.
    """
    for name in names:
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return _read_tensors(path)
        return _read_shards(path)
    raise DataError("the folder holds no weights", where=str(folder), wanted=" or ".join(names))


def read_tensor(path: Path) -> Tensor:
    """Return the one tensor of a file that `torch.save` wrote, on the CPU, without its gradient.

    It is mapped into memory where the file can be. A zip archive, as torch has written since 1.6, is read
    once and compared with the checksums in it.

    Raises
    ------
    DataError
        The file is missing, damaged, or holds anything but one dense tensor whose values all lie in it. No
        code in a file is ever run.
    """
    with _hostile(require_file(path, kind="tensor"), "tensor"):
        _require_checksums(path)
        tensor = _unpickled(path)
    if not isinstance(tensor, Tensor) or tensor.is_meta or tensor.layout is not torch.strided:
        is_tensor = isinstance(tensor, Tensor)
        raise DataError(
            "the file holds something else",
            where=str(path),
            got="a tensor that is not dense" if is_tensor else type(tensor).__name__,
            wanted="one dense tensor, as torch.save writes it",
        )
    # a few bytes can be viewed as any number of values
    if tensor.numel() * tensor.element_size() > path.stat().st_size:
        raise DataError(
            "the tensor is larger than its file",
            where=str(path),
            got=f"shape {list(tensor.shape)} of {tensor.dtype} in {path.stat().st_size:,} bytes",
            wanted="every value stored once",
            do="write it again with torch.save(tensor.contiguous(), path)",
        )
    return tensor.detach()


def read_saved(source: Path | BinaryIO, *, where: Path, allowed: Sequence[type] = ()) -> Any:
    """Return what `torch.save` wrote: tensors, numbers, texts and their containers, on the CPU.

    Parameters
    ----------
    source
        A file, mapped into memory where it can be; or its bytes.
    where
        The file, for the message.
    allowed
        Further classes whose objects may be made.

    Raises
    ------
    DataError
        It is damaged, or holds anything else. No code in it is ever run.
    """
    with _hostile(where, "weights"):
        return _unpickled(source, allowed)


def load_into(
    module: nn.Module, state: Mapping[str, Tensor], *, ignore: Sequence[str] = (), where: str = ""
) -> None:
    """Copy tensors into a module: every one of its own, in its shape, and none left over.

    Parameters
    ----------
    ignore
        Prefixes of names that may be left over, such as ``_heads.``.
    where
        The file or folder, for the message.

    Raises
    ------
    DataError
        Names are missing, left over, or have another shape or type, or a value is no finite number; the
        module is as it was.
    """
    require_fitting(module, state, ignore=ignore, where=where)
    module.load_state_dict({name: state[name] for name in module.state_dict()})


def require_fitting(
    module: nn.Module, state: Mapping[str, Tensor], *, ignore: Sequence[str] = (), where: str = ""
) -> None:
    """Refuse tensors that `load_into` would (`DataError`); on the meta device by name and shape alone.

    A ``config.json`` can ask for more memory than a machine has: to be called before there is any.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(tuple(ignore))}
    own = module.state_dict()
    missing = [name for name in own if name not in kept]
    unexpected = [name for name in kept if name not in own]
    misshapen = [
        f"{name} {list(tensor.shape)} instead of {list(own[name].shape)}"
        for name, tensor in kept.items()
        if name in own and tensor.shape != own[name].shape
    ]
    strange = [name for name, tensor in kept.items() if name in own and not _is_like(tensor, own[name])]
    problems = {
        "lacking": missing,
        "left over": unexpected,
        "in another shape": misshapen,
        "of another type or without a number": strange,
    }
    if any(problems.values()):
        raise DataError(
            "the weights are not those of this architecture",
            where=where,
            got="; ".join(
                f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names
            ),
            wanted=f"{len(own)} tensors, as config.json describes the model",
        )


def require_layers(state: Mapping[str, Tensor], layers: int, *, where: str) -> None:
    """Refuse more layers than there are tensors (`DataError`): a damaged number would be built for hours."""
    if layers > len(state):
        raise DataError(
            "the weights are not those of this architecture",
            where=where,
            got=f"{len(state)} tensors for {layers} layers",
            wanted="the weights that config.json describes",
        )


def in_a_line(error: BaseException) -> str:
    """Return an error's class, and the first of its lines that says something."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said[:200]}"


@contextmanager
def described_in(where: Path) -> Iterator[None]:
    """Turn what building a model of a config.json's values stumbles over into one message.

    Raises
    ------
    DataError
        The values make no model.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AssertionError) as error:
        raise DataError(
            "the weights' config.json describes no model",
            where=str(where / "config.json"),
            got=(str(error).splitlines() or [type(error).__name__])[0][:200],
            wanted="the configuration that came with the weights",
            do="fetch the weights again",
        ) from error


def _is_like(tensor: Tensor, own: Tensor) -> bool:
    """Whether a stored tensor may take the place of one of the module's own."""
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_complex():
        return False
    if tensor.is_floating_point() != own.is_floating_point():
        return False
    if tensor.is_floating_point() and tensor.element_size() == 1:  # FP8, whose scales lie elsewhere
        return False
    if own.is_meta:  # values are looked at when they are loaded
        return True
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _some(names: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _resolve_folder(official: str, config: BackboneConfig, files: Sequence[str]) -> Weights:
    """Return the folder that the configuration names."""
    assert config.weights is not None
    folder = Path(config.weights).expanduser()
    if config.revision not in (None, MAIN):  # shipped configurations name it
        raise UsageError(
            "a folder of weights has no revisions",
            where="backbone.revision",
            got=config.revision,
            wanted=f"null or {MAIN} beside backbone.weights",
        )
    if (folder / "state.json").is_file():
        raise DataError(
            "backbone.weights is a checkpoint of glm2x, and takes pretrained weights",
            where=str(folder),
            do=f"to go on from it: start_from: {folder}",
        )
    lacking = _lacks(folder, files) if folder.is_dir() else "such folder"
    if lacking:
        raise DataError(
            "the folder of weights does not hold pretrained weights",
            where=str(folder),
            got=f"no {lacking}",
            wanted=f"a folder with {_wanted(files)}",
            do=f"hf download {official} --local-dir {folder}",
        )
    return Weights(folder, config.weights, None)


def _download(official: str, revision: str, files: Sequence[str]) -> Path:
    """Return the snapshot's folder in the Hub's cache; its name is the commit."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        official,
        revision=revision,
        allow_patterns=list(files),
        cache_dir=cache_folder(),
        local_files_only=is_offline(),
        endpoint=os.environ.get("HF_ENDPOINT") or None,
    )
    return Path(folder)


def _unavailable(official: str, revision: str, error: Exception, files: Sequence[str]) -> DataError:
    """Return the error for weights that the Hub did not give."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    get = _how_to_get(official, revision)
    if is_offline():
        got, do = (
            "HF_HUB_OFFLINE is set, and they were not downloaded before",
            f"where there is a network: {get}",
        )
    elif isinstance(error, GatedRepoError):
        got = "the Hub gives them only to those who accepted their licence"
        do = f"accept it on the page of {official}, then: hf auth login, and {get}"
    elif isinstance(error, RevisionNotFoundError):
        got, do = f"the Hub has no revision {revision} of it", "set backbone.revision to one that it has"
    elif isinstance(error, RepositoryNotFoundError):
        got, do = "the Hub knows no such name, or does not show it to you", "hf auth login, if it is private"
    else:
        reason = error.__cause__ or error
        got = in_a_line(reason)
        do = f"where there is a network: {get}"
    return DataError(
        f"the weights {official} are not on this machine and cannot be downloaded",
        where=str(cache_folder()),
        got=got,
        wanted=_wanted(files),
        do=f"{do}; or name a folder that holds these files: backbone.weights, or --weights",
    )


def _how_to_get(official: str, revision: str) -> str:
    return f"hf download {official}" + ("" if revision == MAIN else f" --revision {revision}")


def _is_bin(pattern: str) -> bool:
    return pattern.endswith((".bin", ".bin.index.json"))


def _is_state(pattern: str) -> bool:
    return pattern.endswith((".safetensors", ".safetensors.index.json")) or _is_bin(pattern)


def _wanted(files: Sequence[str]) -> str:
    """Name what must be there: all plain files, and one of the weight files."""
    plain = [f for f in files if not _is_state(f)]
    states = [f for f in files if _is_state(f) and "*" not in f and not f.endswith(".index.json")]
    return " and ".join([*plain, *([" or ".join(states)] if states else [])])


def _lacks(folder: Path, files: Sequence[str]) -> str:
    """Return what a folder lacks of the files asked for; nothing: an empty string."""
    lacking = [f for f in files if not _is_state(f) and "*" not in f and not (folder / f).is_file()]
    states = [f for f in files if _is_state(f)]
    if states and not any(path.is_file() for f in states for path in folder.glob(f)):
        lacking.append(_wanted(states))
    return " and no ".join(lacking)


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Return the tensors of all shards that an index names."""
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(
        isinstance(name, str) and Path(name).name == name for name in places.values()
    ):
        raise DataError("the index of the weights names no shards", where=str(index), wanted="a weight_map")
    state: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        shard = index.parent / name
        if not shard.is_file():
            raise DataError(
                "a shard of the weights is lacking", where=str(shard), wanted=f"as in {index.name}"
            )
        state |= _read_tensors(shard)
    return state


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        with _hostile(path, "weights"):
            return load_file(path, device="cpu")
    with _hostile(path, "weights"):
        state = _unpickled(path)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise DataError("the file of weights holds other things", where=str(path), wanted="tensors by name")
    return dict(state)


@contextmanager
def _hostile(path: Path, kind: str) -> Iterator[None]:
    """Turn what reading a file of tensors stumbles over into one message."""
    try:
        yield
    except Exception as error:  # a damaged or hostile file fails in as many ways as it has bytes
        raise DataError(
            f"the {kind} cannot be read",
            where=str(path),
            got=in_a_line(error),
            wanted="tensors and nothing else; code in a file is never run",
        ) from error


def _unpickled(source: Path | BinaryIO, allowed: Sequence[type] = ()) -> Any:
    """Return what `torch.save` wrote, on the CPU, as far as it is made of tensors and plain containers."""
    # files of torch before 1.6 cannot be mapped
    mapped = isinstance(source, Path) and zipfile.is_zipfile(source)
    with torch.serialization.safe_globals(list(allowed)):
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)


def _require_checksums(path: Path) -> None:
    """Compare what a zip archive of torch holds with its checksums, which torch itself passes over."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # torch stores its members as they are; what is packed it refuses by itself
            for member in (m for m in archive.infolist() if m.compress_type == zipfile.ZIP_STORED):
                with archive.open(member) as stored:  # its end compares the CRC-32
                    while stored.read(_AT_ONCE):
                        pass


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("the file cannot be read", where=str(path), got=str(error), wanted="JSON") from error
    if not isinstance(values, dict):
        raise DataError("the file holds no keys", where=str(path), wanted="a JSON mapping")
    return values

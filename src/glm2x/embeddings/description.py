"""``store.json``: what says that a folder is an embedding store, and what is in it."""

from __future__ import annotations

from contextlib import suppress

from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, write_json
from glm2x.place import Place
from glm2x.sidecar import IN_FOLDER

FORMAT = "glm2x embedding store"
FORMAT_VERSION = 1
STORE = "store.json"


def write_description(folder: Place, spec: StoreSpec) -> None:
    """Make a folder a store; where another process does so at the same time, one of the two remains.

    Raises
    ------
    UsageError
        The folder holds other things.
    """
    if folder.exists() and not (folder.is_dir() and all(map(_is_ours, folder.iterdir()))):
        raise UsageError(
            f"{folder.name} is there already, and is no embedding store",
            where=str(folder),
            do="give another --out",
        )
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "digest": spec.digest,
        "spec": spec.as_json(),
    }
    with suppress(UsageError):  # another process was quicker
        write_json(folder / STORE, content)


def read_description(folder: Place) -> StoreSpec:
    """Return the spec of a store.

    Raises
    ------
    DataError
        There is no store, it is of another format version, or its description is damaged.
    """
    path = folder / STORE
    if not path.is_file():
        raise DataError(
            "there is no embedding store",
            where=str(folder),
            got=f"a folder without {STORE}" if folder.is_dir() else "no folder",
            wanted="a folder that glm2x embed plan or glm2x embed import made",
            do="check the path; glm2x embed plan --out STORE makes one",
        )
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("this is no embedding store", where=str(path), wanted=f"format: {FORMAT}")
    version = content.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise DataError(
            "the embedding store is of a format version that this glm2x does not read",
            where=str(path),
            got=f"version {version!r}",
            wanted=f"version {FORMAT_VERSION}",
            do="use the glm2x that wrote it, or make the store again",
        )
    spec = StoreSpec.from_json(content.get("spec"), str(path))
    if content.keys() != {"format", "format_version", "digest", "spec"} or content["digest"] != spec.digest:
        raise DataError(
            "the description of an embedding store was changed after it was made",
            where=str(path),
            got=f"{', '.join(content)}; digest {str(content.get('digest'))[:12]}",
            wanted=f"format, format_version, digest, spec; digest {spec.digest[:12]}",
            do=f"restore {STORE} from a copy",
        )
    return spec


def _is_ours(path: Place) -> bool:
    """Whether a file may lie in a folder that becomes a store: another process may be making it one."""
    return path.name in (STORE, IN_FOLDER) or path.name.startswith(".")

"""What commands read and write, as their records name it (`glm2x.provenance`): by its own digest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glm2x.files import read_json, sha256
from glm2x.place import Place, place
from glm2x.provenance import artefact
from glm2x.sidecar import Artefact, sidecar_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.work.folder import Plan

_STATE = "state.json"  # of a checkpoint; it holds the checksums of the others
_RUN = "run.json"


def of_cohort(cohort: Cohort, path: Path | str) -> Artefact:
    """Return a mention of a cohort; `path` as it was typed."""
    return artefact("cohort", path, cohort.digest)


def of_split(split: Split | None, path: Path | str | None) -> list[Artefact]:
    """Return a mention of a split, where there is one."""
    return [] if split is None or path is None else [artefact("split", path, split.digest)]


def of_store(path: Place | str | None) -> list[Artefact]:
    """Return a mention of an embedding store by what its spec says, where there is one."""
    if path is None:
        return []
    from glm2x.embeddings.description import read_description

    return [artefact("store", path, read_description(place(path)).digest)]


def of_checkpoint(path: Path | str | None) -> list[Artefact]:
    """Return a mention of a checkpoint, where there is one."""
    return [] if path is None else [artefact("checkpoint", path, sha256(Path(path) / _STATE))]


def of_plan(plan: Plan, cohort: Path | None = None) -> list[Artefact]:
    """Return what the shards of a work folder read, as planned; `cohort` is where that has moved."""
    roles = {"embeddings": "store"}
    found = []
    for name, one in plan.inputs.items():
        role = name.partition(" ")[0]
        path = cohort if role == "cohort" and cohort is not None else one.path
        found.append(artefact(roles.get(role, role), path, one.digest))
    return found


def checkpoints_in(folder: Path) -> list[Artefact]:
    """Return every checkpoint of a run, or of the runs in a folder."""
    return [one for state in sorted(folder.rglob(_STATE)) for one in of_checkpoint(state.parent)]


def sources_of(manifest: dict[str, Any], typed: Iterable[Path | None]) -> list[Artefact]:
    """Return the files that a cohort was built from, whose checksums its manifest holds.

    Parameters
    ----------
    typed
        The paths of the command; a name may hold ``{chrom}``, for which several files then stand.
    """
    given = {path.name: path for path in typed if path is not None}
    pattern = next((path for name, path in given.items() if "{chrom}" in name), None)

    def path_of(name: str) -> str:
        return str(given[name] if name in given else name if pattern is None else pattern.parent / name)

    return [
        Artefact(role, path_of(one["name"]), one["sha256"], one["bytes"])
        for role, said in manifest["sources"].items()
        for one in (said if isinstance(said, list) else [said])
    ]


def seconds_so_far(folder: Path) -> float:
    """Return the seconds of finished epochs, of a run or of the runs in a folder."""
    from glm2x.training.runfolder import RunFolder

    runs = [RunFolder(path.parent) for path in (*folder.glob(_RUN), *folder.glob(f"*/{_RUN}"))]
    return float(sum(epoch["seconds"] for run in runs for epoch in run.read_history()))


def is_on_record(folder: Path) -> bool:
    """Whether a folder holds a finished run whose making is recorded: going on with it does nothing."""
    run = folder / _RUN
    return run.is_file() and bool(read_json(run).get("done")) and sidecar_of(folder).is_file()

"""Opening work, whatever its kind."""

from __future__ import annotations

from pathlib import Path

from glm2x.errors import UsageError
from glm2x.place import Place
from glm2x.work.folder import PLAN
from glm2x.work.planned import PlannedWork, Where
from glm2x.work.unit import Work


def open_work(folder: Place, where: Where = Where()) -> Work:  # noqa: B008 (it is frozen)
    """Return the work of a folder: one that `glm2x work plan` wrote, or an embedding store with plans.

    Raises
    ------
    UsageError
        The folder is neither, or nothing is planned in the store.
    DataError
        The plan or the store is damaged.
    """
    folder = folder.absolute()
    if isinstance(folder, Path) and (folder / PLAN).is_file():
        return PlannedWork(folder, where)
    if (folder / "store.json").is_file():
        from glm2x.work.kinds.embed import EmbedWork

        return EmbedWork.of(folder, where)
    raise UsageError(
        "there is no work in this folder",
        where=str(folder),
        wanted=f"a folder with a {PLAN}, or an embedding store",
        do="glm2x work plan baseline (or predict, or sweep) --out WORK, or glm2x embed plan --out STORE",
    )

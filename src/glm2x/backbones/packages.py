"""Backbones of other packages: what is installed says so in the entry points of `GROUP`.

An entry point names a `BackboneInfo`, and its name is the backbone's. To list backbones, each entry's module
is imported; to use one, its own alone. Which code runs is decided by what is installed, never by a file that
is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from glm2x.backbones.info import BackboneInfo, Package
from glm2x.errors import DataError, UsageError

GROUP = "glm2x.backbones"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.+!-]+")


@dataclass(frozen=True)
class Refused:
    """An entry that is not used, and why."""

    name: str
    package: Package
    why: str


def declared(own: Collection[str]) -> tuple[tuple[BackboneInfo, ...], tuple[Refused, ...]]:
    """Return the backbones of other packages, sorted by name, and what is refused of them.

    Parameters
    ----------
    own
        The names of glm2x's own backbones, which no package may take.
    """
    found: list[BackboneInfo] = []
    refused: list[Refused] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _package(entry).name)):
        others = _others(entry)
        if entry.name in own:
            result: BackboneInfo | str = "glm2x has a backbone of this name itself"
        elif others:
            result = f"the name is also declared by {', '.join(map(str, others))}"
        else:
            result = _load(entry)
        if isinstance(result, str):
            refused.append(Refused(entry.name, _package(entry), result))
        else:
            found.append(result)
    return tuple(found), tuple(refused)


def declared_names() -> tuple[str, ...]:
    """Return the names that packages declare, sorted, without importing any of them."""
    return tuple(sorted(entry_points(group=GROUP).names))


def find(name: str) -> BackboneInfo | None:
    """Return the backbone that a package declares under `name`; None: no package does.

    Raises
    ------
    UsageError
        Several packages declare it.
    DataError
        The entry cannot be imported, or gives no description of that backbone.
    """
    entries = tuple(entry_points(group=GROUP, name=name))
    if not entries:
        return None
    if len(entries) > 1:
        packages = sorted(map(_package, entries), key=str)
        raise UsageError(
            f"several packages have a backbone called {name}",
            got=", ".join(map(str, packages)),
            wanted="one of them",
            do=f"pip uninstall {packages[-1].name}, or another of them",
        )
    result = _load(entries[0])
    if isinstance(result, str):
        raise DataError(
            f"the backbone {name} of the package {_package(entries[0])} cannot be used",
            where=f"entry point {entries[0].value}",
            got=result,
            do=f"mend or update {_package(entries[0]).name}",
        )
    return result


def require_package(name: str, found: BackboneInfo | None, made_with: Package | None, where: str) -> None:
    """Refuse what was made with a package's backbone when that package is not here.

    Parameters
    ----------
    name
        The backbone.
    found
        What goes by that name here.
    made_with
        The package that a checkpoint or a store names; None: glm2x itself.
    where
        The checkpoint or store, for the message.

    Raises
    ------
    DataError
        The package is not installed, or the name is another's here.
    """
    here = found.package if found else None
    if found is not None and (here.name if here else None) == (made_with.name if made_with else None):
        return
    if made_with is None:
        if found is None:
            return  # an unknown name, which is told elsewhere
        raise DataError(
            f"the backbone {name} is glm2x's own there, and another package's here",
            where=where,
            got=str(here),
            wanted="the glm2x that made it",
        )
    raise DataError(
        f"the backbone {name} needs the package {made_with.name}",
        where=where,
        got="it is not installed" if found is None else f"{name} of {here or 'glm2x itself'}",
        wanted=str(made_with),
        do=f"pip install {made_with.name}=={made_with.version}, if you trust it: the name is from a file",
    )


def package_of(spec: Mapping[str, Any], where: str) -> Package | None:
    """Return the package that a store's model spec names; None: glm2x itself.

    Raises
    ------
    DataError
        What stands there is none.
    """
    told = spec.get("package")
    if told is None:
        return None
    if isinstance(told, dict) and told.keys() == {"name", "version"} and all(map(_is_text, told.values())):
        return require_names(Package(**told), where)
    raise DataError("the package of a backbone is damaged", where=where, got=repr(told)[:80])


def require_names(package: Package, where: str) -> Package:
    """Return a package that a file names, after it was found to be a name and a version (`DataError`).

    Messages show them in a command to be typed.
    """
    if _DISTRIBUTION.fullmatch(package.name) and _VERSION.fullmatch(package.version):
        return package
    raise DataError("the package of a backbone is damaged", where=where, got=repr(str(package))[:80])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _package(entry: EntryPoint) -> Package:
    assert entry.dist is not None
    return Package(entry.dist.name, entry.dist.version)


def _others(entry: EntryPoint) -> list[Package]:
    """Return the other packages that declare an entry's name."""
    every = map(_package, entry_points(group=GROUP, name=entry.name))
    return sorted((package for package in every if package != _package(entry)), key=str)


def _load(entry: EntryPoint) -> BackboneInfo | str:
    """Return what an entry point gives, with its package; or what is wrong with it."""
    try:
        info = entry.load()
    except Exception as error:  # whatever another's module raises: it is named, and the others are used
        return f"{type(error).__name__}: {error}"
    if not isinstance(info, BackboneInfo):
        return f"it gives a {type(info).__name__}, and no BackboneInfo of glm2x.backbones.info"
    if info.name != entry.name:
        return f"it describes the backbone {info.name!r}"
    if not _NAME.fullmatch(info.name):
        return "a name is of small letters, digits and single hyphens"
    if info.kind not in ("trainable", "frozen"):
        return f"its kind is {info.kind!r}, and neither 'trainable' nor 'frozen'"
    return replace(info, package=_package(entry))

"""Where something lies: a path of this machine, or a URL of object storage."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from glm2x.errors import UsageError
from glm2x.storage import SCHEMES
from glm2x.url import Url

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_CUT_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/([^/].*)", re.DOTALL)  # what `pathlib` makes of one

Place = Path | Url
"""Where something lies: on this machine, or in object storage."""


def place(text: str | Place) -> Place:
    """Return the place that a text names: a path, ``file://``, or a URL of object storage.

    What `pathlib` makes of a URL, with one slash, is taken for the URL.

    Raises
    ------
    UsageError
        It is a URL of another kind, or one without a bucket.
    """
    if isinstance(text, Url):
        return text
    url = _URL.fullmatch(str(text)) or _CUT_URL.fullmatch(str(text))
    if url is None:
        return Path(text)
    scheme, rest = url[1].lower(), url[2]
    if scheme == "file":
        return Path(unquote("/" + rest.removeprefix("localhost").lstrip("/")))
    bucket, _, key = rest.partition("/")
    if scheme not in SCHEMES or not bucket:
        raise UsageError(
            "this is no place that glm2x can read or write",
            got=str(text),
            wanted=f"a path, file:///PATH, or {', '.join(f'{name}://BUCKET/NAME' for name in SCHEMES)}",
        )
    return Url(f"{scheme}://{bucket}", "/".join(part for part in key.split("/") if part))


def require_local(path: Path | str) -> None:
    """Refuse a URL, whole or as `pathlib` cuts it, where only a path will do (`UsageError`)."""
    text = str(path)
    if _URL.fullmatch(text) or _CUT_URL.fullmatch(text):
        raise UsageError(
            "a URL stands where only a path on this machine will do",
            got=text if "://" in text else text.replace(":/", "://", 1),
            wanted="a path; URLs are for embedding stores and tables of predictions",
            do="fetch what lies there, or write to this machine and copy it",
        )


def names_in(folder: Place) -> list[str]:
    """Return the names of what lies in a folder (`FileNotFoundError` where a path is none)."""
    if isinstance(folder, Url):
        return [inside.name for inside in folder.iterdir()]
    return os.listdir(folder)  # noqa: PTH208 (tens of thousands: paths cost five times as much)


def fetched(where: Place, folder: Path) -> Path:
    """Return a file of this machine with a place's content; that of an object is made in a folder."""
    if isinstance(where, Path):
        return where
    copy = folder / str(len(list(folder.iterdir()))) / where.name
    copy.parent.mkdir()
    where.fetch(copy)
    return copy


@contextmanager
def local_copy(where: Place) -> Iterator[Path]:
    """Give a file of this machine with a place's content; that of an object ends with the block."""
    if isinstance(where, Path):
        yield where
        return
    with tempfile.TemporaryDirectory(prefix="glm2x-") as folder:
        yield fetched(where, Path(folder))

"""What can go wrong between a server and the disk, each in one message."""

from __future__ import annotations

import shutil
from pathlib import Path

from glm2x.errors import DataError

NOT_RESOLVED = "the name of the server was not found"
_GO_ON = "give the same command again: it goes on where this one stopped"
_MIRROR = "or name a mirror with --base-url"


class UselessError(DataError):
    """What came can never become the file that was wanted, so there is no use in keeping it."""


def of_connection(error: Exception) -> str:
    """Return in a few words why a connection failed; the libraries' own messages nest several deep."""
    text = str(error)
    for sign, words in (
        ("NameResolutionError", NOT_RESOLVED),
        ("getaddrinfo", NOT_RESOLVED),
        ("ProxyError", "the proxy could not be reached"),
        ("Connection refused", "the server refused the connection"),
        ("ConnectTimeout", "the server did not answer"),
        ("imed out", "the server went silent"),
        ("unreachable", "there is no route to the server"),
        ("IncompleteRead", "the connection was cut"),
        ("reset by peer", "the connection was cut"),
        ("Remote end closed", "the server closed the connection without an answer"),
        ("Connection aborted", "the connection was cut"),
        ("Connection broken", "the connection was cut"),
    ):
        if sign in text or sign in type(error).__name__:
            return words
    return f"the connection failed ({type(error).__name__}: {text})"


def no_network(name: str, url: str, reason: str) -> DataError:
    """Return the error of a server that never answered."""
    return DataError(
        f"{name} was not fetched: no connection to the server",
        where=url,
        got=reason,
        wanted="an answer",
        do=f"check the network (and https_proxy, where there is a proxy), {_MIRROR}; then {_GO_ON}",
    )


def refused(name: str, url: str, status: int, reason: str) -> DataError:
    """Return the error of an answer that is no file: not there, not allowed, not known."""
    missing = status in (404, 410)
    return DataError(
        f"{name} is not at its address" if missing else f"the server does not give {name} away",
        where=url,
        got=f"HTTP {status} {reason}".rstrip(),
        wanted="HTTP 200",
        do=f"see in a browser whether the address has moved, {_MIRROR}",
    )


def cut(name: str, url: str, have: int, total: int | None, reason: str, attempts: int) -> DataError:
    """Return the error of too many attempts in a row that brought nothing new."""
    return DataError(
        f"{name} did not come whole: {reason}, {attempts} times in a row without a new byte",
        where=url,
        got=f"{have:,} bytes, which are kept",
        wanted="the whole file" if total is None else f"{total:,} bytes",
        do=f"{_GO_ON}, {_MIRROR}",
    )


def wrong_length(name: str, url: str, *, got: int, wanted: int) -> DataError:
    """Return the error of a file that is longer or shorter than its server announced."""
    return DataError(
        f"{name} has not the length that the server announced; nothing of it was kept",
        where=url,
        got=f"{got:,} bytes",
        wanted=f"{wanted:,} bytes (Content-Length)",
        do=f"try again later, {_MIRROR}",
    )


def no_room(name: str, folder: Path, wanted: int | None) -> DataError:
    """Return the error of a disk that has not the room; `wanted` in bytes."""
    return DataError(
        f"the disk has no room for {name}",
        where=str(folder),
        got=f"{shutil.disk_usage(folder).free:,} bytes free",
        wanted="more" if wanted is None else f"{wanted:,} bytes",
        do=f"free some room, or give an --out on another disk; then {_GO_ON}",
    )


def checksum_differs(name: str, url: str, *, got: str, wanted: str, published: bool) -> DataError:
    """Return the error of a file that is another than the known one."""
    if published:
        which, do = "public", f"try again, {_MIRROR}; if it stays so, the file was changed at its source"
    else:
        which = "recorded"
        do = "try again; if the file was meant to change, --force fetches it and records its checksum anew"
    return DataError(
        f"{name} differs from its {which} checksum; nothing of it was kept",
        where=url,
        got=got,
        wanted=wanted,
        do=do,
    )


def damaged(name: str, folder: Path, got: str) -> UselessError:
    """Return the error of a gzip file that is cut or spoiled."""
    return UselessError(
        f"{name} is damaged",
        where=str(folder),
        got=got,
        wanted="a complete gzip file",
        do=f"give the same command again, with --force where the file is there already, {_MIRROR}",
    )


def changed(target: Path, *, got: str, wanted: str) -> DataError:
    """Return the error of a file that was complete and is no longer what it was."""
    return DataError(
        f"{target.name} is not as it was when it was downloaded",
        where=str(target),
        got=got,
        wanted=wanted,
        do="give --force to fetch it again and replace it, or another --out",
    )


def not_usable(target: Path, *, got: str, wanted: str) -> DataError:
    """Return the error of a file that this command did not write and cannot vouch for."""
    return DataError(
        f"{target.name} is there already, was not written by this command, and is not what it should be",
        where=str(target),
        got=got,
        wanted=wanted,
        do="give --force to fetch it and replace the one that is there, or another --out",
    )


def in_use(name: str, partial: Path) -> DataError:
    """Return the error of a file that another process is writing."""
    return DataError(
        f"{name} is being downloaded by another process",
        where=str(partial),
        do="wait for it, or give another --out",
    )


def not_trusted(name: str, url: str, error: Exception) -> DataError:
    """Return the error of a certificate that is not accepted."""
    return DataError(
        f"{name} was not fetched: there is no trusted connection to the server",
        where=url,
        got=str(error),
        wanted="a certificate that this machine trusts",
        do=f"check the machine's clock and certificates (REQUESTS_CA_BUNDLE), {_MIRROR}",
    )


def not_understood(name: str, url: str, error: Exception) -> DataError:
    """Return the error of an address or an answer that is no proper HTTP."""
    return DataError(
        f"{name} was not fetched: the address or the server's answer makes no sense",
        where=url,
        got=f"{type(error).__name__}: {error}",
        do=f"check the address, {_MIRROR}",
    )

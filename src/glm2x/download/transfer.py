"""One file over HTTP that goes on where it stopped: the downloader that pooch is given.

pooch checks and names what was fetched, and knows no resuming; this does. What has come lies in
`.{name}.partial`, and what the server said of it (address, length, ETag or date) in
`.{name}.partial.json`. The next attempt, in this run or a later one, asks for the rest only
(`Range`), on the condition that the file is still the same one (`If-Range`); a server that does not
know ranges, or has another file by now, sends everything and the partial file begins anew.
"""

from __future__ import annotations

import errno
import fcntl
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import requests
import urllib3

from glm2x.download import problems
from glm2x.errors import DataError
from glm2x.files import read_json, write_json

Progress = Callable[[str, int, int | None], None]  # name, bytes done, bytes in all (None: not announced)

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each new attempt that follows one which brought nothing new
TIMEOUT = (15.0, 60.0)  # seconds: to connect, and without a byte
CHUNK = 64 * 1024  # bytes; a cut connection loses at most as many
TRY_AGAIN = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


class _State(NamedTuple):
    """What is known of the file that a partial one is the beginning of."""

    total: int | None  # bytes
    validator: str | None  # strong ETag, else Last-Modified


class _Again(Exception):  # noqa: N818
    """An attempt ended early; another may go on."""


class ResumingDownload:
    """A pooch downloader.

    Parameters
    ----------
    name
        The file's name, for messages.
    partial
        Where what has come is kept until it is all there.
    progress
        Told the name, the bytes that are there and the bytes in all.
    say
        Told, in a sentence, what the user should know.
    copies
        How many times the file's length must fit on the disk.
    """

    def __init__(
        self, name: str, partial: Path, *, progress: Progress, say: Callable[[str], None], copies: int = 1
    ) -> None:
        self.name, self.partial, self.copies = name, partial, copies
        self.progress, self.say = progress, say
        self._state_file = partial.with_name(f"{partial.name}.json")
        self._total: int | None = None
        self._answered = False

    @property
    def blind(self) -> bool:
        """Whether a file came whose length was never announced: it may have been cut unnoticed."""
        return self._answered and self._total is None

    def __call__(self, url: str, output_file: Any, pooch: Any, *, check_only: bool | None = None) -> None:
        """Fetch `url`, resuming, and put it where pooch wants it.

        Raises
        ------
        DataError
            There is no network or no such file, the connection keeps failing, the length is wrong,
            or the disk has no room for it. But for a wrong length, what has come is kept.
        """
        output = Path(output_file)
        output.unlink(missing_ok=True)  # pooch's empty file, which a killed process would leave
        with self._opened() as handle:
            self._complete(url, handle)
        self.partial.replace(output)
        self._state_file.unlink(missing_ok=True)

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        """Open the partial file for this process alone; unbuffered, so that what came is on the disk."""
        with self.partial.open("a+b", buffering=0) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise problems.in_use(self.name, self.partial) from error
            try:
                yield handle
            except KeyboardInterrupt:
                have = handle.seek(0, 2)
                self.say(f"{self.name}: {have / 1e6:,.1f} MB are kept; the same command goes on from there")
                raise

    def _complete(self, url: str, handle: FileIO) -> None:
        """Try until the file is whole, or until too many attempts in a row brought nothing new."""
        best = handle.seek(0, 2)
        fruitless = 0
        while True:
            try:
                self._attempt(url, handle)
                return
            except _Again as reason:
                have = handle.seek(0, 2)
                if have > best:
                    best, fruitless = have, 0
                if fruitless == len(WAITS) or (not self._answered and _is_unresolved(reason)):
                    raise self._given_up(url, have, reason, fruitless + 1) from reason
                wait = WAITS[fruitless]
                fruitless += 1
                self.say(f"{self.name}: {reason}; again in {wait:g} s, from {have / 1e6:,.1f} MB")
                time.sleep(wait)

    def _attempt(self, url: str, handle: FileIO) -> None:
        """Ask for what is missing, and write it down as it comes."""
        have = handle.seek(0, 2)
        state = self._state(url) if have else None
        if have and state is None:
            self.say(f"{self.name}: what was kept is not known to be of this address; beginning anew")
            have = _empty(handle)
        if state is not None and state.total == have:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if state is not None and state.validator is not None:
                headers["If-Range"] = state.validator
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                self._answered = True
                if self._begin(url, response, handle, have, state):
                    self._receive(url, response, handle)
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
            raise problems.not_trusted(self.name, url, error) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise _Again(problems.of_connection(error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise _Again(problems.of_connection(error)) from error
        except requests.exceptions.RequestException as error:
            raise problems.not_understood(self.name, url, error) from error

    def _begin(
        self, url: str, response: requests.Response, handle: FileIO, have: int, state: _State | None
    ) -> bool:
        """Look at the answer's head, make the partial file fit it; False when nothing is missing."""
        status = response.status_code
        if status in TRY_AGAIN:
            raise _Again(f"the server answered {status} {response.reason}".rstrip())
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            whole = _number(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if whole == have and (state is None or state.total in (None, whole)):
                return False
            if state is not None and state.total is not None and whole == have:
                self._forget(handle)
                raise problems.wrong_length(self.name, url, got=whole, wanted=state.total)
            _empty(handle)
            raise _Again("the server has less than was kept")
        if status == HTTPStatus.PARTIAL_CONTENT and have:
            said = response.headers.get("Content-Range", "")
            start, total = _number(r"bytes (\d+)-", said), _number(r"bytes \d+-\d+/(\d+)", said)
            known = state.total if state is not None else None
            if start != have or (total is not None and known is not None and total != known):
                _empty(handle)
                raise _Again("the server sent another part than the one asked for")
            self._total = known if total is None else total
        elif status == HTTPStatus.OK:
            if have:
                self.say(f"{self.name}: the server does not go on where it stopped; beginning anew")
                have = _empty(handle)
            self._total = _number(r"(\d+)", response.headers.get("Content-Length", ""))
            self._remember(url, response)
        else:
            raise problems.refused(self.name, url, status, response.reason)
        self._require_room(have)
        return True

    def _receive(self, url: str, response: requests.Response, handle: FileIO) -> None:
        """Append the body's bytes as they are on the wire: a .gz must not be inflated on the way."""
        have = handle.seek(0, 2)
        self.progress(self.name, have, self._total)
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            self._write(handle, chunk)
            have += len(chunk)
            self.progress(self.name, have, self._total)
        if self._total is not None and have < self._total:
            raise _Again("the connection ended early")
        if self._total is not None and have > self._total:
            self._forget(handle)
            raise problems.wrong_length(self.name, url, got=have, wanted=self._total)

    def _write(self, handle: FileIO, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[handle.write(rest) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._no_room(handle.seek(0, 2)) from error
            raise

    def _require_room(self, have: int) -> None:
        """Compare what is still to come with the free disk before the first byte of it."""
        if self._total is None:
            self.say(f"{self.name}: the server does not say how long it is")
        elif self._total * self.copies - have > shutil.disk_usage(self.partial.parent).free:
            raise self._no_room(have)

    def _no_room(self, have: int) -> DataError:
        wanted = None if self._total is None else self._total * self.copies - have
        return problems.no_room(self.name, self.partial.parent, wanted)

    def _given_up(self, url: str, have: int, reason: _Again, attempts: int) -> DataError:
        if not self._answered:
            return problems.no_network(self.name, url, str(reason))
        return problems.cut(self.name, url, have, self._total, str(reason), attempts)

    def _state(self, url: str) -> _State | None:
        """Return what was said of the partial file, when it is of this address."""
        if not self._state_file.is_file():
            return None
        try:
            said = read_json(self._state_file)
        except DataError:
            return None  # torn by a power cut: beginning anew is safe
        return _State(said["total"], said["validator"]) if said["url"] == url else None

    def _remember(self, url: str, response: requests.Response) -> None:
        tag = response.headers.get("ETag")
        if tag is not None and tag.startswith("W/"):
            tag = None  # a weak one does not promise the same bytes
        said = {"url": url, "total": self._total, "validator": tag or response.headers.get("Last-Modified")}
        write_json(self._state_file, said, force=True)

    def _forget(self, handle: FileIO) -> None:
        _empty(handle)
        self.partial.unlink()
        self._state_file.unlink(missing_ok=True)


def _empty(handle: FileIO) -> int:
    handle.truncate(0)
    return 0


def _number(pattern: str, text: str) -> int | None:
    found = re.match(pattern, text)
    return int(found[1]) if found else None


def _is_unresolved(reason: _Again) -> bool:
    """Whether the server's name was not found: without a single answer so far, waiting is no use."""
    return problems.NOT_RESOLVED in str(reason)

"""Paths in object storage, such as ``s3://bucket/stores/nt``.

A `Url` has those verbs of `pathlib.Path` that stores and tables of predictions need, so that one code
serves both; what only one of the two can is asked for by its type. Objects appear whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import uuid4

from glm2x.storage import Mark, Status, ask, mark_of, refused, status_of

PART = 16_000_000  # bytes of a part of an upload
AT_ONCE = 500_000_000  # bytes up to which an object that must not be there yet is sent in one request
NEAR = 1_000_000  # bytes between two ranges, below which reading them too is cheaper than another request

_T = TypeVar("_T")


class Url:
    """A place in object storage: an object, or the folder that names of objects begin with.

    Parameters
    ----------
    bucket
        Scheme and bucket, such as ``s3://bucket``.
    key
        What follows, without a slash at either end; empty for the bucket itself.
    """

    __slots__ = ("bucket", "key")

    def __init__(self, bucket: str, key: str) -> None:
        self.bucket, self.key = bucket, key

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: Url) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> Url:
        return Url(self.bucket, f"{self.key}/{name}".strip("/"))

    # names

    @property
    def name(self) -> str:
        """The last part, as of a path."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> Url:
        """The folder around it; that of a bucket is itself."""
        return Url(self.bucket, self.key.rpartition("/")[0])

    @property
    def parents(self) -> list[Url]:
        """The folders around it, the nearest first."""
        found, place = [], self
        while place.key:
            place = place.parent
            found.append(place)
        return found

    def with_name(self, name: str) -> Url:
        """Return the place beside this one of that name."""
        return self.parent / name

    def with_suffix(self, suffix: str) -> Url:
        """Return the place beside this one whose name ends otherwise."""
        return self.with_name(self.stem + suffix)

    def relative_to(self, folder: Url) -> str:
        """Return what follows the folder, which is around this place."""
        return self.key.removeprefix(folder.key).lstrip("/")

    def absolute(self) -> Url:
        """Return itself."""
        return self

    # looking

    def stat(self) -> Status:
        """Return what the storage says of an object (`FileNotFoundError` where there is none)."""
        return status_of(self._ask(lambda obstore, client: obstore.head(client, self.key)))

    lstat = stat

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether objects lie below this name."""

        def look(obstore: Any, client: Any) -> bool:
            return any(len(chunk) for chunk in obstore.list(client, self._below or None, chunk_size=1))

        return self._ask(look)

    def exists(self) -> bool:
        """Whether there is an object of this name, or below it."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """Return False: there is nothing of the kind."""
        return False

    def iterdir(self) -> Iterator[Url]:
        """Give what lies in a folder: its objects, and the folders in it."""
        found = self._ask(lambda obstore, client: obstore.list_with_delimiter(client, self._below or None))
        names = [one["path"] for one in found["objects"]]
        yield from (Url(self.bucket, key.strip("/")) for key in (*names, *found["common_prefixes"]))

    def written(self) -> list[tuple[Url, float]]:
        """Return the objects in a folder, but for hidden ones, and when each was written (see `clock`)."""
        found = self._ask(lambda obstore, client: obstore.list_with_delimiter(client, self._below or None))
        listed = [(Url(self.bucket, one["path"]), status_of(one).st_mtime) for one in found["objects"]]
        return [(place, modified) for place, modified in listed if not place.name.startswith(".")]

    def glob(self, pattern: str) -> Iterator[Url]:
        """Give what lies in a folder itself and has such a name."""
        return (place for place in self.iterdir() if PurePosixPath(place.name).match(pattern))

    def clock(self) -> float:
        """Return the time by the storage's own clock, in seconds: that of an object that is made for it.

        Ages are told by it. What the clocks of machines say may be hours apart.
        """
        probe = self / f".clock-{uuid4().hex}"
        probe.put(b"")
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    # reading

    def read_bytes(self) -> bytes:
        """Return the content of an object."""
        return bytes(self.read()[0])

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content of an object as text."""
        return self.read_bytes().decode(encoding, errors)

    def read(self) -> tuple[memoryview, Status]:
        """Return an object's content, and what the storage says of that very content."""
        return self._get({})

    def first(self, size: int) -> tuple[memoryview, Status]:
        """Return the first bytes of an object, fewer where it is shorter, and what the storage says of it."""
        return self._get({"range": (0, size)})

    def ranges(self, starts: Sequence[int], size: int) -> list[memoryview]:
        """Return as many bytes from each start; those that lie near each other come by one request."""
        asked = {"starts": list(starts), "lengths": [size] * len(starts), "coalesce": NEAR}
        found = self._ask(lambda obstore, client: obstore.get_ranges(client, self.key, **asked))
        return [memoryview(one) for one in found]

    def fetch(self, file: Path) -> None:
        """Write the content of an object to a file of this machine, piece by piece."""

        def write(obstore: Any, client: Any) -> None:
            with file.open("wb") as handle:
                for piece in obstore.get(client, self.key).stream():
                    handle.write(memoryview(piece))

        self._ask(write)

    # writing

    def put(self, content: bytes | Path) -> Mark:
        """Write an object, whole or not at all, in the place of one that may be there.

        Parameters
        ----------
        content
            Its bytes, or a file of this machine that holds them.
        """
        with self._requiring_bucket():
            return self._put(content, "overwrite")

    def create(self, content: bytes) -> Mark:
        """Write an object that is not there yet. Of several who try at once one succeeds.

        Raises
        ------
        FileExistsError
            Another one is there.
        """
        with self._requiring_bucket():
            return self._put_if(content, "create")

    def replace(self, content: bytes, seen: Mark) -> Mark:
        """Write an object in the place of a state of it that was seen. Of several who try one succeeds.

        Raises
        ------
        FileExistsError
            It is in another state by now, or gone.
        """
        try:
            return self._put_if(content, seen.as_mode())
        except FileNotFoundError as error:
            raise FileExistsError(str(self)) from error

    def upload(self, file: Path, *, force: bool) -> None:
        """Make a file of this machine an object.

        Without `force` one that is there is left alone (`FileExistsError`): surely for what is sent in one
        request, and, where a file is larger, unless another process writes it at the same moment.
        """
        if force:
            self.put(file)
        elif file.stat().st_size <= AT_ONCE:
            self.create(file.read_bytes())
        elif self.is_file():
            raise FileExistsError(str(self))
        else:
            self.put(file)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove an object."""
        if not missing_ok:
            self.stat()
        try:
            self._ask(lambda obstore, client: obstore.delete(client, self.key))
        except FileNotFoundError:  # some storages say so, others do not
            if not missing_ok:
                raise

    @property
    def _below(self) -> str:
        return f"{self.key}/" if self.key else ""

    def _get(self, options: dict[str, Any]) -> tuple[memoryview, Status]:
        def get(obstore: Any, client: Any) -> tuple[memoryview, Status]:
            found = obstore.get(client, self.key, options=options)
            return memoryview(found.bytes()), status_of(found.meta)

        return self._ask(get)

    def _put(self, content: bytes | Path, mode: Any) -> Mark:
        def put(obstore: Any, client: Any) -> Mark:
            return mark_of(obstore.put(client, self.key, content, mode=mode, chunk_size=PART))

        return self._ask(put)

    def _put_if(self, content: bytes, mode: Any) -> Mark:
        """Write under a condition. Where the answer was lost, the next try finds it broken by the first."""
        try:
            return self._put(content, mode)
        except FileExistsError:
            try:
                found, status = self.read()
            except FileNotFoundError:  # it was there, and is gone
                raise FileExistsError(str(self)) from None
            if found != content:
                raise
            return status.mark

    @contextmanager
    def _requiring_bucket(self) -> Iterator[None]:
        """Turn what comes of writing into a bucket that there is not into our error."""
        try:
            yield
        except FileNotFoundError as error:
            todo = "look whether there is such a bucket"
            raise refused(str(self), error.__cause__ or error, todo) from error

    def _ask(self, act: Callable[[Any, Any], _T]) -> _T:
        return ask(self.bucket, str(self), act)

"""What speaks to object storage: obstore, an extra that is imported at its first use, and its errors as ours.

Where and as whom is told by the variables that the storage's other clients read, too: ``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID`` and so on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from glm2x.errors import DataError, UsageError

SCHEMES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}  # and how the variables of each begin
OPTIONS = {  # of connections; what the variables say of them goes before
    "allow_http": "false",
    "allow_invalid_certificates": "false",
    "connect_timeout": "10s",
    "proxy_url": None,
    "timeout": "300s",  # of one request, the body included; obstore's 30 s are few for a part on a slow line
}
OUTAGE = timedelta(seconds=60)  # how long a server that cannot be reached, or is in trouble, is asked again
_TRIES, _PAUSE = 4, 0.2  # at what breaks off, and seconds between
_QUICK = 10.0  # seconds: what took longer was tried again by obstore

_T = TypeVar("_T")


@dataclass(frozen=True)
class Mark:
    """By what the storage tells one state of an object from another."""

    e_tag: str
    version: str | None = None

    def as_mode(self) -> dict[str, str]:
        """Return how obstore is told to replace this state only."""
        version = {} if self.version is None else {"version": self.version}
        return {"e_tag": self.e_tag, **version}


@dataclass(frozen=True)
class Status:
    """What the storage says of an object: its bytes, when it was written by its clock, and its state."""

    st_size: int
    st_mtime: float
    mark: Mark


def ask(bucket: str, where: str, act: Callable[[Any, Any], _T]) -> _T:
    """Call what takes obstore and its client of a bucket; turn what it raises into our errors.

    obstore itself tries again where a server does not answer, or with an error of its own. It does not where
    an answer breaks off in the middle: that is done here.

    Parameters
    ----------
    bucket
        Scheme and bucket, such as ``s3://bucket``.
    where
        What is asked for, for the message.

    Raises
    ------
    FileExistsError, FileNotFoundError
        The object is there although it must not be, or in another state; or it is not there.
    DataError
        The storage cannot be reached, or refuses.
    UsageError
        obstore is not installed, or the variables are not those of a storage.
    """
    obstore, client = _client(bucket)
    errors = obstore.exceptions
    for left in reversed(range(_TRIES)):
        began = time.monotonic()
        try:
            return act(obstore, client)
        except (errors.AlreadyExistsError, errors.PreconditionError) as error:
            raise FileExistsError(where) from error
        except (errors.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(where) from error
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            todo = f"look at what {_variables(bucket)} say, and at what the bucket lets them do"
            raise refused(where, error, todo) from error
        except errors.BaseError as error:
            if left and time.monotonic() - began < _QUICK:
                time.sleep(_PAUSE)
                continue
            todo = f"look at {_variables(bucket)}, or try again: nothing was half-written"
            raise refused(where, error, todo) from error
    raise AssertionError


def refused(where: str, error: BaseException, todo: str) -> DataError:
    """Return the error for what the storage did not do."""
    return DataError(
        "the object storage did not do what it was asked for", where=where, got=_first_line(error), do=todo
    )


def status_of(said: Any) -> Status:
    """Return what obstore says of an object."""
    return Status(said["size"], said["last_modified"].timestamp(), mark_of(said))


def mark_of(said: Any) -> Mark:
    """Return the state that obstore says an object is in."""
    return Mark(str(said["e_tag"]), said["version"])


@lru_cache(maxsize=16)
def _client(bucket: str) -> tuple[Any, Any]:
    """Return obstore, and its client of a bucket."""
    try:
        import obstore
        from obstore.store import from_url
    except ImportError as error:
        raise UsageError(
            "places in object storage need obstore, which is not installed",
            where=bucket,
            do="pip install 'glm2x[s3]'",
        ) from error
    options: Any = _options(bucket.partition(":")[0])
    try:
        retries: Any = {"max_retries": 1_000, "retry_timeout": OUTAGE}
        return obstore, from_url(bucket, client_options=options, retry_config=retries)
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise UsageError(
            "the object storage cannot be used as the environment says",
            where=bucket,
            got=_first_line(error),
            do=f"look at {_variables(bucket)}",
        ) from error


def _options(scheme: str) -> dict[str, str]:
    said = {
        name: os.environ.get(f"{SCHEMES[scheme]}{name.upper()}", value) for name, value in OPTIONS.items()
    }
    return {name: value for name, value in said.items() if value is not None}


def _variables(bucket: str) -> str:
    """Return the variables by which a storage is found, for a message."""
    scheme = bucket.partition(":")[0]
    if scheme != "s3":
        return f"the variables {SCHEMES[scheme]}..."
    return (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL (http: AWS_ALLOW_HTTP=true)"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

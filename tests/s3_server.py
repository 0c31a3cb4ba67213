"""A server on this machine that answers as S3 does, as far as glm2x asks; faults can be put into it.

Buckets are whatever is asked for. Nothing is signed, and nothing is looked at that is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

PAGE = 1_000  # names of a page of a list


@dataclass(frozen=True)
class Stored:
    """An object: its content, and when it was written."""

    content: bytes
    time: float

    @property
    def e_tag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


@dataclass
class S3:
    """What the server holds, what it was asked, and what it does wrong.

    Attributes
    ----------
    fault
        Is asked before each request, with method and key (and the query); what it returns happens: a status
        that is answered; ``"cut"`` (the connection, before anything is done), ``"lost"`` (the answer, after
        it was done), ``"half"`` (in the middle of the body); seconds to wait; or None.
    """

    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    fault: Callable[[str, str], int | float | str | None] | None = None
    ahead: float = 0.0  # seconds by which its clock is
    page: int = PAGE
    lock: Lock = field(default_factory=Lock)
    address: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is found."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "nowhere",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "NO_PROXY": "127.0.0.1",
        }

    def clear(self) -> None:
        """Hold nothing, and do nothing wrong."""
        with self.lock:
            for held in (self.objects, self.uploads, self.asked):
                held.clear()
            self.fault, self.ahead, self.page = None, 0.0, PAGE

    def put(self, key: str, content: bytes) -> None:
        self.objects[key] = Stored(content, time.time() + self.ahead)

    def age(self, prefix: str, seconds: float) -> None:
        """Make objects older."""
        with self.lock:
            for key, one in self.objects.items():
                if key.startswith(prefix):
                    self.objects[key] = Stored(one.content, one.time - seconds)

    def below(self, prefix: str) -> dict[str, bytes]:
        """Return what lies in a folder, by what follows it."""
        return {k.removeprefix(prefix): v.content for k, v in self.objects.items() if k.startswith(prefix)}

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests there were of a method whose key holds a text."""
        return sum(one[0] == method and part in one[1] for one in self.asked)


class Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which holds back the second half of an answer for 40 ms
    wbufsize = -1
    s3: ClassVar[S3]

    def _answer(self) -> None:
        url = urlsplit(self.path)
        key, query = unquote(url.path).strip("/"), parse_qs(url.query, keep_blank_values=True)
        body = self._body()
        with self.s3.lock:
            self.s3.asked.append((self.command, f"{key}?{url.query}" if url.query else key))
        fault = self.s3.fault(self.command, self.s3.asked[-1][1]) if self.s3.fault else None
        if fault == "cut":
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._send(fault, b"<Error><Code>Injected</Code></Error>")
            return
        if isinstance(fault, float):
            time.sleep(fault)
        with self.s3.lock:
            status, content, headers = self._do(key, query, body)
        if fault == "lost":
            self.close_connection = True
            return
        self._send(status, content, headers, half=fault == "half")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:  # the client has gone: what it did not send whole is nothing
            raise ConnectionAbortedError
        return body

    def _do(self, key: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        s3, method = self.s3, self.command
        if "list-type" in query:
            return 200, self._list(key, query), {}
        if method == "POST" and "uploads" in query:
            name = f"upload-{len(s3.uploads)}"
            s3.uploads[name] = {}
            return 200, f"<R><UploadId>{name}</UploadId></R>".encode(), {}
        if method == "POST" and "delete" in query:
            from xml.etree import ElementTree

            bucket = key.partition("/")[0]
            names = [one.text for one in ElementTree.fromstring(body).iter() if one.tag.endswith("Key")]
            for name in names:
                s3.objects.pop(f"{bucket}/{name}", None)
            gone = "".join(f"<Deleted><Key>{escape(str(name))}</Key></Deleted>" for name in names)
            return 200, f"<DeleteResult>{gone}</DeleteResult>".encode(), {}
        if "uploadId" in query:
            return self._upload(key, query, body)
        there = s3.objects.get(key)
        if method == "PUT":
            none, match = self.headers.get("If-None-Match"), self.headers.get("If-Match")
            if match and there is None:
                return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
            if (none == "*" and there) or (match and there.e_tag != match):
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
            s3.put(key, body)
            return 200, b"", {"ETag": s3.objects[key].e_tag}
        if method == "DELETE":
            s3.objects.pop(key, None)
            return 204, b"", {}
        if there is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        headers = {"ETag": there.e_tag, "Last-Modified": formatdate(there.time, usegmt=True)}
        asked = self.headers.get("Range")
        if asked is None or not there.content:
            return 200, there.content, headers
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(there.content)), len(there.content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(there.content)}"
        return 206, there.content[start : end + 1], headers

    def _upload(
        self, key: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        name = query["uploadId"][0]
        if self.command == "PUT":
            self.s3.uploads[name][int(query["partNumber"][0])] = body
            return 200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        parts = self.s3.uploads.pop(name)
        if self.command == "DELETE":
            return 204, b"", {}
        self.s3.put(key, b"".join(parts[number] for number in sorted(parts)))
        e_tag = escape(self.s3.objects[key].e_tag, {'"': "&quot;"})
        return (
            200,
            f"<CompleteMultipartUploadResult><ETag>{e_tag}</ETag></CompleteMultipartUploadResult>".encode(),
            {},
        )

    def _list(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", [""])[0]
        names, folders = [], {}
        for key in sorted(self.s3.objects):
            own, _, name = key.partition("/")
            if own != bucket or not name.startswith(prefix):
                continue
            folder, cut, _ = name.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            shown = f"{prefix}{folder}{cut}" if cut else name
            if shown > after and shown not in folders:
                names.append(shown)
                if cut:
                    folders[shown] = True
        shown, more = names[: self.s3.page], names[self.s3.page :]
        lines = []
        for name in shown:
            if name in folders:
                lines.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
                continue
            one = self.s3.objects[f"{bucket}/{name}"]
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.time))
            lines.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified>"
                f"<ETag>{escape(one.e_tag)}</ETag><Size>{len(one.content)}</Size></Contents>"
            )
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        truncated = str(bool(more)).lower()
        return (
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{''.join(lines)}"
            "</ListBucketResult>"
        ).encode()

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, *, half: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed on purpose."""


@contextmanager
def served() -> Iterator[S3]:
    """Serve an empty storage; give what it holds."""
    s3 = S3()
    server = Server(("127.0.0.1", 0), type("Served", (Handler,), {"s3": s3}))
    s3.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def used(s3: S3) -> Iterator[None]:
    """Let the environment name a server; its clients stay, as they take a tenth of a second to be made."""
    from glm2x import leases

    leases._ahead.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        patch.delenv("GLM2X_CACHE", raising=False)
        yield

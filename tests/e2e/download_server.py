"""A web server on this machine that cuts connections, forgets ranges, lies about lengths, changes files."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Answer:
    """How one request is answered."""

    body: bytes
    status: int = 200
    cut: int | None = None  # close the connection after so many bytes of what is sent
    ranges: bool = True  # honour Range
    announce: int | None = None  # a Content-Length that is not true; 0: none
    etag: str | None = '"one"'
    encoding: str | None = None  # what some servers call a .gz
    wait: threading.Event | None = None  # after the cut, keep the connection open until it is set


@dataclass
class Server:
    """Plans of answers by file name (the last one stays), and what was asked."""

    address: str
    plans: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Message]] = field(default_factory=list)

    def give(self, name: str, *answers: Answer) -> None:
        self.plans[name] = list(answers)

    @property
    def ranges(self) -> list[str | None]:
        return [headers["Range"] for _, headers in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            here.asked.append((name, self.headers))
            plan = here.plans.get(name, [Answer(b"no such file", status=404)])
            answer = plan.pop(0) if len(plan) > 1 else plan[0]
            self.close_connection = True
            body, start = answer.body, 0
            asked = self.headers["Range"]
            same = self.headers["If-Range"] in (None, answer.etag)
            if answer.status == 200 and asked and answer.ranges and same:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                total = len(body) if answer.announce is None else answer.announce
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(answer.status)
            if answer.etag:
                self.send_header("ETag", answer.etag)
            if answer.encoding:
                self.send_header("Content-Encoding", answer.encoding)
            length = len(body) - start if answer.announce is None else answer.announce - start
            if answer.announce != 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body[start:][: answer.cut])
            self.wfile.flush()
            if answer.wait is not None:
                answer.wait.wait(20)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        here = Server(f"http://127.0.0.1:{httpd.server_port}/mirror/")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield here
        httpd.shutdown()
        thread.join()


def be_quick_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, no proxy, and no name is looked up anywhere."""

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr("glm2x.download.transfer.WAITS", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "*")


def vcf_text(records: int = 3000) -> bytes:
    """A VCF of which a bgzipped copy is a few hundred kB long: its identifiers cannot be compressed."""
    draw = random.Random(0)
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=22>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann",
    ]
    lines += [f"22\t{i + 1}\t{draw.randbytes(60).hex()}\tA\tG\t.\t.\t.\tGT\t0|1" for i in range(records)]
    return ("\n".join(lines) + "\n").encode()


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - visible(folder)

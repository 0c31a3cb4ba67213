"""A server on this machine that answers as the Hugging Face Hub does, as far as downloading goes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar


class Hub(BaseHTTPRequestHandler):
    """Serves repositories: from name and commit to a folder."""

    protocol_version = "HTTP/1.1"
    repositories: ClassVar[Mapping[str, tuple[str, Path]]] = {}
    gated: ClassVar[frozenset[str]] = frozenset()
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), parts[5]
        else:
            name, revision = "/".join(parts[:2]), parts[3]
        if name not in self.repositories:
            return self._refuse(404, "RepoNotFound", f"Repository not found: {name}")
        commit, folder = self.repositories[name]
        if revision not in ("main", commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if name in self.gated:
            return self._refuse(403, "GatedRepo", f"Access to model {name} is restricted")
        if parts[0] == "api":
            siblings = [
                {"rfilename": str(p.relative_to(folder))} for p in sorted(folder.rglob("*")) if p.is_file()
            ]
            described = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
            return self._send(json.dumps(described).encode(), {"Content-Type": "application/json"}, body)
        path = folder / "/".join(parts[4:])
        if body:
            self.asked.append(path.name)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{path.name}-{commit}"'}
        return self._send(path.read_bytes(), headers, body)

    def _send(self, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hub(
    repositories: Mapping[str, tuple[str, Path]], gated: frozenset[str] = frozenset()
) -> Iterator[tuple[str, list[str]]]:
    """Serve repositories (name: commit and folder); give the address and the list of files sent."""
    asked: list[str] = []
    handler = type("Served", (Hub,), {"repositories": repositories, "gated": gated, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

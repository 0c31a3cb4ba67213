"""A `glm2x` that starts at once: a server imports the heavy libraries once, and forks for each command.

A page of sixty commands would otherwise import torch, transformers and Lightning sixty times. Each command
still has a process, a working folder, an environment and an output of its own, and goes through
`glm2x.cli.run`. As a program it is the server, or with ``--call`` what a shell calls instead of `glm2x`::

    python forking.py SOCKET SETUP
    python -S forking.py --call SOCKET embed plan ...

``SETUP`` is a Python file that the server runs first.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path


def call(path: str, words: list[str]) -> int:
    """Have a command run with this process's folder, environment and output; return its exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        told = json.dumps([words, str(Path.cwd()), dict(os.environ)]).encode()
        socket.send_fds(server, [len(told).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(told)
        answer = server.recv(1)
    return answer[0] if answer else 255  # it was killed


def serve(path: str, setup: str) -> None:
    """Run the setup, then a process for every command, until somebody ends this one."""
    namespace = {"__file__": setup, "__name__": "setup"}
    exec(compile(Path(setup).read_text(), setup, "exec"), namespace)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                sys.exit(_answer(connection))  # what ends with a process, such as its workers, does
            connection.close()


def _answer(connection: socket.socket) -> int:
    """Run one command in this process, and tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, files, _, _ = socket.recv_fds(connection, 4, 3)
    told = b""
    while len(told) < int.from_bytes(length, "big"):
        told += connection.recv(1 << 16)
    words, folder, environment = json.loads(told)
    for target, source in enumerate(files):
        os.dup2(source, target)
        os.close(source)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["glm2x", *words]
    for name in [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]:
        del sys.modules[name]  # it reads the environment when it is imported
    from glm2x.cli import run

    code = 1
    try:
        code = run(words)
    except BaseException:  # as the interpreter would
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([code]))
    return code


if __name__ == "__main__":
    if sys.argv[1] == "--call":
        sys.exit(call(sys.argv[2], sys.argv[3:]))
    serve(*sys.argv[1:])

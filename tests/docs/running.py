"""Runs a page's script, and says of what failed: page, line, command, exit code, the end of the output."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 600
TAIL = 40
# what the shell reads first, so that the script's own line numbers are those of the page
_PREAMBLE = r"""
unset BASH_ENV
trap 'printf "%s\n%s\n%s\n" "$?" "$LINENO" "$BASH_COMMAND" > {failed}' ERR
"""


@dataclass(frozen=True)
class Outcome:
    """What came of a script: exit code, output, and where known the line and the command that failed."""

    page: str
    code: int
    output: str
    line: int | None = None
    command: str | None = None

    def __str__(self) -> str:
        where = self.page if self.line is None else f"{self.page}:{self.line}"
        tail = "\n".join(f"    {line}" for line in self.output.splitlines()[-TAIL:])
        return (
            f"{where}: a command of the page failed\n"
            f"  command:   {self.command or 'not known (the shell ended the script; see the output)'}\n"
            f"  exit code: {self.code}\n  output, its end:\n{tail}"
        )


def run_script(page: str, script: str, folder: Path, aside: Path, environment: Mapping[str, str]) -> Outcome:
    """Run a script in a folder, with its own files aside."""
    path, failed, log = aside / "page.sh", aside / "failed", aside / "output"
    path.write_text(script)
    (aside / "preamble.sh").write_text(_PREAMBLE.format(failed=f"'{failed}'"))
    everything = {
        **os.environ,
        "HF_HOME": str(aside / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "BASH_ENV": str(aside / "preamble.sh"),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-Eeuo", "pipefail", str(path)],
            cwd=folder,
            env={name: value for name, value in everything.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
            output.write(f"\nnot done after {TIMEOUT} s\n".encode())
        finally:
            _end_all_of(process)
    said = log.read_text(errors="replace").replace(str(path), page)
    if not failed.exists():
        return Outcome(page, code, said)
    _, line, command = failed.read_text().split("\n", 2)
    return Outcome(page, code, said, int(line), command.strip())


def _end_all_of(process: subprocess.Popen[bytes]) -> None:
    """End what the script left in the background."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

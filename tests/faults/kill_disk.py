"""Disks that are full, and folders that may not be written to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SIZE = 160_000_000  # bytes


class Disk:
    """A disk of its own below a folder: a tmpfs, which root may mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, room: int) -> None:
        """Leave so many bytes free."""
        with self._ballast.open("wb") as handle:
            handle.write(bytes(shutil.disk_usage(self.folder).free - room))

    def make_room(self) -> None:
        """Undo `fill`."""
        self._ballast.unlink()

    def allow_writing(self, allowed: bool) -> None:
        """Let nothing be written, by whomever; or let it again."""
        subprocess.run(
            ["mount", "-o", f"remount,{'rw' if allowed else 'ro'}", self.folder],
            check=True,
        )


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Mount a disk at an empty folder; the test is skipped where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is a tmpfs, which root alone may mount")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"a small disk is a tmpfs, which cannot be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

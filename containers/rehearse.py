"""Do on this machine what building the image does, below a folder instead of below /.

``python containers/rehearse.py FOLDER`` copies what the Dockerfile copies, and nothing else, and runs what it
runs, so that a file that was forgotten is missed. Programs of the system are installed as they are: it needs
root and apt-get. The base image is left out: the Python is this machine's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "containers/Dockerfile"


def steps(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile and their words, lines that go on put together."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines)]


def copied(words: str) -> list[tuple[str, str]]:
    """Return what a COPY copies: each source, below the project, and its target."""
    *sources, target = words.split()
    return [(source, target + source if target.endswith("/") else target) for source in sources]


def rehearse(folder: Path) -> None:
    """Copy and run, as the Dockerfile says, with /opt below the folder."""
    for name, words in steps(DOCKERFILE.read_text()):
        if name == "COPY":
            for source, target in copied(words):
                place = folder / target.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
                copy(ROOT / source, place)
        elif name == "RUN":
            command = re.sub(r"(?<![\w.])/opt/", f"{folder}/opt/", words)
            print(f"$ {command}", flush=True)
            subprocess.run(["/bin/sh", "-ec", command], check=True, cwd=folder)


if __name__ == "__main__":
    rehearse(Path(sys.argv[1]).absolute())

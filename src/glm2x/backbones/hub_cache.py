"""Where the Hugging Face Hub's files lie on this machine, by path: asking imports neither torch nor the Hub.

The environment is read when it is asked for (`huggingface_hub` reads it once, when it is imported).
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that holds what was downloaded: HF_HUB_CACHE, or ``hub`` in HF_HOME."""
    if given := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface/hub"


def is_offline() -> bool:
    """Return whether the environment forbids asking the Hub (HF_HUB_OFFLINE)."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def cached_snapshot(name: str, revision: str = "main") -> Path | None:
    """Return the folder of a repository's downloaded files at a branch, tag or commit; None without one."""
    repository = cache_folder() / f"models--{name.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None

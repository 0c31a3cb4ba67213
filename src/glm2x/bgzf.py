"""Blocked gzip (BGZF), as bgzip writes it: told by its closing block whether it is whole."""

from __future__ import annotations

from pathlib import Path

from glm2x.errors import DataError

# the empty block that ends a bgzipped file (SAM specification, 4.1.2)
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def ends_as_bgzip(path: Path) -> bool:
    """Whether a bgzipped file has its last block: one that was cut has not."""
    with path.open("rb") as handle:
        length = handle.seek(0, 2)
        handle.seek(max(0, length - len(_END)))
        return handle.read() == _END


def refuse_truncated(path: Path, *, kind: str, may_be_plain_gzip: bool = False) -> None:
    """Raise where a BGZF file lacks its closing block, as one that was cut short in a download does.

    Raises
    ------
    DataError
        The block is missing, or the file is plain gzip where that may not be.
    """
    with path.open("rb") as handle:
        head = handle.read(18)
        if head[:2] != b"\x1f\x8b" or (may_be_plain_gzip and head[12:14] != b"BC"):
            return
    if not ends_as_bgzip(path):
        raise DataError(
            f"the {kind} is truncated (or compressed with plain gzip): it has no BGZF end block",
            where=str(path),
            got=f"{path.stat().st_size:,} bytes",
            wanted="a whole bgzipped file",
            do="copy or download it again; gunzip and bgzip it where it is plain gzip",
        )

"""The lines of a VCF, looked at before htslib reads them.

htslib passes over what stands behind the last person of the header, and over a second header in the
middle of a file. Where a name is missing from the header, or two files of other people were put
together with `cat`, it gives people the genotypes of others.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from glm2x.errors import DataError
from glm2x.text import text_blocks

KIND = "variant file"


def refuse_uneven_lines(path: Path) -> None:
    """Read a VCF as text and raise where a record's columns are not those of its header; a BCF is let be.

    Raises
    ------
    DataError
        A record has more or fewer columns than the header, a header stands among the records or is
        missing, or the file is damaged or no text.
    """
    if _is_bcf(path):
        return
    columns: int | None = None
    for block in text_blocks(path, kind=KIND):
        if columns is None:
            start = 0 if block.startswith(b"#CHROM") else block.find(b"\n#CHROM") + 1
            if not start and not block.startswith(b"#CHROM"):
                if not block.startswith(b"#"):
                    raise _headless(path)
                continue
            end = block.find(b"\n", start)
            columns = block.count(b"\t", start, end)
            block = block[end + 1 :]
        if block.startswith(b"#") or b"\n#" in block:
            at = 0 if block.startswith(b"#") else block.index(b"\n#") + 1
            raise DataError(
                "a header line stands among the records of the variant file",
                where=str(path),
                got=_shown(block[at:]),
                wanted="one header at the beginning",
                do="put files together with bcftools concat (parts) or bcftools merge (people), not with cat",
            )
        if block.count(b"\t") != columns * block.count(b"\n"):
            lines = block.split(b"\n")[:-1]
            uneven = next((line for line in lines if line.count(b"\t") != columns), lines[0])
            got = uneven.count(b"\t") + 1
            raise DataError(
                "a record of the variant file has another number of columns than its header",
                where=f"the record of {_shown(uneven)} in {path}",
                got=f"{got:,} columns",
                wanted=f"{columns + 1:,}: nine, and one for each individual of the #CHROM line",
                do="a name may be missing from that line, or the file be damaged: make or copy it again",
            )
    if columns is None:
        raise _headless(path)


def _headless(path: Path) -> DataError:
    return DataError(
        "the variant file has no #CHROM line",
        where=str(path),
        wanted="a VCF, VCF.gz or BCF with its header",
    )


def _is_bcf(path: Path) -> bool:
    with path.open("rb") as plain:
        packed = plain.peek(2)[:2] == b"\x1f\x8b"
        try:
            with gzip.open(plain) if packed else plain as handle:
                return handle.read(3) == b"BCF"
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False  # what is wrong is said when it is read as text


def _shown(line: bytes) -> str:
    return line.partition(b"\n")[0][:40].decode(errors="replace").replace("\t", " ")

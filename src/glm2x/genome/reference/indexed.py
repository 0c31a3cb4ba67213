"""A reference FASTA with its index: any contig, and any stretch of it, in any order."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

import pysam
from pysam.utils import SamtoolsError

from glm2x.bgzf import refuse_truncated
from glm2x.console import say
from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.reference.index import fault_of_index


class Reference:
    """A FASTA, plain or bgzipped, open for reading.

    Parameters
    ----------
    path
        The FASTA. Its index is made beside it where it is missing. Where that folder cannot be written
        to, or the index there is older than the FASTA, one is made for this run only; each is said.

    Attributes
    ----------
    path
        As given.
    lengths
        The length of each contig in bp.

    Raises
    ------
    DataError
        The file is missing, is not a FASTA, or is compressed with plain gzip; or its index is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = require_file(path, kind="reference FASTA")
        refuse_truncated(self.path, kind="reference FASTA")
        with self.path.open("rb") as handle:
            self._packed = handle.read(2) == b"\x1f\x8b"
        # htslib's own complaints would precede our one message
        verbosity = pysam.set_verbosity(0)
        try:
            self._prefix = self._indexed()
            with self.open() as fasta:
                self.lengths: dict[str, int] = dict(zip(fasta.references, fasta.lengths, strict=True))
        except (OSError, ValueError, SamtoolsError) as error:
            raise DataError(
                "the reference FASTA cannot be opened",
                where=str(self.path),
                got=str(error),
                wanted="a FASTA, plain or bgzipped",
                do=f"samtools faidx {self.path.name}",
            ) from error
        finally:
            pysam.set_verbosity(verbosity)

    def open(self) -> pysam.FastaFile:
        """Return the FASTA, opened with its index."""
        blocks = f"{self._prefix}.gzi" if self._packed else None
        return pysam.FastaFile(
            str(self.path), filepath_index=f"{self._prefix}.fai", filepath_index_compressed=blocks
        )

    def _indexed(self) -> Path:
        """Return the path without suffix of an index that is this FASTA's, made where there is none."""
        needed = [Path(f"{self.path}.{kind}") for kind in (("fai", "gzi") if self._packed else ("fai",))]
        there = [index for index in needed if index.is_file()]
        stale = [index for index in there if index.stat().st_mtime < self.path.stat().st_mtime]
        if there == needed and not stale:
            fault = fault_of_index(self.path, self.path, packed=self._packed)
            if fault is None:
                return self.path
            raise DataError(
                "the index of the reference FASTA is damaged, or another file's",
                where=str(self.path),
                got=fault,
                do=f"samtools faidx {self.path.name}, or remove it: it is then made again",
            )
        if not stale and os.access(self.path.parent, os.W_OK):
            pysam.faidx(str(self.path))
            say(f"index made: {', '.join(str(index) for index in needed)}")
            return self.path
        folder = tempfile.mkdtemp(prefix="glm2x-index-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        prefix = Path(folder) / "reference"
        pysam.faidx("--fai-idx", f"{prefix}.fai", "--gzi-idx", f"{prefix}.gzi", str(self.path))
        why = (
            f"{stale[0].name} is older than {self.path.name}"
            if stale
            else f"{self.path.parent} cannot be written to"
        )
        say(f"  note: {why}: indexed for this run only (samtools faidx {self.path.name} makes one to keep)")
        return prefix

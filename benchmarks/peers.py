"""Other ways to a sequence, for `haplotypes.py`: consensus FASTA, the published way, GenVarLoader."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from glm2x.commands.consensus import consensus
from glm2x.genome.consensus.plan import allele_file
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.window import HaplotypeWindow
from glm2x.genome.sequence import decode
from measuring import ROUNDS, microseconds

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.zeros((1, 4), dtype=np.float32)])


class ConsensusFasta:
    """The consensus FASTA of a few people, and a window of one of them as letters of the forward strand."""

    def __init__(self, fasta: Path, vcf: Path, people: Sequence[str], folder: Path) -> None:
        chosen = folder / "people.txt"
        chosen.write_text("\n".join(people) + "\n")
        consensus(reference=fasta, variants=(vcf,), individuals=chosen, out=folder / "consensus")
        self._paths = [allele_file(folder / "consensus", p, h) for p in people for h in (1, 2)]
        for path in self._paths:
            pysam.faidx(str(path))
        (self._contig,) = pysam.FastaFile(str(self._paths[0])).references

    def costs(self, genes: Sequence[Gene], window: int) -> list[tuple[str, float | None]]:
        """Return the microseconds of one window by the way it is read; None: not installed."""
        rng = np.random.default_rng(1)
        jobs = [
            (int(rng.integers(len(self._paths))), genes[int(rng.integers(len(genes)))]) for _ in range(200)
        ]
        first = window // 2
        kept = [pysam.FastaFile(str(path)) for path in self._paths]

        def pysam_kept(i: int) -> str:
            file, gene = jobs[i % len(jobs)]
            return str(kept[file].fetch(self._contig, gene.tss - first, gene.tss + first))

        found: list[tuple[str, float | None]] = []
        if importlib.util.find_spec("pyfaidx"):
            from pyfaidx import Fasta

            opened = [Fasta(str(path), as_raw=True) for path in self._paths]

            def pyfaidx_kept(i: int) -> str:
                file, gene = jobs[i % len(jobs)]
                return str(opened[file][self._contig][gene.tss - first : gene.tss + first])

            def pyfaidx_reopened(i: int) -> str:
                file, gene = jobs[i % len(jobs)]
                with Fasta(str(self._paths[file]), as_raw=True) as fasta:
                    return str(fasta[self._contig][gene.tss - first : gene.tss + first])

            found.append(("pyfaidx on consensus FASTA, kept open", microseconds(pyfaidx_kept, 200)))
            found.append(("pyfaidx on consensus FASTA, reopened", microseconds(pyfaidx_reopened, 200)))
            for file in opened:
                file.close()
        else:
            found += [(f"pyfaidx on consensus FASTA, {how}", None) for how in ("kept open", "reopened")]
        found.append(("pysam on consensus FASTA, kept open", microseconds(pysam_kept, 200)))
        return found


def published(windows: Sequence[HaplotypeWindow]) -> float:
    """Return the microseconds that the published dataset takes for a consensus string it has read.

    Foreign letters to N, the other strand letter by letter, and a float32 matrix.
    """
    letters = [decode(window.reference) for window in windows]

    def work(i: int) -> None:
        text = "".join(base if base in "ACGT" else "N" for base in letters[i % len(letters)])
        other = "".join(COMPLEMENT[base] for base in reversed(text))
        ONE_HOT[np.array(["ACGTN".index(base) for base in other])]

    return microseconds(work, 10)


class GenVarLoader:
    """GenVarLoader in another Python: the same windows and people, its costs, and whether it agrees.

    Attributes
    ----------
    costs
        Microseconds of CPU a haplotype, by ``STORE WINDOW`` (``vcf 64000``), then by what is asked for at
        once (``1``, ``8 several``, ``8 one``).
    """

    def __init__(
        self,
        python: Path,
        fasta: Path,
        vcf: Path,
        genes: Sequence[Gene],
        people: Sequence[str],
        windows: Sequence[int],
        batches: Sequence[int],
        folder: Path,
    ) -> None:
        self._folder = folder
        jobs = {
            "fasta": str(fasta),
            "vcf": str(vcf),
            "genes": [(gene.contig, gene.tss, gene.strand) for gene in genes],
            "people": list(people),
            "windows": list(windows),
            "batches": list(batches),
            "rounds": ROUNDS,
            "seed": 0,
        }
        (folder / "jobs.json").write_text(json.dumps(jobs))
        script = Path(__file__).with_name("genvarloader_peer.py")
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "RAYON", "NUMBA", "POLARS")}
        done = subprocess.run(  # noqa: S603
            [python, script, folder], env=os.environ | threads, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"GenVarLoader failed:\n{done.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads((folder / "costs.json").read_text())
        self.version: str = answer["version"]
        self.costs: dict[str, dict[str, float]] = answer["costs"]

    def differing(self, store: str, windows: Sequence[HaplotypeWindow], people: int) -> tuple[int, int]:
        """Return how many of its sequences differ from ours, and how many there are."""
        length = len(windows[0].reference)
        theirs = json.loads((self._folder / f"digests-{store}-{length}.json").read_text())
        differ = 0
        for window, found in zip(windows, theirs, strict=True):
            for row in range(2 * people):
                text = decode(window.haplotype(row)).encode()
                digest = hashlib.blake2b(text, digest_size=8).hexdigest()
                differ += digest != found[row // 2][row % 2]
        return differ, 2 * people * len(windows)

"""What the consensus files of N people cost, beside bcftools, on a contig of real genotypes.

    python benchmarks/consensus.py VCF [PEOPLE] [BCFTOOLS_PEOPLE] [FOLDER]

VCF holds one contig. Its reference is made up: random letters that agree with every REF, 51.3 Mb or as
long as the positions need, in a temporary folder in FOLDER. bcftools runs for the first BCFTOOLS_PEOPLE
(default 3) and its time is scaled to PEOPLE (default 20); their files are compared byte for byte. Wall time;
both flush each file to the disk. A FOLDER in memory (/dev/shm) takes the disk out of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cyvcf2 import VCF

from glm2x.commands.consensus import consensus
from glm2x.genome.consensus_plan import allele_file
from glm2x.genome.vcf_file import individuals_of

LENGTH = 51_304_566  # of chr22
LINE = 60


def main(vcf: Path, people: int, compared: int, parent: Path | None) -> None:
    """Print the two times and whether the files are the same."""
    names = individuals_of(vcf)[:people]
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        fasta, variants, contig = prepare(vcf, folder)
        chosen = folder / "people.txt"
        chosen.write_text("\n".join(names) + "\n")
        started = time.perf_counter()
        consensus(reference=fasta, variants=(variants,), individuals=chosen, out=folder / "ours")
        ours = time.perf_counter() - started
        theirs, same = 0.0, True
        for person in names[:compared]:
            for haplotype in (1, 2):
                made = folder / f"theirs_{person}_{haplotype}.fa"
                started = time.perf_counter()
                bcftools(fasta, variants, contig, person, haplotype, made)
                theirs += time.perf_counter() - started
                same &= made.read_bytes() == allele_file(folder / "ours", person, haplotype).read_bytes()
    scaled = theirs * len(names) / compared
    print(f"{len(names)} people, {2 * len(names)} files, {contig}")
    print(f"  glm2x consensus      {ours:8.1f} s  ({ours / len(names) / 2:.3f} s a file)")
    print(
        f"  bcftools consensus   {scaled:8.1f} s  ({theirs / compared / 2:.3f} s a file, {2 * compared} made)"
    )
    print(f"  ratio                {scaled / ours:8.1f}")
    print(f"  the {2 * compared} files made by both are {'the same' if same else 'NOT THE SAME'}")


def prepare(vcf: Path, folder: Path) -> tuple[Path, Path, str]:
    """Write a reference that agrees with a VCF, and the VCF with its contig in the header, indexed."""
    positions, refs, contig = [], [], ""
    for record in VCF(str(vcf), samples=[], lazy=True):
        positions.append(record.start)
        refs.append(record.REF)
        contig = record.CHROM
    length = max(LENGTH, positions[-1] + 1_000)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[np.random.default_rng(0).integers(0, 4, length)]
    for position, ref in zip(positions, refs, strict=True):
        letters[position : position + len(ref)] = np.frombuffer(ref.encode(), dtype=np.uint8)
    fasta = folder / "reference.fa"
    text = letters.tobytes()
    with fasta.open("wb") as handle:
        handle.write(f">{contig}\n".encode())
        handle.writelines(text[i : i + LINE] + b"\n" for i in range(0, length, LINE))
    run("samtools", "faidx", fasta)
    # bcftools writes the plain reference of a contig that the header does not name
    variants, index = folder / "variants.vcf.gz", folder / "reference.fa.fai"
    run("bcftools", "reheader", "--fai", index, "-o", variants, vcf)
    run("bcftools", "index", "--tbi", variants)
    return fasta, variants, contig


def bcftools(fasta: Path, vcf: Path, contig: str, person: str, haplotype: int, out: Path) -> None:
    """Write one haplotype's file in the published way."""
    faidx = ["samtools", "faidx", fasta, contig]
    command = ["bcftools", "consensus", "-s", person, "-H", f"{haplotype}pIu", "-i", 'type="snp"', vcf]
    with out.open("wb") as handle:
        with subprocess.Popen(faidx, stdout=subprocess.PIPE) as stretch:  # noqa: S603
            run(*command, stdin=stretch.stdout, stdout=handle, stderr=subprocess.DEVNULL)
        os.fsync(handle.fileno())


def run(*command: str | Path, **options: Any) -> None:
    """Run a program and wait for it."""
    subprocess.run(command, check=True, **options)  # noqa: S603


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        Path(given[0]),
        int(given[1]) if len(given) > 1 else 20,
        int(given[2]) if len(given) > 2 else 3,
        Path(given[3]) if len(given) > 3 else None,
    )

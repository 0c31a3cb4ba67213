"""What the consensus files of N people cost, beside bcftools, on a contig of real genotypes.

    python benchmarks/consensus.py VCF [--people 20] [--runs 5] [--disk FOLDER] [--memory /dev/shm]

VCF holds one contig. Its reference is made up: random letters that agree with every REF, 51.3 Mb or as
long as the positions need, in a temporary folder in FOLDER. In each run ours makes the files of all people,
then bcftools those of one person, another each time, which are compared byte for byte and whose time is
scaled to all. Once on the disk, and once in memory, which takes the disk out of it. Ours flushes every file
to the disk before it gets its name; bcftools does not, and what it would take with that is given beside.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cyvcf2 import VCF

from glm2x.commands.consensus import consensus
from glm2x.genome.consensus.plan import allele_file
from glm2x.genome.vcf.file import individuals_of

LENGTH = 51_304_566  # of chr22
LINE = 60


@dataclass
class Run:
    """Seconds of one run: ours for all people, bcftools scaled to all."""

    ours: float
    ours_cpu: float
    theirs: float
    theirs_cpu: float
    theirs_flushed: float
    same: bool


def main(vcf: Path, people: int, runs: int, disk: Path | None, memory: Path) -> None:
    """Print the times of every run, on the disk and in memory."""
    names = individuals_of(vcf)[:people]
    with tempfile.TemporaryDirectory(dir=disk) as name:
        folder = Path(name)
        fasta, variants, contig = prepare(vcf, folder)
        print(f"{len(names)} people, {2 * len(names)} files of {fasta.stat().st_size / 1e6:.0f} MB, {contig}")
        measure("disk", fasta, variants, contig, names, runs, folder)
        if memory.is_dir():
            with tempfile.TemporaryDirectory(dir=memory) as inside:
                measure("memory", fasta, variants, contig, names, runs, Path(inside))


def measure(
    where: str, fasta: Path, variants: Path, contig: str, names: tuple[str, ...], runs: int, folder: Path
) -> None:
    """Print a line for every run in a folder, and their medians."""
    print(
        f"\n{f'on {where}' if where == 'disk' else f'in {where}':<10}{'wall s':>27}{'ratio':>18}{'CPU s':>15}"
    )
    print(f"{'run':<8}{'ours':>8}{'bcftools':>10}{'flushed':>9}{'':>6}{'flushed':>9}", end="")
    print(f"{'ours':>8}{'bcftools':>10}{'ratio':>7}")
    done = []
    for turn in range(runs):
        run = one_run(fasta, variants, contig, names, names[turn % len(names)], folder)
        done.append(run)
        print_run(str(turn + 1), run)
    fields = ("ours", "ours_cpu", "theirs", "theirs_cpu", "theirs_flushed")
    middle = {key: median(getattr(run, key) for run in done) for key in fields}
    same = all(run.same for run in done)
    print_run("median", Run(**middle, same=same))
    print(f"the {2 * runs} files made by both are {'the same' if same else 'NOT THE SAME'}")


def print_run(name: str, run: Run) -> None:
    """Print one line."""
    print(f"{name:<8}{run.ours:>8.2f}{run.theirs:>10.1f}{run.theirs_flushed:>9.1f}", end="")
    print(f"{run.theirs / run.ours:>6.1f}{run.theirs_flushed / run.ours:>9.1f}", end="")
    print(f"{run.ours_cpu:>8.2f}{run.theirs_cpu:>10.1f}{run.theirs_cpu / run.ours_cpu:>7.1f}", flush=True)


def one_run(
    fasta: Path, variants: Path, contig: str, names: tuple[str, ...], person: str, folder: Path
) -> Run:
    """Make all files once, and those of one person with bcftools."""
    chosen, out = folder / "people.txt", folder / "ours"
    chosen.write_text("\n".join(names) + "\n")
    os.sync()  # what the last run left for the disk is not this one's
    started, cpu = time.perf_counter(), time.process_time()
    consensus(reference=fasta, variants=(variants,), individuals=chosen, out=out)
    ours, ours_cpu = time.perf_counter() - started, time.process_time() - cpu
    theirs = flushing = theirs_cpu = 0.0
    same = True
    for haplotype in (1, 2):
        made = folder / "theirs.fa"
        before, started = _children(), time.perf_counter()
        bcftools(fasta, variants, contig, person, haplotype, made)
        theirs += time.perf_counter() - started
        theirs_cpu += _children() - before
        started = time.perf_counter()
        with made.open("rb") as handle:
            os.fsync(handle.fileno())
        flushing += time.perf_counter() - started
        same &= made.read_bytes() == allele_file(out, person, haplotype).read_bytes()
        made.unlink()
    shutil.rmtree(out)
    times = len(names)
    return Run(ours, ours_cpu, theirs * times, theirs_cpu * times, (theirs + flushing) * times, same)


def _children() -> float:
    """Return the CPU seconds of the programs run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    with out.open("wb") as handle, subprocess.Popen(faidx, stdout=subprocess.PIPE) as stretch:  # noqa: S603
        run(*command, stdin=stretch.stdout, stdout=handle, stderr=subprocess.DEVNULL)


def run(*command: str | Path, **options: Any) -> None:
    """Run a program and wait for it."""
    subprocess.run(command, check=True, **options)  # noqa: S603


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vcf", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--disk", type=Path, metavar="FOLDER")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), metavar="FOLDER")  # noqa: S108
    given = parser.parse_args()
    main(given.vcf, given.people, given.runs, given.disk, given.memory)

"""What a 64 kb haplotype costs, beside memcpy and beside the published way, in one run.

    python benchmarks/haplotypes.py [COHORT]

Without a cohort, one is built from the demo data. CPU time, one thread, the median of five rounds; one
haplotype at a time, of eight genes and every person in random order.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from statistics import median

import numpy as np

from glm2x.cohort.build import CohortSources, build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.genome.sequence import decode

WINDOW = 64_000
ROUNDS = 5
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.zeros((1, 4), dtype=np.float32)])


def main(folder: Path) -> None:
    """Print the table for a cohort."""
    cohort = Cohort.open(folder)
    dictionary = HaplotypeDictionary(cohort, WINDOW)
    rng = np.random.default_rng(0)
    genes = [cohort.gene_ids[i] for i in rng.choice(len(cohort.gene_ids), 8, replace=False)]
    windows = [dictionary.window_of(gene) for gene in genes]
    jobs = [(w, row) for w in windows for row in range(2 * len(cohort.individuals))]
    rng.shuffle(jobs)  # type: ignore[arg-type]
    out = np.empty(WINDOW, dtype=np.uint8)
    one_hot = np.empty((WINDOW, 4), dtype=np.float32)
    cold = np.ones((4_000, WINDOW), dtype=np.uint8)  # 256 MB: more than the caches hold

    def copy_cold(i: int) -> None:
        out[:] = cold[i % len(cold)]

    def copy_warm(i: int) -> None:
        out[:] = windows[i % len(windows)].reference

    def build(i: int) -> None:
        window, row = jobs[i % len(jobs)]
        window.haplotype(row, out)

    def build_one_hot(i: int) -> None:
        window, row = jobs[i % len(jobs)]
        np.take(ONE_HOT, window.haplotype(row, out), axis=0, out=one_hot)

    letters = {id(w): decode(w.reference) for w in windows}

    def published(i: int) -> None:
        # what is done to the string of a consensus FASTA, once it has been read: foreign letters to N,
        # the other strand letter by letter, and a float32 matrix
        text = "".join(base if base in "ACGT" else "N" for base in letters[id(jobs[i % len(jobs)][0])])
        other = "".join(COMPLEMENT[base] for base in reversed(text))
        ONE_HOT[np.array(["ACGTN".index(base) for base in other])]

    rows = [
        ("memcpy of the reference windows (the limit)", microseconds(copy_warm, 2_000)),
        ("memcpy of 64 kB from cold memory", microseconds(copy_cold, 2_000)),
        ("glm2x: copy the window, scatter the SNPs", microseconds(build, 2_000)),
        ("glm2x, to float32 one-hot on the CPU", microseconds(build_one_hot, 500)),
        ("the published way, to float32 one-hot", microseconds(published, 10)),
    ]
    limit = rows[0][1]
    per_window = np.mean([len(w.offset) for w in windows])
    print(f"{len(jobs):,} haplotypes of {len(genes)} genes, {WINDOW:,} bp, {per_window:.0f} SNPs a window")
    for name, cost in rows:
        print(f"{name:<45}{cost:>10.1f} us{cost / limit:>10.1f} x memcpy")


def microseconds(work: Callable[[int], None], times: int) -> float:
    """Return the CPU time of one call in microseconds, the median of the rounds."""
    costs = []
    for turn in range(ROUNDS):
        started = time.process_time()
        for i in range(turn * times, (turn + 1) * times):
            work(i)
        costs.append((time.process_time() - started) / times * 1e6)
    return median(costs)


def _demo_cohort(folder: Path) -> Path:
    data = Path(str(resources.files("glm2x.demo") / "data"))
    sources = CohortSources(data / "genotypes.vcf.gz", data / "expression.bed.gz", data / "reference.fa.gz")
    build_cohort(sources, folder / "cohort")
    return folder / "cohort"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(_demo_cohort(Path(scratch)))

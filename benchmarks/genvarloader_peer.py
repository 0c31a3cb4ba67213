"""GenVarLoader's side of `haplotypes.py`, to be run by a Python that has it; it needs nothing of ours.

    PYTHON benchmarks/genvarloader_peer.py FOLDER

FOLDER holds ``jobs.json``: ``fasta``, ``vcf``, ``genes`` ([contig, tss, strand]), ``people`` of the VCF,
``windows`` in bp, ``batches`` in people, ``rounds`` and ``seed``. Written there: ``costs.json``, the
microseconds of CPU a haplotype, and ``digests-STORE-WINDOW.json``, a digest of each gene's and person's two
sequences.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import genvarloader
import numpy as np
import polars as pl
from genoray import VCF, SparseVar2

Costs = dict[str, float]
AT_LEAST = 400  # haplotypes a round


def main(folder: Path) -> None:
    """Make a dataset for each store and window, time it, and write what came of it."""
    jobs = json.loads((folder / "jobs.json").read_text())
    SparseVar2.from_vcf(folder / "store.svar2", jobs["vcf"], reference=jobs["fasta"], threads=1)
    costs: dict[str, Costs] = {}
    for window in jobs["windows"]:
        for store in ("vcf", "svar2"):
            variants = VCF(jobs["vcf"]) if store == "vcf" else SparseVar2(folder / "store.svar2")
            path = folder / f"{store}-{window}.gvl"
            genvarloader.write(path, _bed(jobs["genes"], window), variants, overwrite=True)
            opened = genvarloader.Dataset.open(path, reference=jobs["fasta"])
            dataset = opened.with_seqs("haplotypes").with_len(window)
            place = {name: i for i, name in enumerate(dataset.samples)}
            people = np.array([place[name] for name in jobs["people"]])
            costs[f"{store} {window}"] = _costs(dataset, len(jobs["genes"]), people, jobs)
            digests = _digests(dataset, len(jobs["genes"]), people)
            (folder / f"digests-{store}-{window}.json").write_text(json.dumps(digests))
    answer = {"version": genvarloader.__version__, "costs": costs}
    (folder / "costs.json").write_text(json.dumps(answer))


def _bed(genes: list[tuple[str, int, str]], window: int) -> pl.DataFrame:
    contigs, sites, strands = zip(*genes, strict=True)
    start = np.array(sites) - window // 2
    return pl.DataFrame(
        {"chrom": contigs, "chromStart": start, "chromEnd": start + window, "strand": strands}
    )


def _costs(dataset: Any, genes: int, people: np.ndarray, jobs: dict[str, Any]) -> Costs:
    """Return the cost of one haplotype by the shape of what is asked for at once."""
    rng = np.random.default_rng(jobs["seed"])
    costs = {}
    for batch in jobs["batches"]:
        times = max(AT_LEAST // (2 * batch), 4)
        gene = rng.integers(genes, size=(jobs["rounds"] * times, batch))
        person = people[rng.integers(len(people), size=gene.shape)]
        if batch == 1:
            ask = [lambda i, g=gene, p=person: dataset[int(g[i, 0]), int(p[i, 0])]]
            names = ["1"]
        else:
            ask = [
                lambda i, g=gene, p=person: dataset[g[i], p[i]],
                lambda i, g=gene, p=person: dataset[int(g[i, 0]), p[i]],
            ]
            names = [f"{batch} several", f"{batch} one"]
        for name, work in zip(names, ask, strict=True):
            costs[name] = _microseconds(work, times, jobs["rounds"]) / (2 * batch)
    return costs


def _microseconds(work: Callable[[int], Any], times: int, rounds: int) -> float:
    work(0)
    costs = []
    for turn in range(rounds):
        started = time.process_time()
        for i in range(turn * times, (turn + 1) * times):
            work(i)
        costs.append((time.process_time() - started) / times * 1e6)
    return median(costs)


def _digests(dataset: Any, genes: int, people: np.ndarray) -> list[list[list[str]]]:
    """Return a digest of each sequence, ``[gene][person][haplotype]``."""
    digests = []
    for gene in range(genes):
        found = []
        for first in range(0, len(people), 32):
            made = np.asarray(dataset[gene, people[first : first + 32]])
            for pair in made.reshape(-1, 2, made.shape[-1]):
                found.append([hashlib.blake2b(hap.tobytes(), digest_size=8).hexdigest() for hap in pair])
        digests.append(found)
    return digests


if __name__ == "__main__":
    main(Path(sys.argv[1]))

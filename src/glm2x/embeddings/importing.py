"""Embeddings that were computed elsewhere, in the published layout, become a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.layout import REFERENCE_HAPLOTYPE, REFERENCE_SAMPLE, Haplotype, find_files
from glm2x.embeddings.plan import REFERENCE, SHARD_BYTES, keys_of, require_room
from glm2x.embeddings.reader import Compared, Origin, Reader, Source
from glm2x.embeddings.shard import DTYPES
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.genome.counts import Counts
from glm2x.place import Place
from glm2x.progress import Progress, silent


@dataclass
class Imported:
    """What an import did.

    Attributes
    ----------
    genes, individuals
        How many were looked at.
    haplotypes
        Unique ones among them, the references included.
    stored, written
        How many of those the store had, and how many were added.
    compared
        Of files of one haplotype.
    lacking
        The haplotypes that the store lacks: one owner of each.
    counts
        What became of other files, people and genes.
    """

    genes: int
    individuals: int
    haplotypes: int = 0
    stored: int = 0
    written: int = 0
    compared: Compared = field(default_factory=Compared)
    lacking: list[Haplotype] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


def import_published(
    folder: Path,
    cohort: Cohort,
    origin: Origin,
    out: Place,
    *,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Imported:
    """Read a folder in the published layout into a store, each different haplotype once.

    Which haplotype a file holds is told by the cohort's genotypes. People who share one must have the same
    embeddings, within `TOLERANCE`; the first one's are kept. Haplotypes that the store has are not read.

    Parameters
    ----------
    genes, individuals
        Whose files to expect (default: all of the cohort that have any). The reference's are taken where
        they are there.

    Raises
    ------
    DataError
        A file is damaged, or holds another shape or type than the others; people who share a haplotype have
        different embeddings; the store has another spec; nothing is there; the disk is too small.
    """
    files, counts = find_files(folder, cohort)
    names, people = _chosen(files, counts, folder, cohort, genes, individuals)
    done = Imported(len(names), len(people), counts=counts)
    sources = _sources(files, cohort, origin.window, names, people, done, progress)
    done.lacking = [owner for owner, paths in sources.values() if not paths]
    having = {key: paths for key, (_, paths) in sources.items() if paths}
    if not having:
        raise DataError(
            "no file holds embeddings of these genes and people",
            where=str(folder),
            got=done.counts.first.get("files missing", "nothing"),
            wanted="SAMPLE/GENE_allele_1.pt and SAMPLE/GENE_allele_2.pt",
        )
    reader = Reader(origin, cohort, next(iter(having.values()))[0])
    store = Store.create(out, reader.spec)
    todo = store.missing(having)
    done.haplotypes, done.stored = len(sources), len(having) - len(todo)
    require_room(out, reader.spec.bytes_of_one, len(todo))
    each = max(1, SHARD_BYTES // reader.spec.bytes_of_one)
    with progress("import", sum(len(having[key]) for key in todo), "files") as bar:
        for start in range(0, len(todo), each):
            keys = todo[start : start + each]
            values = torch.empty(
                (len(keys), reader.spec.rows, reader.spec.width), dtype=DTYPES[reader.spec.dtype]
            )
            for row, key in enumerate(keys):
                values[row] = reader.read(having[key])
                bar.advance(len(having[key]), having[key][0].haplotype.gene)
            store.write_shard(keys, values)
            done.written += len(keys)
    done.compared = reader.compared
    return done


def _chosen(
    files: dict[Haplotype, Path],
    counts: Counts,
    folder: Path,
    cohort: Cohort,
    genes: Sequence[str] | None,
    individuals: Sequence[str] | None,
) -> tuple[list[str], list[str]]:
    """Return the genes and people whose files are expected; by default those that have any."""
    here = {haplotype.gene for haplotype in files}
    who = {haplotype.sample for haplotype in files}
    if genes is not None:
        names = list(dict.fromkeys(cohort.gene_ids[row] for row in cohort.gene_index(genes)))
    else:
        names = [name for name in cohort.gene_ids if name in here]
        for name in cohort.gene_ids:
            if name not in here:
                counts.add("genes of the cohort without a file", name)
    if individuals is not None:
        cohort.individual_index(individuals)
        people = list(dict.fromkeys(individuals))
    else:
        people = [name for name in cohort.individuals if name in who]
        for name in cohort.individuals:
            if name not in who:
                counts.add("individuals of the cohort without a file", name)
    chosen = set(names), {*people, REFERENCE_SAMPLE}
    for haplotype, path in files.items():
        if haplotype.gene not in chosen[0] or haplotype.sample not in chosen[1]:
            counts.add("files of other genes or people than those asked for", str(path.relative_to(folder)))
    return names, people


def _sources(
    files: dict[Haplotype, Path],
    cohort: Cohort,
    window: int,
    genes: Sequence[str],
    people: Sequence[str],
    done: Imported,
    progress: Progress,
) -> dict[str, tuple[Haplotype, list[Source]]]:
    """Return an owner and all files of each unique haplotype, by key, in the order of plans."""
    dictionary = HaplotypeDictionary(cohort, window)
    columns = cohort.individual_index(people)
    sources: dict[str, tuple[Haplotype, list[Source]]] = {}
    with progress("haplotypes", len(genes), "genes") as bar:
        for name in genes:
            gene = dictionary.gene(name)
            rows = [REFERENCE, *np.unique(gene.index[columns]).tolist()]
            key_of = dict(zip(rows, keys_of(gene, rows), strict=True))
            owned = [
                (row, Haplotype(person, name, number))
                for person, both in zip(people, gene.index[columns].tolist(), strict=True)
                for number, row in enumerate(both, start=1)
            ]
            # last: where a person has the same haplotype, it is that person's file that is kept
            owned.append((REFERENCE, Haplotype(REFERENCE_SAMPLE, name, REFERENCE_HAPLOTYPE)))
            first = dict(reversed(owned))
            for row in rows:
                sources.setdefault(key_of[row], (first[row], []))
            for row, haplotype in owned:
                if haplotype in files:
                    sources[key_of[row]][1].append(Source(haplotype, files[haplotype]))
                else:
                    done.counts.add("files missing", str(haplotype))
            bar.advance(1, name)
    return sources

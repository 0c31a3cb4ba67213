"""A store's embeddings in the published layout, for programs that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.layout import REFERENCE_HAPLOTYPE, REFERENCE_SAMPLE, Haplotype
from glm2x.embeddings.plan import REFERENCE, keys_of, require_room
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.progress import Progress, silent


@dataclass(frozen=True)
class Exported:
    """How many files were written, and how many were there."""

    written: int
    kept: int


def export_published(
    store: Store,
    cohort: Cohort,
    out: Path,
    *,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    reference: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Write a store's tokens as ``{sample}/{gene}_allele_{1,2}.pt``, one tensor [1, tokens, width] each.

    Every haplotype of every person is a file, however many share it.

    Parameters
    ----------
    genes, individuals
        Which (default: all of the cohort).
    reference
        Write the reference, too, as ``ref/{gene}_allele_.pt``.
    force
        Write also the files that are there.

    Raises
    ------
    DataError
        The store holds no tokens, lacks a haplotype, or the disk is too small; nothing has been written.
    """
    if store.spec.keep != "tokens":
        raise DataError(
            "the published layout holds all tokens of a window",
            where=str(store.folder),
            got=f"a store that keeps {store.spec.keep}",
            wanted="one made with --keep tokens",
        )
    names = [cohort.gene_ids[row] for row in cohort.gene_index(cohort.gene_ids if genes is None else genes)]
    people = list(cohort.individuals if individuals is None else individuals)
    keys = _keys(store, cohort, dict.fromkeys(names), dict.fromkeys(people), reference, progress)
    _require_stored(store, keys)
    files = {haplotype.file(out): key for haplotype, key in keys.items()}
    todo = {path: key for path, key in files.items() if force or not path.exists()}
    require_room(out, store.spec.bytes_of_one, len(todo))
    with progress("export", len(todo), "files") as bar:
        for path, values in zip(todo, store.read_each(list(todo.values())), strict=True):
            # a copy: torch.save writes all of the storage that a view lies in
            tensor = values[None].clone()
            with write_aside(path, force=force) as aside, aside.open("wb") as handle:
                torch.save(tensor, handle)
            bar.advance(1, path.stem)
    return Exported(len(todo), len(files) - len(todo))


def _keys(
    store: Store,
    cohort: Cohort,
    genes: dict[str, None],
    people: dict[str, None],
    reference: bool,
    progress: Progress,
) -> dict[Haplotype, str]:
    """Return the key of every haplotype that is to be written."""
    dictionary = HaplotypeDictionary(cohort, store.spec.window)
    columns = cohort.individual_index(people)
    keys: dict[Haplotype, str] = {}
    with progress("haplotypes", len(genes), "genes") as bar:
        for name in genes:
            gene = dictionary.gene(name)
            index = gene.index[columns]
            rows = [REFERENCE, *sorted(set(index.reshape(-1).tolist()))]
            key_of = dict(zip(rows, keys_of(gene, rows), strict=True))
            for person, both in zip(people, index.tolist(), strict=True):
                for number, row in enumerate(both, start=1):
                    keys[Haplotype(person, name, number)] = key_of[row]
            if reference:
                keys[Haplotype(REFERENCE_SAMPLE, name, REFERENCE_HAPLOTYPE)] = key_of[REFERENCE]
            bar.advance(1, name)
    return keys


def _require_stored(store: Store, keys: dict[Haplotype, str]) -> None:
    missing = set(store.missing(keys.values()))
    if missing:
        total = len(set(keys.values()))
        lacking = [haplotype for haplotype, key in keys.items() if key in missing]
        raise DataError(
            f"the store lacks {len(missing):,} of {total:,} haplotypes; nothing was written",
            where=str(store.folder),
            got=f"first: {lacking[0]}",
            wanted=f"embeddings of {len({haplotype.gene for haplotype in keys}):,} genes",
            do="give --genes and --individuals that it holds, or complete it (glm2x embed status)",
        )

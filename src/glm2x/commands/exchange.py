"""`glm2x embed import` and `export`: embeddings in the published layout, into a store and out of one."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glm2x.commands.options import AnyPlace
from glm2x.console import progress, say
from glm2x.place import Place

if TYPE_CHECKING:
    from glm2x.backbones.info import BackboneInfo
    from glm2x.embeddings.importing import Imported


def import_(
    folder: Path,
    /,
    *,
    cohort: Path,
    backbone: str,
    out: AnyPlace,
    window: int = 64_000,
    genes: Path | None = None,
    individuals: Path | None = None,
    layer: str | None = None,
    token_bp: int | None = None,
    source: str = "published layout",
    device_class: Literal["cpu", "cuda", "mps"] = "cuda",
) -> None:
    """Read precomputed embeddings into a store: SAMPLE/GENE_allele_1.pt and _2.pt, and ref/GENE_allele_.pt.

    Each file holds one tensor [1, tokens, width] in bfloat16 or float32. People who share a haplotype must
    have the same embeddings. What the store has is not read again.

    Parameters
    ----------
    folder
        The folder of the samples' folders (the published preCalculatedEmbed_root).
    cohort
        The cohort of the genotypes that the embeddings were made of: it says whose haplotypes are the same.
    backbone
        The model that made them (glm2x backbones).
    out
        The store's folder; one that is there is added to.
    window
        Base pairs around the TSS that they were made of.
    genes
        Which to expect, one a line (default: those that have any file).
    individuals
        Whose to expect, one a line (default: those who have any file).
    layer
        Whose output they are (default: the published one).
    token_bp
        Base pairs of a token, of the backbone huggingface.
    source
        Where they come from, in words: part of what the store is.
    device_class
        What computed them.
    """
    from glm2x.backbones.registry import get
    from glm2x.cohort.cohort import Cohort
    from glm2x.commands.recorded import of_cohort, of_store
    from glm2x.errors import UsageError
    from glm2x.files import read_list
    from glm2x.genome.genes import require_window
    from glm2x.provenance import artefacts, record

    require_window(window)
    info = get(backbone)
    if info.kind != "frozen":
        raise UsageError(
            f"the {info.name} backbone is trained whole, and has no embeddings to be stored",
            where="--backbone",
            do="glm2x backbones lists those that are frozen",
        )
    of_a_token = _base_pairs_of_a_token(info, token_bp)
    opened = Cohort.open(cohort)
    chosen_genes = read_list(genes) if genes else None
    chosen_people = read_list(individuals) if individuals else None
    from glm2x.embeddings.importing import import_published  # torch: only now, when all else is right
    from glm2x.embeddings.reader import Origin

    origin = Origin(
        backbone=info.name,
        window=window,
        token_bp=of_a_token,
        width=info.width,
        layer=int(layer) if layer is not None and layer.lstrip("-").isdecimal() else layer,
        source=source,
        device=device_class,
    )
    done = import_published(
        folder, opened, origin, out, genes=chosen_genes, individuals=chosen_people, progress=progress
    )
    if done.written:
        record(
            out,
            outputs=of_store(out),
            inputs=[of_cohort(opened, cohort), *artefacts(genes=genes, individuals=individuals)],
            device=device_class,
            add=True,
        )
    _tell(done, out)


def export(
    store: AnyPlace,
    out: Path,
    /,
    *,
    cohort: Path,
    genes: Path | None = None,
    individuals: Path | None = None,
    reference: bool = False,
    force: bool = False,
) -> None:
    """Write a store's embeddings as SAMPLE/GENE_allele_1.pt and _2.pt, one tensor [1, tokens, width] each.

    Files that are there are left alone, so that an interrupted export goes on where it stopped.

    Parameters
    ----------
    store
        The store's folder.
    out
        The folder to write to.
    cohort
        Whose haplotypes they are.
    genes
        Which, one a line (default: all of the cohort).
    individuals
        Whose, one a line (default: everybody in the cohort).
    reference
        Write the reference's, too, as `ref/GENE_allele_.pt`.
    force
        Write also the files that are there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.files import read_list

    opened = Cohort.open(cohort)
    chosen_genes = read_list(genes) if genes else None
    chosen_people = read_list(individuals) if individuals else None
    from glm2x.embeddings.exporting import export_published  # torch: only now, when all else is right
    from glm2x.embeddings.store import Store

    done = export_published(
        Store.open(store),
        opened,
        out,
        genes=chosen_genes,
        individuals=chosen_people,
        reference=reference,
        force=force,
        progress=progress,
    )
    if done.kept:
        say(f"kept: {done.kept:,} files that are there")
    say(f"exported {done.written:,} files to {out}")


def _base_pairs_of_a_token(info: BackboneInfo, given: int | None) -> int:
    """Return the longest window of one token; where the backbone does not know, what the user says."""
    from glm2x.errors import UsageError

    if info.tokens_for(1) == 0:
        if given is None or given < 1:
            raise UsageError(
                f"how long a token of {info.name} is depends on the model",
                got="no --token-bp" if given is None else str(given),
                wanted="--token-bp with its base pairs, 1 or more",
            )
        return given
    if given is not None:
        raise UsageError(f"--token-bp is not to be chosen for {info.name}", do="leave it out")
    return next(length for length in count(1) if info.tokens_for(length + 1) > 1)


def _tell(done: Imported, out: Place) -> None:
    """Say what was read, compared, left out and not found."""
    for fate, number in done.counts.counts.items():
        say(f"  {fate}: {number:,} (first: {done.counts.first[fate]})")
    found = done.compared
    if found.trimmed:
        say(
            f"  reference windows one base longer, their last base left out: {found.trimmed:,} (largest "
            f"difference to a person's of the same haplotype: {found.trimmed_difference:.2g})"
        )
    if found.files:
        where = f", {found.differing}" if found.differing else ""
        say(
            f"  files of a haplotype that another file holds, too: {found.files:,}, compared (largest "
            f"difference: {found.difference:.2g}{where})"
        )
    if done.lacking:
        say(
            f"  haplotypes that the store lacks: {len(done.lacking):,} of {done.haplotypes:,} "
            f"(first: {done.lacking[0]})"
        )
    say(
        f"imported {done.written:,} haplotypes of {done.genes:,} genes and {done.individuals:,} individuals; "
        f"{done.stored:,} were stored already; written to {out}"
    )

"""`glm2x consensus`: two whole-genome FASTA files a person, as bcftools consensus writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glm2x.commands.arguments import comma_separated
from glm2x.console import progress, say


def consensus(
    *,
    reference: Path,
    variants: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    individuals: Path,
    out: Path,
    contigs: str | None = None,
    without_variants: str | None = None,
    force: bool = False,
) -> None:
    """Write INDIVIDUAL_allele_1_forward.fa and INDIVIDUAL_allele_2_forward.fa of every individual.

    Each file is byte-equal to bcftools consensus -H {1,2}pIu -i 'type="snp"' of contig after contig. Files
    that are there are kept, so that an interrupted run goes on where it stopped.

    Parameters
    ----------
    reference
        FASTA that the genotypes were called against, plain or bgzipped.
    variants
        Genotypes: VCF, VCF.gz or BCF, sorted; one file, several, or a name with {chrom}.
    individuals
        Whose files are made, one name a line.
    out
        The folder to write to.
    contigs
        Contigs to write, in this order, as 1,2,22 (default: those with variants, in the reference's order).
    without_variants
        Contigs to write as the reference has them although no file has variants of them, as Y,MT.
    force
        Make also the files that are there.
    """
    from glm2x.files import read_list
    from glm2x.genome.consensus.plan import plan_consensus
    from glm2x.genome.consensus.run import write_consensus
    from glm2x.genome.reference.indexed import Reference
    from glm2x.provenance import artefact, artefacts, record

    people = read_list(individuals)
    opened = Reference(reference)
    plan = plan_consensus(
        opened,
        variants,
        people,
        out,
        contigs=None if contigs is None else comma_separated(contigs, "--contigs"),
        without_variants=comma_separated(without_variants, "--without-variants"),
        force=force,
    )
    if plan.unknown:
        shown = ", ".join(plan.unknown[:5]) + (", ..." if len(plan.unknown) > 5 else "")
        say(f"left out, not in the reference: {len(plan.unknown)} contigs with variants ({shown})")
    plain = [name for name in plan.contigs if name not in plan.sources]
    if plain:
        say(f"written as the reference is, without variants: {', '.join(plain)}")
    kept = 2 * len(people) - len(plan.missing)
    if kept:
        say(f"kept: {kept:,} files that are there")
    counts = write_consensus(opened, plan, out, progress=progress)
    record(
        out,
        outputs=[artefact("consensus", out)],
        inputs=[
            *artefacts(reference=reference, individuals=individuals),
            *(artefact("variants", path) for path in variants),
        ],
    )
    for fate, count in counts.counts.items():
        say(f"  {fate.replace('_', ' ')}: {count:,} (first: {counts.first[fate]})")
    what = f"{len(plan.missing):,} files of {plan.size / 1e6:,.1f} MB ({len(plan.contigs)} contigs)"
    say(f"consensus: {what} written to {out}")

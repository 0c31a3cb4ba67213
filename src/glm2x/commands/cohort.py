"""`glm2x cohort`: genotypes, expression and a reference become a cohort folder; a folder is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from glm2x.console import say


def build(
    *,
    variants: Path,
    expression: Path,
    reference: Path,
    out: Path,
    individuals: Path | None = None,
    covariates: Path | None = None,
    expression_scale: Literal["rpkm", "tpm", "log2", "normalised"] = "rpkm",
    unphased: Literal["mask", "error"] = "mask",
    force: bool = False,
) -> None:
    """Build a cohort folder.

    Parameters
    ----------
    variants
        Phased genotypes: VCF, VCF.gz or BCF, sorted.
    expression
        Phenotype BED (FastQTL, QTLtools, tensorQTL) with a strand column.
    reference
        FASTA that the genotypes were called against, plain or bgzipped.
    out
        The folder to write.
    individuals
        Table with the columns individual, and population or family.
    covariates
        Covariates as rows, individuals as columns.
    expression_scale
        What the expression values are; rpkm and tpm become log2(x + 1).
    unphased
        What an unphased heterozygote becomes: N (mask) or an error.
    force
        Replace what is there.
    """
    from glm2x.cohort.build import CohortSources, build_cohort

    sources = CohortSources(variants, expression, reference, individuals, covariates)
    manifest = build_cohort(sources, out, expression_scale=expression_scale, unphased=unphased, force=force)
    _describe(manifest)
    say(f"written to {out}")


def check(cohort: Path, /) -> None:
    """Verify the checksum of every file of a cohort, and say what is in it and what was skipped.

    Parameters
    ----------
    cohort
        A cohort folder.
    """
    from glm2x.cohort.cohort import Cohort

    opened = Cohort.open(cohort)
    opened.verify()
    _describe(opened.manifest)
    say(f"{len(opened.manifest['files'])} files of {cohort} are as they were written")


def _describe(manifest: dict[str, Any]) -> None:
    """Say what a cohort holds, what was counted and skipped, and who is missing where."""
    counts = manifest["counts"]
    say(
        f"cohort: {counts['genes']} genes, {counts['individuals']} individuals "
        f"({counts['individuals_with_expression']} with expression), "
        f"{sum(counts['columns'].values()):,} SNPs"
    )
    for fate, count in counts["records"].items():
        if fate != "applied":
            say(f"  {fate.replace('_', ' ')}: {count:,} (first: {manifest['first'][fate]})")
    for side, names in manifest["absent"].items():
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            say(f"  absent {side.replace('_', ' ')}: {len(names)} individuals ({shown})")

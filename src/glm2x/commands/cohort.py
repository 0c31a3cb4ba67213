"""`glm2x cohort`: genotypes, expression and a reference become a cohort folder; a folder is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from glm2x.commands.arguments import comma_separated
from glm2x.console import print_json, progress, say, show_table

_TOLD = (
    *("expression_scale", "variant_kind", "unphased", "covariates", "reference_contigs"),
    *("counts", "first", "absent"),
)


def build(
    *,
    variants: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    expression: Path,
    out: Path,
    reference: Path | None = None,
    genes: Path | None = None,
    individuals: Path | None = None,
    covariates: Path | None = None,
    expression_scale: Literal["rpkm", "tpm", "log2", "normalised"] | None = None,
    variant_kind: Literal["snp", "all"] = "snp",
    unphased: Literal["mask", "error"] = "mask",
    contigs: str | None = None,
    without_variants: str | None = None,
    force: bool = False,
) -> None:
    """Build a cohort folder.

    Parameters
    ----------
    variants
        Phased genotypes: VCF, VCF.gz or BCF, sorted; one file, several, or a name with {chrom}.
    expression
        Phenotype BED (FastQTL, QTLtools, tensorQTL), a matrix of genes and individuals, or the published
        partition CSV; plain or gzipped.
    out
        The folder to write.
    reference
        FASTA that the genotypes were called against, plain or compressed. Without it the cohort serves
        splits, baselines and evaluation.
    genes
        GTF, GFF3 or table of TSSs: where the genes of a matrix are, or their strand where a BED lacks it.
    individuals
        Table with the columns individual, and population or family.
    covariates
        Covariates as rows, individuals as columns.
    expression_scale
        What the expression values are (default: what the format says, else rpkm); rpkm and tpm become
        log2(x + 1).
    variant_kind
        snp, or all for insertions, deletions and MNPs too.
    unphased
        What an unphased heterozygote becomes: N (mask) or an error.
    contigs
        Take the genes of these contigs only, as 1,2,22.
    without_variants
        Contigs whose genes are wanted although no file has variants of them, as Y,MT.
    force
        Replace what is there.
    """
    from glm2x.cohort.build import build_cohort
    from glm2x.cohort.sources import CohortSources
    from glm2x.commands.recorded import sources_of
    from glm2x.provenance import artefact, record

    sources = CohortSources(variants, expression, reference, individuals, covariates, genes)
    manifest = build_cohort(
        sources,
        out,
        expression_scale=expression_scale,
        variant_kind=variant_kind,
        unphased=unphased,
        contigs=None if contigs is None else comma_separated(contigs, "--contigs"),
        without_variants=comma_separated(without_variants, "--without-variants"),
        force=force,
        progress=progress,
    )
    typed = (*variants, expression, reference, genes, individuals, covariates)
    record(
        out,
        outputs=[artefact("cohort", out, manifest["digest"])],
        inputs=sources_of(manifest, typed),
    )
    _describe(manifest)
    say(f"written to {out}")


def check(cohort: Path, /, *, json: bool = False) -> None:
    """Verify the checksum of every file of a cohort, and say what is in it and what was skipped.

    Parameters
    ----------
    cohort
        A cohort folder.
    json
        Print one JSON document on standard output instead: cohort, digest, files, expression_scale,
        variant_kind, unphased, covariates, reference_contigs, counts, first (an example of each thing that
        was counted) and absent (who is missing where).
    """
    from glm2x.cohort.cohort import Cohort

    opened = Cohort.open(cohort)
    opened.verify(progress)
    if json:
        print_json(
            {
                "cohort": str(cohort),
                "digest": opened.digest,
                "files": len(opened.manifest["files"]),
                **{key: opened.manifest[key] for key in _TOLD},
            }
        )
        return
    _describe(opened.manifest)
    say(f"{len(opened.manifest['files'])} files of {cohort} are as they were written")


def _describe(manifest: dict[str, Any]) -> None:
    """Say what a cohort holds, what was counted and skipped, and who is missing where."""
    counts = manifest["counts"]
    kinds = [
        f"{count:,} {kind.upper() if kind != 'indel' else kind}s"
        for kind, count in counts["kinds"].items()
        if count
    ]
    sequence = "" if manifest["reference_contigs"] else "; no reference: no sequences"
    say(
        f"cohort: {counts['genes']} genes, {counts['individuals']} individuals "
        f"({counts['individuals_with_expression']} with expression), "
        f"{', '.join(kinds) or 'no variants'}{sequence}"
    )
    rows = [
        (fate.replace("_", " "), f"{count:,}", manifest["first"][fate])
        for fate, count in {**counts["expression"], **counts["records"]}.items()
        if fate != "applied"
    ]
    rows += [
        (f"individuals absent {side.replace('_', ' ')}", f"{len(names):,}", names[0])
        for side, names in manifest["absent"].items()
        if names
    ]
    if rows:
        show_table({"counted": "left", "number": "right", "first": "left"}, rows)

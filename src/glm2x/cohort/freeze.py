"""People and genes, frozen into a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.gene_sets import GeneSets, hold_out_blocks, hold_out_contigs, hold_out_published
from glm2x.cohort.people import People
from glm2x.cohort.split import Split
from glm2x.errors import UsageError
from glm2x.genome.genes import GeneSide, require_window


def make_split(
    cohort: Cohort,
    people: People,
    *,
    window: int,
    genes: Sequence[str] | None = None,
    unseen_share: float = 0.0,
    unseen_contigs: Sequence[str] = (),
    published_sides: Mapping[str, GeneSide | None] | None = None,
    reference_validation_share: float = 0.15,
    seed: int = 0,
) -> Split:
    """Freeze people and genes into a split.

    Parameters
    ----------
    window
        The longest window in bp that will be used: no window of one gene set overlaps one of the other,
        unless `published_sides` has it so.
    genes
        The genes to take (default: all of the cohort), with or without version; one named twice is one.
    unseen_share
        The share of genes held out as one contiguous block.
    unseen_contigs
        Instead: the contigs whose genes are held out, with or without ``chr``.
    published_sides
        Without either of those: the side of each gene in a published table. Their windows may overlap.
    reference_validation_share
        The share of the seen genes on which phases that train on the reference choose their epoch.

    Raises
    ------
    DataError
        A gene is not in the cohort.
    UsageError
        The window, the seed or a share is none, holds out no gene, or leaves none to train on.
    """
    require_window(window)
    if not 0 <= seed < 2**32:
        raise UsageError("a seed lies between 0 and 2^32", got=str(seed))
    if unseen_contigs and unseen_share:
        raise UsageError("--unseen-share and --unseen-contigs are two ways to hold out genes", do="give one")
    chosen = list(dict.fromkeys(map(cohort.gene, genes))) if genes is not None else list(cohort.genes)
    reason = "its window overlaps a window of an unseen gene"
    unseen: GeneSets
    if unseen_contigs:
        unseen = hold_out_contigs(chosen, unseen_contigs)
    elif published_sides is not None and not unseen_share:
        unseen, reason = hold_out_published(chosen, published_sides), "the published table gives it no side"
    else:
        unseen = hold_out_blocks(chosen, unseen_share, window, seed)
        if unseen_share and not unseen.inside:
            raise UsageError(
                "--unseen-share holds out no gene",
                got=f"{unseen_share:g} of {len(chosen)} genes",
                wanted=f"at least {1 / len(chosen):.2g}",
                do="a larger share, or none",
            )
    outside = set(unseen.outside)
    seen = [gene for gene in chosen if gene.gene in outside]
    held = hold_out_blocks(seen, reference_validation_share, window, seed)
    return Split(
        train=people.train,
        validation=people.validation,
        test=people.test,
        seen=unseen.outside,
        unseen=unseen.inside,
        reference_validation=held.inside,
        reference_excluded=held.gap,
        preset=people.preset,
        seed=seed,
        cohort_digest=cohort.digest,
        window=window,
        excluded_genes=dict.fromkeys(unseen.gap, reason),
        relatives=people.relatives,
    )

"""What the data of an evaluation cannot show, in sentences for the report."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.similarity import MIN_VARIANTS
from glm2x.cohort.split import Split
from glm2x.evaluation.adopt import Adopted
from glm2x.evaluation.check import some
from glm2x.evaluation.study import Study
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import MAIN_CELL, Cell
from glm2x.evaluation.uncertainty import Draws

FEW_GENES = 100
FEW_PEOPLE = 50


def make_notes(
    adopted: Adopted,
    cells: Sequence[tuple[Cell, Draws]],
    comparisons: Sequence[dict[str, Any]],
    study: Study,
    split: Split | None,
) -> list[str]:
    """Return the notes; `comparisons` are the blocks of `metrics.json`."""
    cohort = study.cohort
    notes = [*_adopted_notes(adopted, cohort), *_table_notes(adopted.table, cohort, split)]
    predicting = [(cell, draws) for cell, draws in cells if not cell.name.endswith("training_individual")]
    for cell, draws in predicting or cells:
        notes += _cell_notes(cell, draws, comparisons)
    if not any(cell.name.startswith("unseen_gene") for cell, _ in cells):
        notes.append(
            "No unseen gene was evaluated: nothing here shows how models do on genes not trained on."
        )
    if cohort is not None:
        notes += _cohort_notes(cohort)
        if study.components is None:
            notes.append(f"No r given genotype PCs: {study.components_from}.")
        if study.heritability is None:
            notes.append(f"No r / sqrt(h2): {study.heritability_lacks}.")
    return notes


def _adopted_notes(adopted: Adopted, cohort: Cohort | None) -> list[str]:
    """Say what was filled in, and what of a stranger's table found no place."""
    notes = []
    if adopted.observed_filled:
        notes.append(
            f"{adopted.observed_filled:,} measurements of {some(adopted.filled_models)} were taken from the "
            f"cohort, on the scale of the target {adopted.table.metadata.target}."
        )
    notes += [f"Measurements that were not filled in: {why}." for why in adopted.not_filled]
    if adopted.genes_renamed:
        notes.append(f"{adopted.genes_renamed:,} genes were matched without the version of their name.")
    if cohort is not None and (adopted.genes_unknown or adopted.individuals_unknown):
        notes.append(
            f"{adopted.genes_unknown:,} genes and {adopted.individuals_unknown:,} people of the table are "
            "not in the cohort."
        )
    return notes


def _table_notes(table: Table, cohort: Cohort | None, split: Split | None) -> list[str]:
    notes = []
    if table.metadata.target is None:
        notes.append("The target is unknown: no file says what was done to the measurements.")
    silent = [name for name, said in table.sources if said.target is None]
    if silent and table.metadata.target is not None:
        notes.append(
            f"{len(silent)} of {len(table.sources)} files do not say their target; it is taken to be "
            f"{table.metadata.target}, as in the others."
        )
    if table.ignored_columns:
        notes.append(f"Columns that were not used: {', '.join(table.ignored_columns)}.")
    if table.unmeasured:
        notes.append(
            f"{table.unmeasured:,} of {table.rows:,} predictions have no measurement and are not judged."
        )
    validation = table.validation_people()
    if validation:
        notes.append(
            f"{validation} validation people are in no cell: epochs were chosen on them, so they are "
            "neither new nor trained on."
        )
    absent = [name for name, given in (("cohort", cohort), ("split", split)) if given is None]
    if absent:
        notes.append(f"Evaluated without a {' and a '.join(absent)}: the checks that need one did not run.")
    if cohort is None:
        notes.append("Without a cohort, intervals take each gene and each individual as independent.")
    return notes


def _cell_notes(cell: Cell, draws: Draws, comparisons: Sequence[dict[str, Any]]) -> list[str]:
    notes = []
    # Against rows that see no variant every difference is loose: not what models are told apart by.
    blind = {row.label for row in cell.rows if row.key.model in ("training-mean", "genotype-pcs")}
    here = [
        c["smallest_difference"]
        for c in comparisons
        if c["cell"] == cell.name and not {c["a"], c["b"]} & blind
    ]
    here = [value for value in here if value == value and value > 0]
    small = len(cell.genes) < FEW_GENES or len(cell.individuals) < FEW_PEOPLE
    if here and (small or cell.name == MAIN_CELL):
        notes.append(
            f"{cell.name}: with {len(cell.genes)} genes and {len(cell.individuals)} people, the smallest "
            f"difference of mean r that would be found with 80 % power is {median(here):.3f} "
            f"(median of {len(here)} comparison{'s' if len(here) > 1 else ''})."
        )
    if draws.block_count < 2 or draws.family_count < 2:
        notes.append(
            f"{cell.name}: {draws.block_count} block of genes and {draws.family_count} families; "
            "intervals need two of each, and there are none."
        )
    single = sorted(
        {row.label for row in cell.rows if row.key.strategy is not None and len(row.replicates) < 3}
    )
    if single:
        notes.append(
            f"{cell.name}: fewer than three seeds of {', '.join(single)}: chance in training is not measured."
        )
    return notes


def _cohort_notes(cohort: Cohort) -> list[str]:
    contigs = sorted({gene.contig for gene in cohort.genes})
    variants = sum(len(cohort.variants(contig).position) for contig in contigs)
    notes = []
    if variants < MIN_VARIANTS:
        notes.append(f"{variants:,} variants: relatedness is judged from >= {MIN_VARIANTS:,} only.")
    return notes

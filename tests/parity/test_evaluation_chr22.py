"""Leak checks on the real people of chromosome 22: splits made to leak, and people in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.presets import preset_people
from glm2x.cohort.sources import CohortSources
from glm2x.cohort.split import Split
from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.check import Check
from glm2x.evaluation.checks import run_checks
from glm2x.evaluation.heritability import heritabilities
from glm2x.evaluation.signal_check import expression_follows_genotypes
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import row_labels
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix


@pytest.fixture(scope="module")
def cohort(shared_data: object, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    data = shared_data / "chr22"  # type: ignore[operator]
    sources = CohortSources(
        variants=data / "genotypes.chr22.vcf.gz",
        expression=data / "genes.50percent.chr22.bed.gz",
        individuals=data.parent / "demo/individuals.tsv",
        covariates=data / "genes.covariates.pc50.txt.gz",
    )
    folder = tmp_path_factory.mktemp("chr22") / "cohort"
    build_cohort(sources, folder)
    return Cohort.open(folder)


@pytest.fixture(scope="module")
def split(cohort: Cohort) -> Split:
    return make_split(cohort, preset_people(cohort, "s250"), window=64_000)


def checks(cohort: Cohort, split: Split, target: str) -> dict[str, Check]:
    """The checks of a table of zeros."""
    genes = (*split.seen, *split.unseen)
    people = (*split.train, *split.validation, *split.test)
    rows, columns = cohort.gene_index(genes), cohort.individual_index(people)
    frame = from_matrix(
        model="m",
        genes=genes,
        individuals=people,
        predicted=np.zeros((len(genes), len(people))),
        observed=cohort.expression[np.ix_(rows, columns)],
        gene_split=split.gene_split,
        individual_split=split.individual_split,
        seed=0,
    )
    predictions = Predictions(frame, PredictionMetadata(target=target, window=64_000))
    cells = make_cells([frame], row_labels(frame))
    return {
        check.name: check for check in run_checks(Table.of(predictions), cells, cohort=cohort, split=split)
    }


def test_a_random_gene_split_parted_relatives_and_residuals_of_everyone_are_flagged(
    cohort: Cohort, split: Split
) -> None:
    genes = [cohort.gene_ids[i] for i in np.random.default_rng(0).permutation(608)]
    learnt = [name for name in (*split.train, *split.test) if name != "HG00120"]
    learnt = ["HG00116", *(name for name in learnt if name != "HG00116")][:210]
    leaking = replace(
        split,
        train=tuple(learnt),
        test=tuple(name for name in (*split.train, *split.test) if name not in learnt),
        seen=tuple(genes[122:]),
        unseen=tuple(genes[:122]),
        reference_validation=(),
        reference_excluded=(),
    )
    found = checks(cohort, leaking, "residual-all")
    assert found["windows_overlap"].status == "fail"
    overlapping = int(found["windows_overlap"].detail.split()[0])
    assert overlapping / 122 == pytest.approx(0.905, abs=0.03)  # one draw of the protocol's 90.5 %
    assert found["relatives_across_sides"].status == "fail"
    assert "HG00116 and HG00120 (0.4" in found["relatives_across_sides"].detail
    assert found["transductive_target"].status == "warn"
    assert "fitted on everyone" in found["transductive_target"].detail


def test_expression_follows_genotype_and_in_another_order_does_not(cohort: Cohort) -> None:
    check = expression_follows_genotypes(cohort, 64_000)
    assert check.status == "pass", check.detail
    mixed = Cohort(
        cohort.folder,
        cohort.manifest,
        cohort.genes,
        cohort.people,
        cohort.expression[:, np.random.default_rng(0).permutation(358)],
        cohort.covariate_names,
        cohort.covariates,
    )
    assert expression_follows_genotypes(mixed, 64_000).status in ("warn", "not run")
    turned = Cohort(
        cohort.folder,
        cohort.manifest,
        cohort.genes,
        cohort.people,
        cohort.expression[:, ::-1],
        cohort.covariate_names,
        cohort.covariates,
    )
    check = expression_follows_genotypes(turned, 64_000)
    assert check.status == "fail"
    assert "people turned round" in check.detail


def test_the_four_genes_with_a_strong_signal_are_heritable(cohort: Cohort, split: Split) -> None:
    genes = ["ENSG00000215513", "ENSG00000206176", "ENSG00000128185", "ENSG00000268292"]
    found = heritabilities(cohort, split, np.log2(cohort.expression + 1), genes, 64_000)
    assert (found.p[:2] < 1e-10).all()
    assert (found.p < 0.05).all()
    assert found.people == 250

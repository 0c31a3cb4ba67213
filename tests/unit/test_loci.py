"""Windows of single genes: what evaluation writes of them, countable by hand, and how the page draws it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from evaluation_fakes import EXPRESSION, G1, GENES, PEOPLE, TEST, make_cohort, make_split, make_table

from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError, UsageError
from glm2x.evaluation.evaluate import evaluate
from glm2x.evaluation.loci import DRAWN, SCHEMA, correlations
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.predictions import PredictionMetadata, Predictions
from glm2x.report.loci import read_loci
from glm2x.report.sections.loci import PATTERNS, carriers
from report_folder import HOSTILE, write_folder
from report_page import page_of

PLACES = (5_000, 9_990, 31_000)  # the first two in the window of G1, the last in that of g2


def cohort_of(carried: np.ndarray, unphased: np.ndarray | None = None) -> Cohort:
    """A cohort whose contig 1 has a variant at each of `PLACES`; bool [3, 2 * people]."""
    cohort = make_cohort()
    variants = [(place, "A", "G") for place in PLACES]
    cohort._variants["1"] = PhasedVariants.of("1", variants, carried, unphased)
    cohort.manifest["counts"]["records"] = {"missing_genotypes": 7}
    return cohort


def drawn_at_random() -> np.ndarray:
    return np.random.default_rng(3).random((3, 2 * len(PEOPLE))) < 0.5


def tables(cohort: Cohort, factor: float = 1.0) -> Predictions:
    """A model that is right in G1 and turned around in g2, and a ridge of noise."""
    split = make_split(cohort)
    right = make_table(split, "model").with_columns(
        predicted=pl.when(pl.col("gene") == G1)
        .then(pl.col("observed"))
        .otherwise(-factor * pl.col("observed"))
    )
    noise = np.random.default_rng(1).normal(size=right.height)
    ridge = make_table(split, "ridge").with_columns(predicted=pl.Series(noise))
    return Predictions(pl.concat([right, ridge]), PredictionMetadata(target="log", window=20_000))


def evaluated(folder: Path, cohort: Cohort, *names: str) -> pl.DataFrame:
    split = make_split(cohort)
    evaluate(tables(cohort), folder / "out", cohort, split, loci=names, draws=20, permutations=20)
    return pl.read_parquet(folder / "out/loci.parquet")


def test_the_rule_takes_the_largest_r_and_the_largest_differences(tmp_path: Path) -> None:
    frame = evaluated(tmp_path, cohort_of(drawn_at_random()))
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame["gene"].to_list() == [G1, "g2"]
    assert frame["why"].to_list() == ["largest r, most above ridge", "second largest r, most below ridge"]
    assert frame["models"].to_list() == [["model", "ridge"]] * 2


def test_a_window_holds_its_variants_in_the_direction_of_the_gene(tmp_path: Path) -> None:
    carried = drawn_at_random()
    plus, minus = evaluated(tmp_path, cohort_of(carried)).iter_rows(named=True)
    assert [(v["position"], v["distance"]) for v in plus["variants"]] == [(5_000, -5_000), (9_990, -10)]
    assert [(v["position"], v["distance"]) for v in minus["variants"]] == [(31_000, -1_000)]  # on -
    test = [PEOPLE.index(name) for name in TEST]
    dosage = carried[:, 0::2].astype(int) + carried[:, 1::2]
    first = plus["variants"][0]
    assert (first["ref"], first["alt"], first["drawn"]) == ("A", "G", True)
    assert first["frequency"] == pytest.approx(dosage[0, test].mean() / 2)
    expected = np.corrcoef(dosage[0, test], EXPRESSION[0, test])[0, 1]
    assert first["observed"] == pytest.approx(expected)
    assert first["predicted"][0] == pytest.approx(expected)  # the model predicts what was measured
    turned = minus["variants"][0]
    assert turned["predicted"][0] == pytest.approx(-turned["observed"])


def test_haplotypes_are_counted_among_the_people_shown(tmp_path: Path) -> None:
    carried = np.zeros((3, 2 * len(PEOPLE)), dtype=bool)
    p14 = 2 * PEOPLE.index("p14")
    carried[0, p14] = carried[1, p14 + 1] = carried[0, p14 + 2] = True  # p14: GA and AG; p15: GA and AA
    plus = next(evaluated(tmp_path, cohort_of(carried), G1).iter_rows(named=True))
    found = {h["alleles"]: h["copies"] for h in plus["haplotypes"]}
    assert found == {"00": 17, "10": 2, "01": 1}
    names = [h["alleles"] for h in plus["haplotypes"]]
    assert [names[h] for h in plus["people"][0]["haplotypes"]] == ["10", "01"]
    assert [names[h] for h in plus["people"][1]["haplotypes"]] == ["10", "00"]
    assert [p["observed"] for p in plus["people"]] == pytest.approx(EXPRESSION[0, 14:].tolist())
    assert (plus["people_left_out"], plus["missing_genotypes"]) == (0, 7)


def test_an_unphased_heterozygote_is_n_on_both_haplotypes(tmp_path: Path) -> None:
    unphased = np.zeros((3, 2 * len(PEOPLE)), dtype=bool)
    p14 = 2 * PEOPLE.index("p14")
    unphased[0, p14 : p14 + 2] = True
    carried = np.zeros_like(unphased)
    carried[1, p14 + 4] = True
    plus = next(evaluated(tmp_path, cohort_of(carried, unphased), G1).iter_rows(named=True))
    assert {h["alleles"]: h["copies"] for h in plus["haplotypes"]} == {"N0": 2, "01": 1, "00": 17}
    assert plus["variants"][0]["frequency"] == pytest.approx(1 / 20)  # one dose in ten people


def test_people_without_a_measurement_are_left_out_and_counted(tmp_path: Path) -> None:
    cohort = cohort_of(drawn_at_random())
    cohort.expression = EXPRESSION.copy()
    cohort.expression[0, PEOPLE.index("p20")] = np.nan
    table = tables(cohort)
    of_p20 = (pl.col("individual").cast(pl.String) == "p20") & (pl.col("gene").cast(pl.String) == G1)
    gone = table.frame.with_columns(observed=pl.when(of_p20).then(None).otherwise("observed"))
    split = make_split(cohort)
    evaluate(Predictions(gone, table.metadata), tmp_path / "out", cohort, split, draws=20, permutations=20)
    plus = pl.read_parquet(tmp_path / "out/loci.parquet").row(0, named=True)
    assert (len(plus["people"]), plus["people_left_out"]) == (len(TEST) - 1, 1)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["g9"], "g9, which is not among the evaluated genes"),
        (["g3"], "g3, which is not among the evaluated genes"),  # it is unseen: in another cell
        ([G1] * 21, "too many genes"),
    ],
)
def test_genes_that_cannot_be_shown_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        evaluated(tmp_path, cohort_of(drawn_at_random()), *names)
    assert not (tmp_path / "out").exists()


def test_genes_that_are_named_come_first_with_or_without_version(tmp_path: Path) -> None:
    frame = evaluated(tmp_path, cohort_of(drawn_at_random()), "g2", "ENSG00000000001")
    assert frame["gene"].to_list() == ["g2", G1]


def test_without_a_cohort_or_variants_there_is_no_file(tmp_path: Path) -> None:
    table, cohort = tables(make_cohort()), make_cohort()
    options = {"draws": 20, "permutations": 20}
    evaluate(table, tmp_path / "alone", None, make_split(), **options)  # type: ignore[arg-type]
    evaluate(table, tmp_path / "bare", cohort, make_split(cohort), **options)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*/loci.parquet"))
    with pytest.raises(UsageError, match="needs the genotypes of a cohort"):
        evaluate(table, tmp_path / "named", None, make_split(), loci=[G1])
    with pytest.raises(UsageError, match="no variants in the cohort"):
        evaluate(table, tmp_path / "named", cohort, make_split(cohort), loci=[G1])


def test_a_correlation_is_not_defined_where_nothing_varies() -> None:
    dosage = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    found = correlations(dosage, np.array([1.0, 2.0, 3.0]))
    assert found[0] == pytest.approx(1)
    assert np.isnan(found[1])
    assert np.isnan(correlations(dosage, np.full(3, 5.0))).all()
    assert np.isnan(correlations(dosage[:2], np.array([1.0, 2.0]))).all()


def write_loci(folder: Path, *, variants: int, people: int, genes: int = 1, name: str = "gene") -> Path:
    """Write a loci.parquet of a large window, with a few N, beside an evaluation."""
    random = np.random.default_rng(0)
    drawn = min(variants, DRAWN)
    place = np.sort(random.integers(0, 196_608, variants))
    alleles = random.random((2 * people, drawn)) < 0.4
    text = ["".join("N" if random.random() < 0.01 else str(int(a)) for a in row) for row in alleles]
    line = {
        "gene": name, "why": "named", "contig": "1", "tss": 98_304, "strand": "-", "window": 196_608,
        "models": ["onehot reference-then-personal", "ridge"],
        "variants": [
            {
                "position": int(p), "ref": "A", "alt": "C", "distance": 98_304 - int(p), "frequency": 0.4,
                "observed": random.uniform(-0.6, 0.6), "predicted": [random.uniform(-1, 1), None],
                "drawn": v < drawn,
            }
            for v, p in enumerate(place)
        ],
        "haplotypes": [{"copies": 1, "alleles": t} for t in text],
        "people": [
            {"haplotypes": [2 * p, 2 * p + 1], "observed": random.normal(), "predicted": [float(p), 0.0]}
            for p in range(people)
        ],
        "people_left_out": 3, "missing_genotypes": 0,
    }  # fmt: skip
    pl.DataFrame([line] * genes, schema=SCHEMA).write_parquet(folder / "loci.parquet")
    return folder


def test_a_large_window_stays_light_and_says_what_is_left_out(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    without = len(page_of(folder).html)
    write_loci(folder, variants=2_000, people=500)
    page = page_of(folder, force=True)
    assert len(page.html) - without < 150_000
    assert "the 300 of 2,000 variants with the largest |r| of each panel" in page.text
    assert f"the {PATTERNS} most frequent patterns" in page.text
    assert "1,000 copies" in page.text
    assert "3 people of the cell without measurement" in page.text
    assert "null: the same for everybody" in page.html


def test_carriers_have_the_means_of_who_carries(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    write_loci(folder, variants=2, people=2)
    frame = pl.read_parquet(folder / "loci.parquet")
    line = frame.row(0, named=True) | {
        "haplotypes": [{"copies": 3, "alleles": "00"}, {"copies": 1, "alleles": "1N"}],
        "people": [
            {"haplotypes": [0, 0], "observed": 1.0, "predicted": [10.0, 0.0]},
            {"haplotypes": [0, 1], "observed": 4.0, "predicted": [40.0, 0.0]},
        ],
    }
    pl.DataFrame([line], schema=SCHEMA).write_parquet(folder / "loci.parquet")
    (locus,) = read_loci(folder)
    found = carriers(locus)
    assert found.copies.tolist() == [1, 3]  # the higher predicted on top
    assert found.observed.tolist() == [4.0, (1 + 1 + 4) / 3]
    assert found.predicted.tolist() == [40.0, 20.0]
    assert np.isnan(found.error[0])  # one person
    assert found.error[1] == pytest.approx(np.std([1, 4], ddof=1) / np.sqrt(2))
    assert (np.diff(locus.distance[found.column]) >= 0).all()  # along the gene, though it is on -


def test_a_gene_of_any_name_is_escaped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    write_loci(folder, variants=5, people=4, name=HOSTILE)
    page = page_of(folder)
    assert page.elements["script"] == 1
    assert "<script>alert" not in page.html


def test_names_in_several_figures_do_not_collide(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    page = page_of(write_loci(folder, variants=60, people=30, genes=3))
    assert len(page.ids) == len(set(page.ids))
    assert page.references <= set(page.ids)
    assert len(re.findall(r'<figure class="locus">', page.html)) == 3


@pytest.mark.parametrize("change", ["bytes", "pair", "allele", "column"])
def test_a_damaged_file_is_named(tmp_path: Path, change: str) -> None:
    folder = write_loci(write_folder(tmp_path / "evaluation", genes=4, people=20), variants=5, people=4)
    path = folder / "loci.parquet"
    frame = pl.read_parquet(path)
    if change == "bytes":
        path.write_bytes(b"PAR1" + bytes(100))
    elif change == "column":
        frame.drop("variants").write_parquet(path)
    else:
        line = frame.row(0, named=True)
        if change == "pair":
            line["people"][0]["haplotypes"] = [0, 99]
        else:
            line["haplotypes"][0]["alleles"] = "0X010"
        pl.DataFrame([line], schema=SCHEMA).write_parquet(path)
    with pytest.raises(DataError, match=r"loci\.parquet"):
        page_of(folder)


def test_the_genes_are_those_of_the_fakes() -> None:
    assert [gene.strand for gene in GENES[:2]] == ["+", "-"]  # on which the cases above rest

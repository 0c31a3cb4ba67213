"""The parts of the report: numbers in words, which row is what, figures as inline SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest

from glm2x.report.figures.colours import Look
from glm2x.report.figures.curves import loss_curves
from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.figures.genes import extremes, gene_scatter
from glm2x.report.figures.people import observed_panel, own_span
from glm2x.report.figures.style import MANY_POINTS
from glm2x.report.format import (
    base_pairs,
    clean,
    count,
    counted,
    duration,
    interval,
    join_words,
    number,
    p_value,
    percent,
    shorten,
)
from glm2x.report.roles import arrange, followed, words

BLUE = Look("#0072b2", "o")


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (number(0.1), "0.100"),
        (number(-0.0126), "−0.013"),
        (number(-0.0001), "0.000"),
        (number(0.5, 1, signed=True), "+0.5"),
        (number(None), "–"),
        (number(float("nan")), "–"),
        (interval((-0.01, 0.02)), "−0.010 to 0.020"),
        (interval((None, 0.02)), "–"),
        (interval(None), "–"),
        (percent(0.126), "13\u00a0%"),
        (percent(None), "–"),
        (count(12345), "12,345"),
        (counted(1, "person", "people"), "1 person"),
        (counted(1000, "gene"), "1,000 genes"),
        (p_value(0.0004), "<\u00a00.001"),
        (p_value(0.25), "0.250"),
        (duration(3.21), "3.2 s"),
        (duration(41), "41 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 05 min"),
        (base_pairs(64_000), "64 kb"),
        (base_pairs(49_152), "49,152 bp"),
        (base_pairs(None), "–"),
        (join_words(["a", "b", "c"]), "a, b and c"),
        (clean(" a\n\u202eb\x00 "), "a b"),
        (shorten("abcdefghij", 7), "abcd…ij"),
        (words("elastic-net"), "elastic net"),
        (words("gblup"), "GBLUP"),
    ],
)
def test_how_a_value_is_written(got: str, wanted: str) -> None:
    assert got == wanted


def row(model: str, strategy: str | None = None, people: int | None = None) -> dict[str, object]:
    label = " ".join(str(part) for part in (model, strategy, people) if part)
    return {"label": label, "model": model, "strategy": strategy, "train_individuals": people}


def test_models_come_first_by_strategy_then_reference_then_baselines() -> None:
    given = [
        row("training-mean"), row("ridge"), row("a", "reference"), row("b", "personal"), row("theirs"),
        row("a", "reference-then-personal", 20), row("a", "reference-then-personal", 50),
    ]  # fmt: skip
    rows = arrange(given)
    assert [r.label for r in rows] == [
        "a reference-then-personal 50", "a reference-then-personal 20", "b personal", "theirs",
        "a reference", "ridge", "training-mean",
    ]  # fmt: skip
    assert [r.role for r in rows] == ["model"] * 4 + ["reference"] + ["baseline"] * 2
    assert followed(rows) == rows[0]
    assert followed(rows[5:]) is None


def test_a_baseline_looks_the_same_whatever_is_beside_it() -> None:
    alone = arrange([row("ridge")])[0]
    among = arrange([row("gblup"), row("a"), row("ridge")])
    assert alone.look == among[1].look
    assert len({r.look for r in among}) == 3


def test_extremes_are_the_largest_of_each_and_the_most_different() -> None:
    x = np.array([0.0, 0.9, 0.5, 0.2])
    y = np.array([0.1, 0.5, 0.8, 0.2])
    assert extremes(x, y, 3) == [2, 1, 0]
    assert extremes(np.array([]), np.array([])) == []


def test_the_span_of_a_panel_holds_all_of_its_values() -> None:
    # the middle of the observed is 7, the farthest value 10: 2 x 3 and a tenth
    assert own_span(np.array([5.0, 9.0]), np.array([7.0, 10.0])) == pytest.approx(6.6)
    assert own_span(np.array([2.0, 2.0]), np.array([2.0, 2.0])) == 1.0


def scatter(points: int, name: str) -> str:
    values = np.linspace(-0.2, 0.8, points)
    return gene_scatter(
        values, values[::-1].copy(), [f"<g{i}>&" for i in range(points)], values < 0,
        x_label="$\\bad{", y_label="b\n漢", look=BLUE, name=name, alt='a "b" <c>',
    ).svg  # fmt: skip


def test_a_figure_keeps_text_as_escaped_text_and_follows_the_page() -> None:
    svg = scatter(5, "one")
    assert "&lt;g4&gt;&amp;" in svg
    assert "$\\bad{" in svg
    assert "b 漢" in svg
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in svg
    assert "var(--ink)" in svg
    assert "#1b1e23" not in svg
    assert not re.search(r"https?://(?!www\.w3\.org/)", svg)


def test_ids_differ_between_figures_and_resolve_within_one() -> None:
    one, two = scatter(5, "one"), scatter(5, "two")
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"', one)) | set(re.findall(r"url\(#([^)]+)\)", one))
    assert used == ids[0]


def test_many_points_are_drawn_as_a_picture_inside_the_figure() -> None:
    svg = scatter(MANY_POINTS + 500, "many")
    assert "data:image/png;base64," in svg
    assert len(svg) < 400_000


def test_a_forest_row_without_interval_and_many_rows_are_drawn() -> None:
    rows = [ForestRow(f"row {i}", 0.1 * i, None if i == 0 else 0.0, 0.5, BLUE) for i in range(12)]
    svg = forest(rows, x_label="mean r", name="f", alt="rows").svg
    assert all(f">row {i}<" in svg for i in range(12))
    assert ">1.100<" in svg


def test_a_flat_panel_and_a_phase_without_validation_are_drawn() -> None:
    flat = np.full(3, 2.0)
    panel = observed_panel(
        flat, flat, gene="G", r=0.0, span=1.0, unit="u", look=BLUE, name="p", alt="flat"
    ).svg
    assert "r = 0.000" in panel
    curve = loss_curves([1, 2], [0.5, 0.4], [None, None], chosen=None, name="c", alt="loss").svg
    assert ">training<" in curve
    assert ">validation<" not in curve


def test_a_very_long_name_is_cut_in_sentences_but_keeps_its_label() -> None:
    long = arrange([row("x" * 200)])[0]
    assert len(long.words) == 60
    assert len(long.label) == 200

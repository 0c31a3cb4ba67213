"""What the page shows gene by gene: the two figures across genes, the panels of people, the long table."""

from __future__ import annotations

import numpy as np
import polars as pl

from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.figures.genes import gene_scatter
from glm2x.report.figures.heritability import heritability_scatter
from glm2x.report.figures.people import common_span, observed_panel
from glm2x.report.figures.style import Picture
from glm2x.report.format import clean, count, counted, is_number, number, shorten
from glm2x.report.parts import Cell, Column, Missing, Plate, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import RIVALS, Row, figure_names

MOST_GENES = 1000
"""The long table holds at most this many genes; what it leaves out it says."""

_EVALUATE = "glm2x evaluate PREDICTIONS... --out DIR --force"


def gene_plates(results: Results, follow: Row | None) -> tuple[list[Plate], list[Missing]]:
    """Return the figures across genes: r against a linear model, and mean r of every row."""
    plates, missing = [], []
    table = results.main_genes()
    rival = None if follow is None else next(filter(None, (results.rival(m, follow) for m in RIVALS)), None)
    if table is None:
        missing.append(
            Missing(
                "per_gene.parquet is missing, so there are no figures of single genes. To write it:",
                _EVALUATE,
            )
        )
    elif follow is None:
        missing.append(Missing("There is no model under test to draw gene by gene against a linear model."))
    elif rival is None:
        missing.append(Missing("There is no elastic net, ridge or GBLUP to draw the model against."))
    else:
        plate = _scatter(table, follow, rival)
        plates += [plate] if plate else []
        if not plate:
            missing.append(
                Missing(
                    "No gene has an r in both the model and the linear model, so they are not drawn "
                    "against one another."
                )
            )
    plates += [plate for plate in (_heritability(results, follow), _forest(results)) if plate]
    return plates, missing


def _heritability(results: Results, follow: Row | None) -> Plate | None:
    """Return r against sqrt(h2) of the followed row, else of the first; None where h2 is not known."""
    table = results.main_genes()
    row = follow or next(iter(results.shown_rows), None)
    if table is None or row is None or not {"h2", "accuracy"} <= set(table.columns):
        return None
    known = table.filter(
        pl.col("label") == row.label, pl.col("pearson").is_finite(), pl.col("h2").is_finite()
    )
    if known.height == 0:
        return None
    root = np.sqrt(np.clip(known["h2"].to_numpy().astype(np.float64), 0, 1))
    significant = known["accuracy"].is_not_null().to_numpy().astype(np.bool_)
    genes, found = counted(known.height, "gene"), int(significant.sum())
    caption = (
        f"Each mark is one of {genes}: Pearson r of {row.words} against the square root of the share of "
        "variance that the window's variants explain in the people learnt from. Filled marks: "
        f"h² is above 0 at 5 % FDR ({count(found)}); for the open ones h² is mostly chance. What to see: "
        "how far filled marks lie below the line r = √h², about the most that a model of the window can "
        "reach; one above it is chance, or large effects of few variants, which this h² does not expect."
    )
    if found:
        median = float(np.median(known.filter(pl.col("accuracy").is_not_null())["accuracy"].to_numpy()))
        caption += f" Median of r / √h² over the filled ones: {number(median, 2)}."
    alt = (
        f"Scatter of r of {row.words} against the square root of h2 for {genes}, {found} with significant h2"
    )
    picture = heritability_scatter(
        root,
        known["pearson"].to_numpy().astype(np.float64),
        significant,
        label=row.name,
        look=row.look,
        name="heritability",
        alt=alt,
    )
    return Plate(
        picture,
        f"Heritability and r of {row.words}.",
        caption,
    )


def _scatter(table: pl.DataFrame, follow: Row, rival: Row) -> Plate | None:
    def part(row: Row, name: str) -> pl.DataFrame:
        found = table.filter(pl.col("label") == row.label, pl.col("pearson").is_finite())
        return found.select(
            "gene", pl.col("pearson").alias(name), pl.col("null").fill_null(False).alias(f"{name}_null")
        )

    both = part(follow, "y").join(part(rival, "x"), on="gene").sort("gene")
    if both.height == 0:
        return None
    x, y = both["x"].to_numpy().astype(np.float64), both["y"].to_numpy().astype(np.float64)
    null = (both["x_null"] | both["y_null"]).to_numpy().astype(np.bool_)
    above = int((y > x).sum())
    name, other = follow.words, rival.words
    names = figure_names([follow, rival])
    caption = (
        f"Each mark is one of {counted(both.height, 'gene')}: Pearson r across people of {name} "
        f"against {other}. "
        f"On the line both are equal; {name} is higher for {count(above)}. "
    )
    if null.any():
        caption += f"Open marks: {count(int(null.sum()))} with a null prediction in either, r = 0. "
    alt = f"Scatter of per-gene r, {name} against {other}; {name} higher for {above} of {both.height} genes"
    picture = gene_scatter(
        x,
        y,
        both["gene"].to_list(),
        null,
        x_label=names[1],
        y_label=names[0],
        look=follow.look,
        name="scatter",
        alt=alt,
    )
    return Plate(
        picture, f"{name} against {other}.", caption + "The largest and the most different are named."
    )


def _forest(results: Results) -> Plate | None:
    cell = results.cells.get(results.main_cell, {})
    rows = []
    known = [r for r in results.shown_rows if is_number(cell.get(r.label, {}).get("mean_pearson"))]
    for row, name in zip(known, figure_names(known), strict=True):
        metrics = cell[row.label]
        low, high = metrics.get("ci95_mean_pearson") or (None, None)
        rows.append(ForestRow(name, float(metrics["mean_pearson"]), low, high, row.look))
    if not rows:
        return None
    sizes = {cell[row.label].get("genes") for row in results.shown_rows if row.label in cell}
    size = sizes.pop() if len(sizes) == 1 else None
    genes = counted(int(size), "gene") if is_number(size) else "the genes of each row"
    caption = (
        f"Mean of per-gene Pearson r over {genes}, {cell_words(results.main_cell)}, with its 95 % interval "
        "(genes by block, people by family). Intervals of single rows say little about differences, "
        "because rows share genes and people: see the table of differences."
    )
    if len(results.shown_rows) < len(results.rows):
        caption += " Of each model that which learnt from most people: for the others see the few-shot curve."
    alt = "Mean r by row: " + "; ".join(f"{clean(r.label)} {number(r.mean)}" for r in rows)
    return Plate(forest(rows, name="forest", alt=alt), "Mean r of every row.", caption)


def people_panels(
    results: Results, follow: Row | None, unit: str
) -> tuple[list[Picture], str, list[Missing]]:
    """Return predicted against observed for the four genes with the largest r, a caption, what is missing."""
    if follow is None:
        return [], "", [Missing("There is no model under test whose predictions could be drawn.")]
    frame, table = results.predictions(follow), results.main_genes()
    if frame is None or table is None:
        return (
            [],
            "",
            [Missing("predictions.parquet or per_gene.parquet is missing. To write them:", _EVALUATE)],
        )
    ranked = table.filter(
        pl.col("label") == follow.label, pl.col("pearson").is_finite(), ~pl.col("null").fill_null(False)
    )
    best = ranked.sort("pearson", "gene", descending=[True, False]).head(4)["gene"].to_list()
    parts = {gene: frame.filter(pl.col("gene") == gene) for gene in best}
    parts = {gene: part for gene, part in parts.items() if part.height > 1}
    if not parts:
        return (
            [],
            "",
            [Missing("No gene has a prediction that differs between people, so there is nothing to draw.")],
        )
    values = {g: (p["observed"].to_numpy(), p["predicted"].to_numpy()) for g, p in parts.items()}
    span = common_span(list(values.values()))
    pictures = []
    for i, (gene, (observed, predicted)) in enumerate(values.items()):
        r = (
            float(np.corrcoef(observed, predicted)[0, 1])
            if observed.std() > 0 and predicted.std() > 0
            else 0.0
        )
        alt = (
            f"{clean(gene)}: predicted against observed expression of {observed.size} people, r = {number(r)}"
        )
        pictures.append(
            observed_panel(
                observed,
                predicted,
                gene=gene,
                r=r,
                span=span,
                unit=unit,
                look=follow.look,
                name=f"people{i}",
                alt=alt,
            )
        )
    sizes = sorted({v[0].size for v in values.values()})
    people = f"{count(sizes[0])}" if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    caption = (
        f"{follow.words}, {cell_words(results.main_cell)}: the {counted(len(values), 'gene')} "
        "with the largest r of "
        f"{count(ranked.height)}, so these are its best, not its typical ones. Each mark is one of "
        f"{people} people. "
        "All axes have the same length in expression units and are centred on the gene's own range; "
        "on the line "
        "predicted and observed are equal. A cloud flatter than the line predicts less difference "
        "between people than there is."
    )
    first = results.first_replicate(follow)
    if first:
        caption += f" Drawn, with its r, is {first}; the genes were chosen by their mean over all replicates."
    return pictures, caption, []


def gene_table(results: Results, follow: Row | None) -> tuple[Table | None, str, list[Missing]]:
    """Return r of every gene in every row, the model's largest first, a note, and what is missing."""
    table = results.main_genes()
    if table is None:
        return None, "", [Missing("per_gene.parquet is missing. To write it:", _EVALUATE)]
    rows = [row for row in results.shown_rows if row.label in set(table["label"])]
    if not rows:
        return None, "", [Missing("The evaluation holds no gene.", _EVALUATE)]
    lead = follow if follow in rows and follow is not None else rows[0]
    values = {
        (gene, label): (r, null)
        for gene, label, r, null in table.select("gene", "label", "pearson", "null").iter_rows()
    }
    people: dict[str, int] = {}
    if "individuals" in table.columns:
        people = dict(table.group_by("gene").agg(pl.col("individuals").max()).iter_rows())

    def first(gene: str) -> tuple[float, str]:
        r = values.get((gene, lead.label), (None, None))[0]
        return (-r if is_number(r) else np.inf), gene

    genes = sorted({gene for gene, _ in values}, key=first)
    body = tuple(
        TableRow(
            clean(gene),
            (_plain(people.get(gene)), *(_r(*values.get((gene, row.label), (None, None))) for row in rows)),
        )
        for gene in genes[:MOST_GENES]
    )
    columns = (Column("gene"), Column("people"), *(Column(shorten(clean(row.label), 40)) for row in rows))
    note = f"Pearson r across people in {cell_words(results.main_cell)}, by r of {lead.words}. "
    note += "“null” is the same prediction for everybody (r = 0); a dash: r is not defined. "
    note += "A column's head sorts by it. "
    if len(results.shown_rows) < len(results.rows):
        note += "Of each model in the few-shot curve only that which learnt from most people is here. "
    if len(genes) > MOST_GENES:
        note += f"The first {count(MOST_GENES)} of {count(len(genes))} genes; per_gene.parquet holds all. "
    shown = Table(
        f"Pearson r of {counted(len(body), 'gene')} in {counted(len(rows), 'row')}",
        columns,
        body,
        sortable=True,
        css="genes",
        sorted_by=2 + rows.index(lead),
    )
    return shown, note + "Spearman, R², slope, p and FDR are in per_gene.parquet.", []


def _plain(value: int | None) -> Cell:
    return Cell(count(value), sort="" if value is None else str(value))


def _r(r: float | None, null: bool | None) -> Cell:
    if null:
        return Cell("null", sort="0", css="null")
    return Cell(number(r), sort="" if not is_number(r) else f"{r:.6g}")

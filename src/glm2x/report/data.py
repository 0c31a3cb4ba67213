"""The numbers behind a table or a figure, and what their columns mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Data:
    """One table that is written beside the page.

    Attributes
    ----------
    name
        Its file without the ending; parts of a page that show the same numbers name the same file.
    what
        What one line of it is, in a sentence.
    frame
        Unrounded numbers under names of `COLUMNS`; null where a number is not defined.
    """

    name: str
    what: str
    frame: pl.DataFrame = field(compare=False)


_P = "p value; see docs/protocol.md for the test"
_CI = "bound of the 95 % confidence interval (two-way: genes by block, people by family)"

COLUMNS: Mapping[str, str] = {
    "a": "row from whose mean r that of b is taken",
    "a_better_share": "share of genes on which a is better (Williams test, 5 % FDR)",
    "accuracy": "r over the square root of h2, where h2 is significant",
    "b": "row that a is compared with",
    "b_better_share": "share of genes on which b is better (Williams test, 5 % FDR)",
    "cell": "which genes in which people",
    "check": "name of the leak check",
    "child_peak_bytes": "largest resident memory of the command's largest child process, bytes",
    "chosen": "whether the weights of this epoch were kept",
    "ci95_high": f"upper {_CI}",
    "ci95_low": f"lower {_CI}",
    "command": "command as typed, after glm2x",
    "contig": "chromosome or contig of the gene",
    "detail": "what was found",
    "device": "where models were computed",
    "difference": "mean r of a minus mean r of b, on the same genes and people",
    "difference_median_r2": "median over genes of R2 of people's differences from their gene's mean",
    "distance": "bp of a variant from the TSS, in the gene's direction",
    "draws": "draws of people to learn from",
    "epoch": "epoch, from 1",
    "fdr": "p under Benjamini-Hochberg over the genes",
    "followed": "whether the page follows this row",
    "frequency": "of the alternative allele among the people shown",
    "gene": "gene identifier as in the predictions",
    "gene_difference": "r of a minus r of b on this gene",
    "gene_mean_r2": "R2 of the genes' means over people, across genes",
    "genes": "number of genes",
    "h2": "share of variance that the window's variants explain in the training people (REML)",
    "h2_significant": "whether h2 is above 0 at 5 % FDR",
    "half_interval": "half the 95 % interval of the gene's difference (Williams test)",
    "heritable_genes": "number of genes whose h2 is significant",
    "highest": "highest mean r over seeds and draws",
    "individuals": "number of people",
    "lowest": "lowest mean r over seeds and draws",
    "mean_partial_pearson": "mean over genes of r after genotype PCs are regressed out of both",
    "mean_pearson": "Pearson r across people, mean over genes; a null prediction counts as 0",
    "mean_pearson_nonnull": "mean r over the genes whose prediction is not null",
    "mean_pearson_within_population": "mean over genes of r after each population's mean is taken off both",
    "mean_spearman": "Spearman rho across people, mean over genes",
    "median_accuracy": "median of r / sqrt(h2) over the genes whose h2 is significant",
    "median_pearson": "median r over genes",
    "median_r2": "median over genes of R2 against the gene's mean over training people",
    "median_slope": "median over genes of the slope of observed on predicted; 1 is calibrated",
    "model": "model",
    "null": "whether the prediction is the same for everybody",
    "null_share": "share of genes whose prediction is the same for everybody",
    "observed": "measured expression of one person in the target's unit; people are not named here",
    "observed_deviation": "mean over the bin of observed minus the gene's mean over training people",
    "observed_dosage_pearson": "r across test people of the variant's dosage with the measurements",
    "p": _P,
    "passes": "unique haplotypes that a model computed",
    "peak_bytes": "largest resident memory of the command's process, bytes",
    "pearson": "Pearson r across people; 0 where the prediction is null",
    "permutation_p": "one-sided p: mean r is no larger than with the test people permuted",
    "permutations": "number of permutations of the test people",
    "permuted_mean_pearson": "mean r with the test people permuted",
    "permuted_sd": "SD of that mean over permutations",
    "phase": "phase of the training",
    "population": "population",
    "predicted": "predicted expression of the same person in the target's unit",
    "predicted_deviation": "mean over the bin of predicted minus the gene's mean over training people",
    "predicted_dosage_pearson": "r across test people of the variant's dosage with the row's predictions",
    "reason": "why the gene is in neither set",
    "row": "row of the evaluation",
    "run": "run folder",
    "sd": "SD of mean r over seeds and draws",
    "sd_between_draws": "SD of mean r between draws of people",
    "sd_between_seeds": "SD of mean r between training seeds of a draw",
    "sd_draws": "SD of mean r over draws of people",
    "se": "standard error of observed_deviation",
    "seconds": "wall time",
    "seed": "seed of the training",
    "seeds": "number of training seeds times draws",
    "share_negative_significant": "share of genes with r < 0 at 5 % FDR",
    "share_significant": "share of genes with r > 0.1 at 5 % FDR",
    "side": "what is counted",
    "significant": "whether r > 0.1 at 5 % FDR",
    "slope_q25": "first quartile over genes of the slope of observed on predicted",
    "slope_q75": "third quartile over genes of that slope",
    "smallest_difference": "difference of mean r that the data show with 80 % power at a two-sided 5 %",
    "spearman_across_genes": "Spearman rho across genes, mean over people",
    "status": "result of the check: pass, warn, fail or not run",
    "strategy": "training strategy; empty for a baseline",
    "test": "number on the test side",
    "train_individuals": "number of people learnt from; empty where the predictions do not say",
    "train_loss": "training loss",
    "training": "number on the training side",
    "training_mean_spearman": "the same Spearman rho of each gene's mean over training people",
    "tss": "transcription start site, 0-based",
    "validation": "number on the validation side",
    "validation_loss": "validation loss",
    "validation_pearson": "validation r",
    "verdict": "better, worse or untold: the followed row against this one, by the interval",
    "windows": "windows that were asked for",
    "wrote": "what the command wrote first",
    "x_pearson": "r of the row on the horizontal axis",
    "x_row": "row on the horizontal axis",
    "y_pearson": "r of the row on the vertical axis",
    "y_row": "row on the vertical axis",
}
"""Every column that a table beside the page may have; a name means the same in all of them."""


def frame(lines: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return lines as a frame with the columns of `schema`; keys that a line lacks are null."""
    return pl.DataFrame([[line.get(name) for name in schema] for line in lines], dict(schema), orient="row")


def collect(value: Any) -> Iterator[Data]:
    """Yield the data of every table and figure in the variables of a section, however nested."""
    if isinstance(value, Data):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from collect(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from collect(inner)
    elif is_dataclass(value) and hasattr(value, "data"):
        for part in fields(value):
            yield from collect(getattr(value, part.name))

"""Training curves: loss of each phase of a run against the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from glm2x.report.figures.style import INK, MUTED, Picture, new_axes, style, to_picture

# Train and validation are told apart by dash and by place as well as by colour.
_TRAIN, _VALIDATION = "#8c939d", "#0072b2"


def loss_curves(
    epochs: Sequence[int],
    train: Sequence[float | None],
    validation: Sequence[float | None],
    *,
    chosen: int | None,
    name: str,
    alt: str,
) -> Picture:
    """Draw the training and validation loss of one phase, with the chosen epoch marked.

    Parameters
    ----------
    epochs, train, validation
        [epochs] as in `history.jsonl`; None where a loss was not recorded.
    chosen
        The epoch whose weights were kept, one of `epochs`; None when not known.
    """
    with style():
        figure, axes = new_axes(420, 270)
        for values, colour, dash, label in (
            (train, _TRAIN, "--", "training"),
            (validation, _VALIDATION, "-", "validation"),
        ):
            known = [
                (e, v) for e, v in zip(epochs, values, strict=True) if v is not None and math.isfinite(v)
            ]
            if known:
                axes.plot(
                    [e for e, _ in known],
                    [v for _, v in known],
                    color=colour,
                    linestyle=dash,
                    linewidth=1.8,
                    marker="o" if len(known) < 40 else None,
                    markersize=3.5,
                    label=label,
                )
        if chosen is not None:
            axes.axvline(chosen, color=MUTED, linewidth=0.9, dashes=(3, 3))
            value = dict(zip(epochs, validation, strict=True)).get(chosen)
            if value is not None and math.isfinite(value):
                axes.plot(
                    [chosen],
                    [value],
                    marker="o",
                    markersize=9,
                    mfc="none",
                    mec=INK,
                    mew=1.4,
                    label="chosen epoch",
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        axes.margins(y=0.12)
        axes.grid(axis="y")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best")
        return to_picture(figure, name=name, alt=alt)

"""The spec of the store that a model fills."""

from __future__ import annotations

import time

import torch

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.tiling import Strand, Tiling, choose_tiling, embed, require_strand
from glm2x.embeddings.spec import Device, Dtype, Keep, StoreSpec
from glm2x.errors import UsageError

PROBE_TOKENS = 1_024


def spec_of(
    backbone: str,
    model: LanguageModel,
    window: int,
    *,
    keep: Keep,
    bins: int | None,
    dtype: Dtype | None,
    strand: Strand,
    tile: int | None,
    overlap: int | None,
    device: Device,
) -> StoreSpec:
    """Return what a store is to hold, after what cannot be was refused.

    Parameters
    ----------
    dtype
        None: bf16 for tokens, fp32 for what is reduced.

    Raises
    ------
    UsageError
        Tiles or strands that the model cannot have, more bins than tokens, bins without a number, or
        a reduced store in bf16.
    """
    require_strand(model, window, strand)
    tiling = choose_tiling(model, window, tile, overlap)
    rows = rows_of(model.tokens(window), keep, bins)
    return StoreSpec(
        backbone=backbone,
        model=dict(model.spec),
        window=window,
        token_bp=model.token_bp,
        strand=strand,
        tiling=None if tiling is None else tiling.as_json(),
        keep=keep,
        rows=rows,
        width=model.width,
        dtype=dtype or ("bf16" if keep == "tokens" else "fp32"),
        device=device,
    )


def rows_of(tokens: int, keep: Keep, bins: int | None) -> int:
    """Return how many rows are kept of a window's tokens (`UsageError` for a wrong number of bins)."""
    if (keep == "bins") != (bins is not None):
        raise UsageError("--bins is how many bins --keep bins makes", do="give both, or neither")
    if bins is None:
        return tokens if keep == "tokens" else 1
    if not 1 <= bins <= tokens:
        raise UsageError("a window cannot be cut into so many bins", got=str(bins), wanted=f"1 to {tokens}")
    return bins


def seconds_a_window(model: LanguageModel, spec: StoreSpec, device: str, batch: int) -> float:
    """Return about how long a window takes, from a short one: the cost of a token is taken as constant.

    Attention over a long window costs more than that.
    """
    length = min(spec.window, PROBE_TOKENS * spec.token_bp, model.longest or spec.window)
    model.to(device)
    codes = torch.randint(0, 4, (batch, length), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    codes = codes.to(device)
    times = []
    for _ in range(2):  # the first one also pays for what is made once
        began = time.perf_counter()
        with torch.inference_mode():
            embed(model, codes, None, spec.strand).float().cpu()
        times.append(time.perf_counter() - began)
    covered = _covered(spec)
    return min(times) / batch * covered / length


def _covered(spec: StoreSpec) -> int:
    """Return how many base pairs go through the model for a window, what tiles share twice."""
    if spec.tiling is None:
        return spec.window
    tiling = Tiling(**spec.tiling)
    return len(tiling.starts(spec.window, spec.token_bp)) * tiling.tile

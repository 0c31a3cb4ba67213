"""Windows longer than a model takes, in tiles that overlap; and both strands of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from glm2x.backbones.language import LanguageModel, reverse_complement
from glm2x.errors import UsageError

Strand = Literal["gene", "both"]
OVERLAP_SHARE = 0.25  # of a tile, where nothing else is asked for


@dataclass(frozen=True)
class Tiling:
    """How a window is cut.

    Attributes
    ----------
    tile, overlap
        Base pairs of a tile, and of what two neighbours share; multiples of a token. Each token is taken
        from the tile in which it lies further from an edge that is not the window's own.
    """

    tile: int
    overlap: int

    def starts(self, window: int, token_bp: int) -> list[int]:
        """Return where the tiles of a window start, in bp, on the grid of tokens.

        The last ends with the window, shorter than the others by less than a token.
        """
        if window <= self.tile:
            return [0]
        last = -(-(window - self.tile) // token_bp) * token_bp
        return [*range(0, last, self.tile - self.overlap), last]

    def as_json(self) -> dict[str, int]:
        """Return it for a store's spec."""
        return asdict(self)


def choose_tiling(model: LanguageModel, window: int, tile: int | None, overlap: int | None) -> Tiling | None:
    """Return how a model's windows of `window` bp are cut; None: they go through whole.

    Parameters
    ----------
    tile, overlap
        As asked for; None: as long as the model takes, and a quarter of it, a token at least.

    Raises
    ------
    UsageError
        The tile is longer than the model takes, no multiple of a token, or not longer than the overlap.
    """
    unit = model.token_bp
    if tile is None:
        if model.longest is None or window <= model.longest:
            if overlap is not None:
                raise UsageError(
                    "--overlap is of tiles, and this window goes through whole", do="give --tile"
                )
            return None
        tile = model.longest // unit * unit
    if overlap is None:
        overlap = max(int(tile * OVERLAP_SHARE) // unit, 1) * unit if tile > unit else 0
    # a window that is shorter than the tile goes through whole, if the model takes it
    too_long = model.longest is not None and min(tile, window) > model.longest
    if tile >= window and not too_long:
        return None
    if too_long or tile <= 0 or tile % unit or overlap % unit or not 0 <= overlap < tile:
        longest = "" if model.longest is None else f", at most {model.longest:,} bp"
        raise UsageError(
            "the window cannot be cut into these tiles",
            got=f"--tile {tile} --overlap {overlap}, tokens of {unit} bp",
            wanted=f"tile and overlap multiples of {unit}, the overlap shorter than the tile{longest}",
        )
    return Tiling(tile, overlap)


def embed(model: LanguageModel, codes: Tensor, tiling: Tiling | None, strand: Strand) -> Tensor:
    """Return the tokens of windows, float [B, T, width], from codes, uint8 [B, L].

    Parameters
    ----------
    strand
        ``gene``: as they are, in the gene's direction; ``both``: the mean with the tokens of the reverse
        complement, put in the same order.
    """
    tokens = _tiled(model, codes, tiling)
    if strand == "gene":
        return tokens
    # a mean of two bfloat16 is seldom one
    return (tokens.float() + _tiled(model, reverse_complement(codes), tiling).flip(1).float()) / 2


def require_strand(model: LanguageModel, window: int, strand: Strand) -> None:
    """Refuse both strands where their tokens cover different bases (`UsageError`)."""
    if strand == "both" and window % model.token_bp:
        raise UsageError(
            "the tokens of the two strands do not cover the same bases",
            where="--strand both",
            got=f"a window of {window:,} bp and tokens of {model.token_bp} bp",
            wanted=f"a window that is a multiple of {model.token_bp} bp",
        )


def _tiled(model: LanguageModel, codes: Tensor, tiling: Tiling | None) -> Tensor:
    if tiling is None:
        return model(codes)  # type: ignore[no-any-return]
    unit, window = model.token_bp, codes.shape[1]
    starts = tiling.starts(window, unit)
    parts = []
    for number, start in enumerate(starts):
        tokens = model(codes[:, start : start + tiling.tile])
        # neighbours meet in the middle of what they share
        first = 0 if number == 0 else (starts[number - 1] + tiling.tile - start) // unit // 2
        after = starts[number + 1] if number + 1 < len(starts) else None
        shared = 0 if after is None else (start + tiling.tile - after) // unit
        parts.append(tokens[:, first : tokens.shape[1] - (shared - shared // 2)])
    return torch.cat(parts, dim=1)

"""Files of precomputed embeddings: all of one shape and type, and the same where people share a haplotype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glm2x.backbones.weights import read_tensor
from glm2x.cohort.cohort import Cohort
from glm2x.embeddings.alike import TOLERANCE, is_finite, largest_difference
from glm2x.embeddings.layout import REFERENCE_HAPLOTYPE, Haplotype
from glm2x.embeddings.shard import DTYPES
from glm2x.embeddings.spec import Device, Dtype, StoreSpec
from glm2x.errors import DataError

AGAIN = "make it again, or leave its gene or person out with --genes or --individuals"
OTHER = (
    "give the --backbone and --window that it was made with; published windows that reach beyond a contig "
    "are shorter: leave their genes out with --genes"
)


@dataclass(frozen=True)
class Origin:
    """What is known of embeddings that were computed elsewhere.

    Attributes
    ----------
    backbone, layer, source
        As the user says; they become part of the store's spec.
    window, token_bp
        Base pairs of a window and of a token.
    width
        Channels; 0 where the files say.
    device
        The kind that computed them.
    """

    backbone: str
    window: int
    token_bp: int
    width: int = 0
    layer: int | str | None = None
    source: str = "published layout"
    device: Device = "cuda"

    @property
    def tokens(self) -> int:
        """Tokens of a window."""
        return -(-self.window // self.token_bp)

    def spec(self, dtype: Dtype, width: int) -> StoreSpec:
        """Return the spec of the store that holds them."""
        model: dict[str, Any] = {
            "architecture": {},
            "layer": self.layer,
            "weights": "imported",
            "revision": None,
            "weights_digest": None,
            "precision": None,
            "source": self.source,
        }
        return StoreSpec(
            backbone=self.backbone,
            model=model,
            window=self.window,
            token_bp=self.token_bp,
            strand="gene",
            tiling=None,
            keep="tokens",
            rows=self.tokens,
            width=width,
            dtype=dtype,
            device=self.device,
        )


@dataclass(frozen=True)
class Source:
    """A file and whose it is."""

    haplotype: Haplotype
    path: Path


@dataclass
class Compared:
    """What was found out about files that should hold the same.

    Attributes
    ----------
    files, difference, differing
        Files of haplotypes that had been read from another one; the largest difference (`alike`), and the
        file that has it.
    trimmed, trimmed_difference
        Reference files of windows one base longer; the largest difference to a person's of the same
        haplotype, which is not judged.
    """

    files: int = 0
    difference: float = 0.0
    differing: str = ""
    trimmed: int = 0
    trimmed_difference: float = 0.0


class Reader:
    """Reads files of one shape and type.

    Parameters
    ----------
    first
        The file whose type and width all others must have.

    Attributes
    ----------
    spec
        Of the store that holds them.
    compared
        What was found out so far.
    """

    def __init__(self, origin: Origin, cohort: Cohort, first: Source) -> None:
        self._origin, self._cohort = origin, cohort
        self._first = first.path
        self.compared = Compared()
        tensor = read_tensor(first.path)
        dtypes: dict[torch.dtype, Dtype] = {DTYPES["bf16"]: "bf16", DTYPES["fp32"]: "fp32"}
        width = origin.width or (tensor.shape[-1] if tensor.ndim else 0)
        if tensor.dtype not in dtypes:
            raise self._refusal("have another type", first, tensor.dtype, "torch.bfloat16 or torch.float32")
        if not width:
            raise self._misshapen(first, tensor, "C")
        self.spec = origin.spec(dtypes[tensor.dtype], width)

    def read(self, sources: Sequence[Source]) -> Tensor:
        """Return the embeddings of a haplotype, [tokens, width], from the first of its files.

        Raises
        ------
        DataError
            A file has another shape or type, or one differs from the first.
        """
        kept, trimmed = self._tokens(sources[0])
        found = self.compared
        found.trimmed += trimmed
        for source in sources[1:]:
            tokens, trimmed = self._tokens(source)
            difference = largest_difference(kept, tokens)
            found.files += 1
            if trimmed:
                # its model has seen one base more, so that it need not be the same
                found.trimmed += 1
                found.trimmed_difference = max(found.trimmed_difference, difference)
                continue
            if difference > TOLERANCE:
                raise DataError(
                    "two haplotypes that are the same in the cohort have different embeddings",
                    where=f"{sources[0].path} and {source.path}",
                    got=f"{sources[0].haplotype} and {source.haplotype} differ by {difference:.3g}",
                    wanted=f"at most {TOLERANCE:g} standard deviations of the channels, at every token",
                    do="give the cohort of the genotypes, and the --window, that the files were made of",
                )
            if difference > found.difference:
                found.difference, found.differing = difference, str(source.path)
        return kept

    def _tokens(self, source: Source) -> tuple[Tensor, bool]:
        """Return a file's tokens, [tokens, width], and whether a base too many was left out."""
        tensor = read_tensor(source.path)
        if tensor.dtype is not DTYPES[self.spec.dtype]:
            wanted = f"{DTYPES[self.spec.dtype]}, as {self._first}"
            raise self._refusal("have another type", source, tensor.dtype, wanted)
        tokens = tensor[0] if tensor.ndim == 3 and tensor.shape[0] == 1 else tensor
        rows = self._origin.tokens
        longer = (
            source.haplotype.number == REFERENCE_HAPLOTYPE
            and self._origin.token_bp == 1
            and tokens.shape == (rows + 1, self.spec.width)
        )
        if longer:
            # the base behind the window on the forward strand, which comes first on the other one
            forward = self._cohort.gene(source.haplotype.gene).strand == "+"
            tokens = tokens[:rows] if forward else tokens[1:]
        if tokens.shape != (rows, self.spec.width):
            raise self._misshapen(source, tensor, self.spec.width)
        if not is_finite(tokens):
            raise self._refusal("hold no numbers", source, "NaN or infinite values", "finite values")
        return tokens, longer

    def _misshapen(self, source: Source, tensor: Tensor, width: int | str) -> DataError:
        wanted = f"[1, {self._origin.tokens}, {width}] for a window of {self._origin.window:,} bp"
        return self._refusal("have another shape", source, list(tensor.shape), wanted, OTHER)

    def _refusal(self, what: str, source: Source, got: object, wanted: str, do: str = AGAIN) -> DataError:
        return DataError(
            f"precomputed embeddings {what}", where=str(source.path), got=str(got), wanted=wanted, do=do
        )

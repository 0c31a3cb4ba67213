"""Fixed random vectors of 6-mers: a language model that has learnt nothing, to say what pretraining adds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x.backbones.language import LanguageModel
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError

K = 6
WIDTH = 64  # the bits of a word of the generator
SEED = 20250709  # the published benchmark's preprint
N = 4


class Kmer(LanguageModel):
    """Each stretch of 6 bp is one of 4,096 vectors of 64 random signs.

    The stretches follow each other from the window's first base without overlap, as the published models
    of 6-mers cut DNA: a single-nucleotide variant changes one token, and 64 kb take 1.4 MB in bfloat16. With
    a token for each base the same numbers would be stored six times.

    A stretch with N is the mean over all 6-mers that it can be: what it is expected to be when nothing is
    known of the base. Zeros would say the same of a stretch with one N and of one with six. The last token of
    a window that is no multiple of 6 bp counts the bases that are lacking as N.

    All numbers are exact: signs are so in bfloat16, and the means, sums of signs over powers of four, in
    float32. They come from the words of NumPy's Philox generator, whose stream is fixed for all versions:
    channel j of 6-mer i (in base 4, A C G T = 0 1 2 3, the first base leading) is bit j of word i, 1 as +1
    and 0 as -1.

    Notes
    -----
    Method: random projection with signs, Achlioptas, J. Comput. Syst. Sci. 66, 671 (2003), of the counts of
    6-mers.
    """

    width = WIDTH
    token_bp = K
    longest = None
    windows_at_once = 64
    vectors: Tensor
    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(kmer_vectors()), persistent=False)
        self.register_buffer("places", 5 ** torch.arange(K - 1, -1, -1), persistent=False)
        self.spec = {
            "architecture": {"k": K, "width": WIDTH, "seed": SEED},
            "layer": None,
            "weights": None,
            "revision": None,
            "weights_digest": None,
            "precision": "float32",
        }

    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float32 [B, ceil(L / 6), 64], from codes, uint8 [B, L]."""
        lacking = -codes.shape[1] % K
        stretches = torch.nn.functional.pad(codes, (0, lacking), value=N).reshape(len(codes), -1, K)
        return self.vectors[(stretches * self.places).sum(-1)]


def kmer_vectors() -> NDArray[np.float32]:
    """Return the vector of every stretch of 6 letters, float32 [5 ** 6, 64].

    Rows are numbered in base 5, A C G T N = 0 1 2 3 4, the first base leading.
    """
    words = np.random.Philox(key=SEED).random_raw(4**K)
    bits = words[:, None] >> np.arange(WIDTH, dtype=np.uint64) & np.uint64(1)
    table: NDArray[np.float32] = (bits.astype(np.float32) * 2 - 1).reshape(*(4,) * K, WIDTH)
    for place in range(K):
        table = np.concatenate([table, table.mean(axis=place, keepdims=True)], axis=place)
    return table.reshape(5**K, WIDTH)


def build(config: BackboneConfig) -> Kmer:
    """Return the model; it has no weights.

    Raises
    ------
    UsageError
        The configuration asks for weights, or for anything else that there is no choice of.
    """
    for name, value in config.model_dump().items():
        if name != "name" and value is not None and value is not False:
            raise UsageError(
                "the kmer backbone is fixed: it has no weights and no layers",
                where=f"backbone.{name}",
                got=str(value),
                do="leave it out",
            )
    return Kmer()

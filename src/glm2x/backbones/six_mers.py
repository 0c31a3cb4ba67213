"""The tokens of the Nucleotide Transformer: 6-mers, on a grid that letters do not move.

The published tokenizer reads a sequence from its start and takes a 6-mer wherever the next six letters are
ACGT, and a single letter where they are not. Behind an N its frame starts anew: one masked base changes
every 6-mer downstream of it, and two haplotypes have tokens that cover different bases. Here the frame is
fixed: slot i is the bases ``[6 i, 6 i + 6)``, and what is spelled otherwise stays inside its slot. Without
an N the tokens are exactly the published ones: 11,000 bp are 1,833 6-mers and two single bases.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

VOCABULARY = 4107  # six special tokens, 4,096 6-mers and the letters A T C G N, in this order
CLS = 3
SLOT = 6  # base pairs
NOTHING = -1

_FIRST_SIX_MER = 6
_FIRST_LETTER = _FIRST_SIX_MER + 4**SLOT
_N = _FIRST_LETTER + 4
# of the codes A C G T N, and of what lies behind the end of a window
_LETTERS = (_FIRST_LETTER, _FIRST_LETTER + 2, _FIRST_LETTER + 3, _FIRST_LETTER + 1, _N, NOTHING)


def spell(codes: Tensor) -> Tensor:
    """Return the ids of each slot's tokens in their order, int64 [B, ceil(L / 6), 6], -1 behind the last.

    A slot of six ACGT is one token, its 6-mer, and a slot of N alone is one token, N. A slot that has some
    N, or that the window does not fill, is spelled in one token a base.

    Parameters
    ----------
    codes
        uint8 [B, L], A C G T N = 0 1 2 3 4.
    """
    windows, length = codes.shape
    filled = functional.pad(codes.long(), (0, -length % SLOT), value=_LETTERS.index(NOTHING))
    letters = torch.tensor(_LETTERS, device=codes.device)[filled.view(windows, -1, SLOT)]
    digits = letters - _FIRST_LETTER
    places = 4 ** torch.arange(SLOT - 1, -1, -1, device=codes.device)
    is_six_mer = ((letters != NOTHING) & (letters != _N)).all(-1)
    is_unknown = ((letters == NOTHING) | (letters == _N)).all(-1)
    one = torch.where(is_six_mer, _FIRST_SIX_MER + (digits * places).sum(-1), _N)
    alone = functional.pad(one[..., None], (0, SLOT - 1), value=NOTHING)
    return torch.where((is_six_mer | is_unknown)[..., None], alone, letters)

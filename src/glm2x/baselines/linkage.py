"""Variants in perfect linkage, taken together: half of the common variants near a gene are one of a set.

Variants whose dosages are the same in everybody, or the same with the alleles swapped, have the same
coefficient in a penalised regression, but for its sign. A set of m of them is one column, sqrt(m) times one
of theirs, whose squared coefficient is the sum of their squares and whose absolute coefficient is theirs
summed, divided by sqrt(m): the same problem with fewer variants.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_DIGITS = (
    9  # to which standardised dosages are compared: the same ones differ by rounding, others by far more
)


class LinkedSets(NamedTuple):
    """Columns of dosages, one a set of variants in perfect linkage.

    columns : float64 [people, sets], the dosages times the square root of the size
    root : float64 [sets], that square root
    member : int [variants], the set of each variant
    sign : float64 [variants], -1 where the alleles are swapped beside those of the set's column
    """

    columns: NDArray[np.float64]
    root: NDArray[np.float64]
    member: NDArray[np.intp]
    sign: NDArray[np.float64]

    def spread(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients of variants [..., variants] of those of the columns [..., sets]."""
        spread: NDArray[np.float64] = (coefficients / self.root)[..., self.member] * self.sign
        return spread


def linked_sets(dosage: NDArray[np.float64]) -> LinkedSets:
    """Find the sets of variants in perfect linkage, in the order of their first variants.

    Parameters
    ----------
    dosage : float64 [people, variants]
        Standardised dosages; each column varies and sums to zero.
    """
    by_variant = np.ascontiguousarray(dosage.T)
    # Towards the first person who is not at the mean, so that swapped alleles look alike.
    rounded = np.round(by_variant, _DIGITS)
    sign = np.sign(rounded[np.arange(len(rounded)), (rounded != 0).argmax(axis=1)])
    rounded = rounded * sign[:, None] + 0.0  # no -0, which has other bytes
    sets: dict[bytes, int] = {}
    member = np.array([sets.setdefault(row.tobytes(), len(sets)) for row in rounded], dtype=np.intp)
    first = np.unique(member, return_index=True)[1]
    root = np.sqrt(np.bincount(member))
    columns = np.ascontiguousarray(by_variant[first].T) * root
    return LinkedSets(columns, root, member, sign * sign[first][member])

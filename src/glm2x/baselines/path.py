"""The elastic net along a path of penalties, exactly, by its active set.

Nearby variants are so alike that coordinate descent creeps: on a gene of 150 variants it stops at its
limit of iterations for one penalty in fifteen. The variants with a coefficient, though, are few, and for
known signs their coefficients solve a small linear system. So: solve it, take out a variant whose sign
would turn, let in those that violate their condition, until none does (feature-sign search,
Lee et al. 2007; there one at a time, which takes more steps to the same end). But for the first few
steps of a penalty each lowers the objective, so that it ends; neighbouring penalties differ by few
variants. Exact, and many times as fast here as coordinate descent.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 1e-7  # of the L1 penalty, by which a left-out variant's gradient may exceed it
# Of a variant's variance: the lasso of linearly dependent variants has no one answer without.
_LEAST_L2 = 1e-9
_BOLD = 4  # steps at each penalty that take out at once all variants whose sign would turn


class NotConverged(RuntimeWarning):
    """A penalty whose active set did not settle; its coefficients are the last ones reached."""


def elastic_net_path(
    dosage: NDArray[np.float64], target: NDArray[np.float64], penalties: NDArray[np.float64], l1_ratio: float
) -> NDArray[np.float64]:
    """Minimise ``|y - Zb|^2 / (2 n) + a r |b|_1 + a (1 - r) |b|^2 / 2`` for each penalty a.

    Parameters
    ----------
    dosage : float64 [n people, variants]
        Z; each column sums to zero, with a variance near one.
    target : float64 [n people]
        y; sums to zero.
    penalties : float64 [penalties]
        a, descending; each starts from the one before.
    l1_ratio
        r, in (0, 1].

    Returns
    -------
    float64 [penalties, variants]

    Warns
    -----
    NotConverged
        Once for each penalty whose active set did not settle in ten steps a variant.
    """
    people, variants = dosage.shape
    covariance = dosage.T @ target
    gram = np.empty((variants, variants))  # rows are filled when a variant first comes in
    known = np.zeros(variants, dtype=bool)
    coefficients = np.zeros((len(penalties), variants))
    active = np.zeros(0, dtype=np.intp)
    values, signs = np.zeros(0), np.zeros(0)
    for row, penalty in zip(coefficients, penalties, strict=True):
        l1 = people * penalty * l1_ratio
        l2 = people * max(penalty * (1.0 - l1_ratio), _LEAST_L2)
        for tried in range(10 * variants + 100):
            rows = gram[active]  # [active, variants]
            solved = _solve(rows[:, active], l2, covariance[active] - l1 * signs)
            turned = solved * signs <= 0
            if turned.any() and tried < _BOLD:
                active, values, signs = active[~turned], values[~turned], signs[~turned]
                continue
            if turned.any():
                # Go towards the solution as far as the first sign that would turn, and drop it there. Of
                # those that have just come in at least one does not turn, for the solution lies downhill.
                share = np.zeros(len(active))  # a variant that has just come in turns at once
                np.divide(values, values - solved, out=share, where=turned & (values != 0))
                step = share[turned].min()
                values = values + step * (solved - values)
                kept = ~(turned & (share <= step))
                active, values, signs = active[kept], values[kept], signs[kept]
                continue
            values = solved
            gradient = covariance - values @ rows
            outside = np.abs(gradient)
            outside[active] = 0.0
            new = np.flatnonzero(outside > l1 * (1.0 + _TOLERANCE))
            if not len(new):
                break
            unknown = new[~known[new]]
            gram[unknown] = dosage[:, unknown].T @ dosage
            known[unknown] = True
            active = np.append(active, new)
            values, signs = np.append(values, np.zeros(len(new))), np.append(signs, np.sign(gradient[new]))
        else:
            message = f"the active set of penalty {penalty:.3g} did not settle"
            warnings.warn(message, NotConverged, stacklevel=2)
        row[active] = values
    return coefficients


def _solve(gram: NDArray[np.float64], l2: float, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve ``(gram + l2 I) b = right`` by Cholesky; `gram` is a copy that is overwritten.

    LAPACK is called as it is: for twenty variants the checks of `scipy.linalg.solve` take longer.
    """
    from scipy.linalg.lapack import dposv

    if not len(right):
        return right
    gram.flat[:: len(right) + 1] += l2
    _, solved, failed = dposv(gram, right, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError(f"the active variants' matrix is not positive definite (dposv: {failed})")
    return np.asarray(solved)

"""Expansion of round, polydisperse forms: few products of a function of |q| and a number for each NP."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.polynomial import chebyshev

from simsc.core.errors import InputError
from simsc.scattering.form_factors.form import Form

_NUMBERS_A_PIECE = 10_000  # which fit a cache


@dataclass(frozen=True, eq=False)
class LowRankFormFactor:
    """F(q, R_j) = Σ_r u_r(q) c_rj for given radii, with as few terms as a tolerance allows.

    Args:
        coefficients: (rank, N) factors of each NP.
        q_max_inv_nm: largest momentum transfer of the expansion, nm⁻¹.
    """

    isotropic: ClassVar[bool] = True

    coefficients: np.ndarray
    q_max_inv_nm: float
    _series: np.ndarray

    def functions(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """Return u_r (rank, …) at momentum transfers 0 … q_max, nm⁻¹.

        Raises:
            InputError: beyond q_max.
        """
        q = np.asarray(q_inv_nm, dtype=np.float64)
        if q.size and q.max() > self.q_max_inv_nm * (1 + 1e-9):
            raise InputError(f"form factor asked at q = {q.max():g} nm⁻¹, prepared up to {self.q_max_inv_nm:g}")
        return chebyshev.chebval(np.minimum(2 * q / self.q_max_inv_nm - 1, 1.0), self._series.T)

    def on_sphere(self, q_inv_nm: float, directions: np.ndarray) -> np.ndarray:
        """Return u_r (rank, 1) for all directions (P, 3) of one |q|, nm⁻¹."""
        return self.functions(np.array([q_inv_nm]))


def expand_round(form: Form, radii_nm: np.ndarray, q_max_inv_nm: float, tolerance: float = 1e-8) -> LowRankFormFactor:
    """Expand the form factors of round NPs of many radii by a singular value decomposition.

    F is sampled at Chebyshev nodes in q and R; both factors of the decomposition are polynomials through the nodes.

    Args:
        form: what the NPs are, isotropic.
        radii_nm: (N,) core radii, nm.
        q_max_inv_nm: largest momentum transfer, nm⁻¹.
        tolerance: largest error relative to the largest |F|. Default 1e-8.

    Returns:
        The expansion; rank 1 where all radii agree.
    """
    low, high = float(radii_nm.min()), float(radii_nm.max())
    q_nodes = chebyshev_nodes(int(24 + 2 * q_max_inv_nm * form.reach_nm(high)))
    q = (q_nodes + 1) / 2 * q_max_inv_nm
    if high - low < 1e-12 * high:
        series = chebyshev.chebfit(q_nodes, form.amplitude(q, high), len(q) - 1)
        return LowRankFormFactor(np.ones((1, len(radii_nm))), q_max_inv_nm, series[None])
    r_nodes = chebyshev_nodes(int(24 + 2 * q_max_inv_nm * (high - low)))
    r = low + (r_nodes + 1) / 2 * (high - low)
    exact = form.amplitude(q[:, None], r[None, :])
    left, singular, right = np.linalg.svd(exact, full_matrices=False)
    rank, rest = 0, exact
    while rank == 0 or np.abs(rest).max() > tolerance * np.abs(exact).max():
        rest = rest - singular[rank] * np.outer(left[:, rank], right[rank])
        rank += 1
    series = chebyshev.chebfit(q_nodes, left[:, :rank] * singular[:rank], len(q) - 1).T
    by_radius = chebyshev.chebfit(r_nodes, right[:rank].T, len(r) - 1)
    coefficients = evaluate(by_radius, 2 * (radii_nm - low) / (high - low) - 1)
    return LowRankFormFactor(coefficients, q_max_inv_nm, series)


def evaluate(series: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return Chebyshev series (n, rank) at many x (N,), as (rank, N)."""
    values = np.empty((series.shape[1], len(x)))
    for k in range(0, len(x), _NUMBERS_A_PIECE):
        piece = slice(k, k + _NUMBERS_A_PIECE)
        values[:, piece] = series.T @ chebyshev.chebvander(x[piece], len(series) - 1).T
    return values


def chebyshev_nodes(n: int) -> np.ndarray:
    """Return the n zeros of the Chebyshev polynomial T_n, ascending."""
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)[::-1]

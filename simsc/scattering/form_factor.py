"""Form factors of NPs, and the low-rank expansion that makes polydisperse NPs as cheap as a few equal ones."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from simsc.core.errors import InputError


def sphere_amplitude(q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
    """Return the scattering amplitude of a homogeneous sphere of unit contrast.

    F(q, R) = 4π/3 R³ · 3 (sin x − x cos x) / x³ with x = qR (Rayleigh 1914, DOI 10.1098/rspa.1914.0042).

    Args:
        q_inv_nm: momentum transfer, nm⁻¹.
        radius_nm: radius, nm; broadcast against q.

    Returns:
        Amplitude, nm³, of the broadcast shape; the volume of the sphere at q = 0.
    """
    radius = np.asarray(radius_nm, dtype=np.float64)
    x = np.asarray(q_inv_nm, dtype=np.float64) * radius
    small = np.abs(x) < 0.05
    safe = np.where(small, 1.0, x)
    shape = 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3
    # Below 0.05 the difference of nearly equal terms loses digits; the next term of the series is 2e-14.
    series = 1 - x**2 / 10 + x**4 / 280 - x**6 / 15120
    return 4 / 3 * np.pi * radius**3 * np.where(small, series, shape)


@dataclass(frozen=True, eq=False)
class LowRankFormFactor:
    """F(q, R_j) = Σ_r u_r(q) c_rj for given radii, with as few terms as a tolerance allows.

    Args:
        coefficients: (rank, N) factors of each NP.
        q_max_inv_nm: largest momentum transfer of the expansion, nm⁻¹.
    """

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


def expand_spheres(radii_nm: np.ndarray, q_max_inv_nm: float, tolerance: float = 1e-8) -> LowRankFormFactor:
    """Expand the sphere form factors of many radii by a singular value decomposition.

    F is sampled at Chebyshev nodes in q and R; both factors of the decomposition are polynomials through the nodes.

    Args:
        radii_nm: (N,) radii, nm.
        q_max_inv_nm: largest momentum transfer, nm⁻¹.
        tolerance: largest error relative to the largest F(0). Default 1e-8.

    Returns:
        The expansion; rank 1 where all radii agree.
    """
    low, high = float(radii_nm.min()), float(radii_nm.max())
    q_nodes = _nodes(int(24 + 2 * q_max_inv_nm * high))
    q = (q_nodes + 1) / 2 * q_max_inv_nm
    if high - low < 1e-12 * high:
        series = chebyshev.chebfit(q_nodes, sphere_amplitude(q, high), len(q) - 1)
        return LowRankFormFactor(np.ones((1, len(radii_nm))), q_max_inv_nm, series[None])
    r_nodes = _nodes(int(24 + 2 * q_max_inv_nm * (high - low)))
    r = low + (r_nodes + 1) / 2 * (high - low)
    left, singular, right = np.linalg.svd(sphere_amplitude(q[:, None], r[None, :]))
    # The largest entry of a truncated term is below its singular value.
    largest = 4 / 3 * np.pi * high**3
    rank = max(1, int((np.cumsum(singular[::-1])[::-1] > tolerance * largest).sum()))
    series = chebyshev.chebfit(q_nodes, left[:, :rank] * singular[:rank], len(q) - 1).T
    by_radius = chebyshev.chebfit(r_nodes, right[:rank].T, len(r) - 1)
    coefficients = chebyshev.chebval(2 * (radii_nm - low) / (high - low) - 1, by_radius)
    return LowRankFormFactor(coefficients, q_max_inv_nm, series)


def _nodes(n: int) -> np.ndarray:
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)[::-1]

"""Form factors of round NPs, and the low-rank expansion that makes polydisperse NPs as cheap as a few equal ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.polynomial import chebyshev

from simsc.core.errors import InputError

_NUMBERS_A_PIECE = 10_000  # which fit a cache


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


@dataclass(frozen=True)
class Sphere:
    """A homogeneous sphere of unit contrast, of the core radius of its NP."""

    def amplitude(self, q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
        """Return F(q, R), nm³, as `sphere_amplitude`."""
        return sphere_amplitude(q_inv_nm, radius_nm)

    def reach_nm(self, radius_nm: float) -> float:
        """Return how far, nm, the scatterer reaches from its centre."""
        return radius_nm


@dataclass(frozen=True)
class CoreShell:
    """A spherical core, of the core radius of its NP, in a shell of one thickness for all NPs.

    F = (ρ_core − ρ_shell) F_sphere(q, R) + ρ_shell F_sphere(q, R + t).

    Args:
        shell_nm: thickness t of the shell, nm.
        core_contrast: scattering length density of the core less that of the surroundings, in any unit.
        shell_contrast: the same of the shell; the intensity comes in nm⁶ times the square of that unit.

    Raises:
        InputError: for a negative thickness, or contrasts that are not finite or both zero.

    Example:
        >>> float(CoreShell(1.0, 1.0, 1.0).amplitude(0.3, 2.0) - Sphere().amplitude(0.3, 3.0))
        0.0
    """

    shell_nm: float
    core_contrast: float = 1.0
    shell_contrast: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.shell_nm) and self.shell_nm >= 0):
            raise InputError(f"the thickness of a shell must be zero or a positive number (nm), got {self.shell_nm}")
        contrasts = (self.core_contrast, self.shell_contrast)
        if not (np.isfinite(contrasts).all() and any(contrasts)):
            raise InputError(f"core and shell need finite contrasts, not both zero, got {contrasts}")

    def amplitude(self, q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
        """Return F(q, R), nm³ × contrast; R is the core radius, nm, broadcast against q."""
        core = (self.core_contrast - self.shell_contrast) * sphere_amplitude(q_inv_nm, radius_nm)
        return core + self.shell_contrast * sphere_amplitude(q_inv_nm, np.asarray(radius_nm) + self.shell_nm)

    def reach_nm(self, radius_nm: float) -> float:
        """Return how far, nm, the scatterer reaches from its centre."""
        return radius_nm + self.shell_nm


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


def expand_spheres(radii_nm: np.ndarray, q_max_inv_nm: float, tolerance: float = 1e-8) -> LowRankFormFactor:
    """Expand the form factors of homogeneous spheres of many radii, as `expand_round`."""
    return expand_round(Sphere(), radii_nm, q_max_inv_nm, tolerance)


def expand_round(
    form: Sphere | CoreShell, radii_nm: np.ndarray, q_max_inv_nm: float, tolerance: float = 1e-8
) -> LowRankFormFactor:
    """Expand the form factors of round NPs of many radii by a singular value decomposition.

    F is sampled at Chebyshev nodes in q and R; both factors of the decomposition are polynomials through the nodes.

    Args:
        form: what the NPs are.
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

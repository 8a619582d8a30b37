"""A homogeneous sphere."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simsc.scattering.form_factors.form import Expansion
from simsc.scattering.form_factors.round import expand_round


@dataclass(frozen=True)
class Sphere:
    """A homogeneous sphere of unit contrast, of the core radius of its NP."""

    isotropic: ClassVar[bool] = True

    def amplitude(self, q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
        """Return F(q, R), nm³, as `sphere_amplitude`."""
        return sphere_amplitude(q_inv_nm, radius_nm)

    def reach_nm(self, radius_nm: float) -> float:
        """Return how far, nm, the scatterer reaches from its centre."""
        return radius_nm

    def expansion(
        self, radii_nm: np.ndarray, orientations: np.ndarray | None, q_max_inv_nm: float, tolerance: float
    ) -> Expansion:
        """Return the amplitudes of many NPs as few products; orientations do not matter."""
        return expand_round(self, radii_nm, q_max_inv_nm, tolerance)


SPHERE = Sphere()


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

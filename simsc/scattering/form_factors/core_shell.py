"""A sphere in a shell, such as a core with its ligands."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simsc.core.errors import InputError
from simsc.scattering.form_factors.form import Expansion
from simsc.scattering.form_factors.round import expand_round
from simsc.scattering.form_factors.sphere import sphere_amplitude


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
        >>> from simsc.scattering.form_factors.sphere import Sphere
        >>> float(CoreShell(1.0, 1.0, 1.0).amplitude(0.3, 2.0) - Sphere().amplitude(0.3, 3.0))
        0.0
    """

    isotropic: ClassVar[bool] = True

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

    def expansion(
        self, radii_nm: np.ndarray, orientations: np.ndarray | None, q_max_inv_nm: float, tolerance: float
    ) -> Expansion:
        """Return the amplitudes of many NPs as few products; orientations do not matter."""
        return expand_round(self, radii_nm, q_max_inv_nm, tolerance)

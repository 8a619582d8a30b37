"""How NPs scatter, and how sharply that is seen: which every computed intensity follows from."""

from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.sphere import SPHERE


@dataclass(frozen=True)
class ScatteringModel:
    """Form, thermal motion and resolution; by default spheres that stand still, seen sharply.

    Args:
        form: what the NPs are; polyhedra stand as the orientations of the superlattice say. Atoms have form factors of
            their own.
        sigma_nm: standard deviation of independent thermal displacements along each axis, nm. They damp what interferes
            by the Debye–Waller factor and add diffuse intensity: ⟨I⟩ = |A|² e^(−q²σ²) + Σ_j |F_j|² (1 − e^(−q²σ²)).
        resolution_inv_nm: standard deviation of a Gaussian, the same in all directions of q, that the intensity is
            convolved with, nm⁻¹.

    Raises:
        InputError: for a deviation that is negative or no number.
    """

    form: Form = SPHERE
    sigma_nm: float = 0.0
    resolution_inv_nm: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (
            ("displacements sigma_nm", self.sigma_nm),
            ("resolution_inv_nm", self.resolution_inv_nm),
        ):
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be zero or a positive number, got {value}")


SHARP_SPHERES = ScatteringModel()

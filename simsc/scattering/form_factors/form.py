"""What a form factor has to be, and what its expansion for many NPs is."""

from typing import Protocol

import numpy as np


class Expansion(Protocol):
    """F_j(q) = Σ_r u_r(q) c_rj; u_r depends on |q| only where it is isotropic."""

    @property
    def isotropic(self) -> bool:
        """Whether `functions` takes |q| (…); else it takes q (P, 3)."""

    @property
    def coefficients(self) -> np.ndarray:
        """(rank, N) factors of each NP."""

    def functions(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """Return u_r (rank, …)."""

    def on_sphere(self, q_inv_nm: float, directions: np.ndarray) -> np.ndarray:
        """Return u_r, (rank, P) or (rank, 1), in directions (P, 3) of one |q|."""


class Form(Protocol):
    """What the NPs of a superlattice are, as far as scattering goes: one kind of body, in the size of each NP.

    An implementation is a frozen dataclass whose fields are its parameters, with their units in their names. The
    size comes from the core radius of each NP, and how it is turned from the orientation of the NP.
    """

    @property
    def isotropic(self) -> bool:
        """Whether the amplitude depends on |q| alone, so that orientations do not matter."""

    def reach_nm(self, radius_nm: float) -> float:
        """Return how far, nm, the matter of an NP of a core radius, nm, reaches from its centre."""

    def amplitude(self, q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
        """Return F(q) = ∫ ρ(r) exp(−i q·r) dr, nm³ times the unit of the contrast ρ.

        Args:
            q_inv_nm: |q| (…) of an isotropic form, else q (…, 3) in the frame of the body, nm⁻¹.
            radius_nm: core radius, nm; broadcast against (…).
        """

    def expansion(
        self, radii_nm: np.ndarray, orientations: np.ndarray | None, q_max_inv_nm: float, tolerance: float
    ) -> Expansion:
        """Return the amplitudes of many NPs as few products; see `round.expand_round`, `oriented.expand_oriented`.

        Args:
            radii_nm: (N,) core radii, nm.
            orientations: (N, 4) unit quaternions from the frame of the body, scalar last; None turns none.
            q_max_inv_nm: largest momentum transfer, nm⁻¹.
            tolerance: largest error relative to the largest |F|.
        """

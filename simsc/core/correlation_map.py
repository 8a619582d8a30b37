"""The correlation map C(q1, q2, Δ) of angular X-ray cross-correlation analysis (AXCCA)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CorrelationMap:
    """Cross-correlation of the intensity on the sphere q1 with that on spheres q2, at the angle Δ between them.

    Args:
        q1_inv_nm: momentum transfer of the first sphere, nm⁻¹.
        q2_inv_nm: (n_q2,) momentum transfers of the second spheres, nm⁻¹.
        delta_deg: (n_delta,) angles, degrees.
        ccf: (n_q2, n_delta) correlation, dimensionless; NaN where nothing was measured.
        coverage: (n_q2, n_delta) fraction of all pairs of directions that were measured, 0 to 1.
        radial_profile: (n_q2,) mean measured intensity on each second sphere.
    """

    q1_inv_nm: float
    q2_inv_nm: np.ndarray
    delta_deg: np.ndarray
    ccf: np.ndarray
    coverage: np.ndarray
    radial_profile: np.ndarray

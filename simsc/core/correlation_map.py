"""The correlation map C(q1, q2, Δ) of angular X-ray cross-correlation analysis (AXCCA)."""

from dataclasses import dataclass, replace

import numpy as np

# The map of Lapkin et al. (ACS Nano 2025, 19, 42881, DOI 10.1021/acsnano.5c16138): first, last and step of q2 in units
# of q1, and how many angles from 0° to 180°.
Q2_OVER_Q1 = (0.83, 1.88, 0.0104)
N_DELTA = 721
MOST_Q2 = 10_000  # steps of q2 in one map: more than any screen or detector resolves


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
        variance: (n_q2, n_delta) variance of `ccf` from the noise of the intensity; None where that is unknown.
        bin_deg: width of the bins around `delta_deg`, degrees, over which `ccf` is averaged; 0 for values at points.
    """

    q1_inv_nm: float
    q2_inv_nm: np.ndarray
    delta_deg: np.ndarray
    ccf: np.ndarray
    coverage: np.ndarray
    radial_profile: np.ndarray
    variance: np.ndarray | None = None
    bin_deg: float = 0.0

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        q2, delta = self.q2_inv_nm, self.delta_deg
        parts = [f"q1 {self.q1_inv_nm:.4g} nm⁻¹", f"q2 {q2[0]:.4g} … {q2[-1]:.4g} nm⁻¹ ({len(q2)})"]
        parts.append(f"Δ {delta[0]:.4g} … {delta[-1]:.4g}° ({len(delta)})")
        least = float(self.coverage.min())
        parts += [f"coverage from {least:.2g}"] if least < 1 - 1e-9 else []
        parts += ["with variance"] if self.variance is not None else []
        return f"CorrelationMap({', '.join(parts)})"

    def at_q1(self, q1_inv_nm: float) -> "CorrelationMap":
        """Return the map as of a crystal so much smaller or larger that its q1 is another, nm⁻¹; q2 / q1 stay."""
        return replace(self, q1_inv_nm=q1_inv_nm, q2_inv_nm=q1_inv_nm / self.q1_inv_nm * self.q2_inv_nm)

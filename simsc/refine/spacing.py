"""The nearest-neighbour distance of a close-packed crystal from its correlation maps: one parameter."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.close_packing import LAYER_SPACING, d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.correlation.peaks import cell_reflections, expected_peaks, rod_arcs, structure_cell
from simsc.io.adapters import Maps, as_maps
from simsc.refine.fit import fit
from simsc.refine.mean import best_mean, only_map
from simsc.refine.model import Reflections, check_maps, check_reach, one_of_each_pair, prepare
from simsc.refine.stacking_map import spacing_of_map
from simsc.scattering.rods import sphere_statistics

STRUCTURES = ("fcc", "hcp", "r-hcp")
Structure = Literal["fcc", "hcp", "r-hcp"]

_STEP, _BOUND, _MEAN_BOUND = 0.005, 0.15, 0.06  # of ln(d / start)
_STARTS = np.linspace(-0.06, 0.06, 7)[:, None]
_ROD_STEP = 1.5  # of the width of peaks, between points of a rod: their sum is even within 0.03 %


@dataclass(frozen=True)
class SpacingFit:
    """A refined nearest-neighbour distance.

    Args:
        d_nn_nm: nearest-neighbour distance, nm.
        standard_error_nm: its standard error, nm, from the scatter of the residuals and, unless layers were fitted,
            from what the model of peaks misses; NaN for the metric of the paper, which has none.
        structure: "fcc", "hcp" or "r-hcp".
        method: "forward" or "mean".
        score: forward: part of the weighted variance of the map that the model explains; mean: the mean CCF.
        width_inv_nm: standard deviation of a Bragg peak, nm⁻¹; None for the metric of the paper, and for layers.
    """

    d_nn_nm: float
    standard_error_nm: float
    structure: str
    method: str
    score: float
    width_inv_nm: float | None = None

    def __repr__(self) -> str:
        """Return the distance with its standard error, as notebooks show it."""
        error = "" if np.isnan(self.standard_error_nm) else f" ± {self.standard_error_nm:.2g}"
        return f"SpacingFit(d_NN {self.d_nn_nm:.4g}{error} nm, {self.structure}, {self.method}, score {self.score:.3f})"

    @property
    def parameters(self) -> np.ndarray:
        """(1,) nearest-neighbour distance, nm."""
        return np.array([self.d_nn_nm])

    @property
    def a_fcc_nm(self) -> float:
        """Edge of the cubic cell, √2 d_NN, nm."""
        return float(np.sqrt(2) * self.d_nn_nm)

    @property
    def c_hcp_nm(self) -> float:
        """Height of the hexagonal cell, √(8/3) d_NN, nm; its edge a is d_NN."""
        return float(2 * LAYER_SPACING * self.d_nn_nm)


def refine_spacing(
    maps: Maps,
    structure: Structure | Literal["random"],
    method: Literal["forward", "mean"] = "forward",
    start_nm: float | None = None,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    diameter_nm: float | None = None,
) -> SpacingFit:
    """Refine the nearest-neighbour distance of an fcc, hcp or randomly stacked (r-hcp) crystal.

    A randomly stacked crystal has broad peaks and rods with their centres anywhere: fits of peaks were off by up to
    0.1 nm at 16 nm. If its diameter is given, its layers are fitted instead (`simsc.refine.stacking_map`), which found
    the distance within 0.01 nm.

        On one core, of a map of 4000 NPs: 15 s for fcc and hcp, a minute or two for r-hcp, and three with a diameter.

    Args:
        maps: one correlation map or its file, or several with different q1; the first sphere at the 111 reflection of
            fcc, which is 002 of hcp.
        structure: "fcc"; "hcp"; or "r-hcp" ("random", as builders have it, is the same): reflections that fcc and hcp
            share, twinned fcc, and Bragg rods 10l.
        method: "forward" fits peaks of all pairs of reflections; "mean" maximises the mean CCF at the expected
            positions, as Lapkin et al. do (ACS Nano 2025, 19, 42881).
        start_nm: distance to start from, nm; 15 % off is too far. Default: q1 at 111.
        radius_nm: mean core radius, nm; small crystals need it, since the slope of the form factor shifts wide peaks.
        radius_std_nm: its standard deviation, nm.
        diameter_nm: of a ball of r-hcp, nm, which the forward method takes for a better model.

    Raises:
        InputError: for an unknown structure or method, maps that leave nothing to fit, or if nothing fits.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> from simsc.correlation.maps import correlation_map
        >>> crystal, q2_inv_nm = ball("fcc", 16.0, n=201, radius_nm=7.4), np.linspace(0.4, 0.9, 26)
        >>> found = refine_spacing(correlation_map(crystal, 0.48, q2_inv_nm, n_delta=181), "fcc", radius_nm=7.4)
        >>> print(f"{found.d_nn_nm:.1f} nm")
        16.0 nm
    """
    maps = as_maps(maps)
    if structure == "random":
        structure = "r-hcp"
    if structure not in STRUCTURES:
        raise InputError(f"structure {structure!r} is not known; it is fcc, hcp or r-hcp")
    check_maps(maps, method)
    if start_nm is not None and not 0 < start_nm < np.inf:
        raise InputError(f"the start must be a positive number (nm), got {start_nm:g}")
    start = start_nm or d_nn_of_111_nm(maps[0].q1_inv_nm)
    check_reach(maps, _crystal(structure, start, 2 * maps[0].q1_inv_nm, 0.01).g_inv_nm)
    if method == "mean":
        return _by_mean(maps, structure, start)
    if structure == "r-hcp" and diameter_nm is not None:
        return _by_layers(maps, start, diameter_nm, radius_nm, radius_std_nm)
    if structure == "r-hcp":
        warnings.warn(
            "peaks of random stacking are broad, and shift what is fitted to them; give the diameter of the crystal",
            SimscWarning,
            stacklevel=2,
        )
    data = [prepare(one, radius_nm, radius_std_nm) for one in maps]
    found = fit(data, lambda x, *limits: _crystal(structure, start * np.exp(x[0]), *limits), _STARTS, _STEP, _BOUND)
    d_nn_nm = float(start * np.exp(found.shape[0]))
    error = d_nn_nm * float(np.sqrt(found.covariance[0, 0]))
    return SpacingFit(d_nn_nm, error, structure, method, found.explained, found.width_inv_nm)


def _by_layers(
    maps: Sequence[CorrelationMap], start_nm: float, diameter_nm: float, radius_nm: float | None, radius_std_nm: float
) -> SpacingFit:
    if len(maps) > 1:
        raise InputError(f"layers are fitted to one map, at q1 = 002 of hcp, got {len(maps)}")
    q2 = maps[0].q2_inv_nm
    form = None if radius_nm is None else sphere_statistics(q2, radius_nm, radius_std_nm)[0]
    correlations, error = spacing_of_map(maps[0], diameter_nm, start_nm, form)
    return SpacingFit(correlations.d_nn_nm, error, "r-hcp", "forward", 1 - correlations.residual**2)


def _by_mean(maps: Sequence[CorrelationMap], structure: Structure, start_nm: float) -> SpacingFit:
    correlation = only_map(maps)
    q2 = correlation.q2_inv_nm

    def positions(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        d_nn_nm = float(start_nm * np.exp(x[0]))
        peaks = expected_peaks("hcp" if structure == "hcp" else "fcc", d_nn_nm, (q2[0], q2[-1]))
        # One position a peak, whatever its multiplicity: circles on the published maps.
        lengths = [np.array([peak.q2_inv_nm for peak in peaks])]
        angles = [np.array([peak.delta_deg for peak in peaks])]
        if structure == "r-hcp":
            for arc in rod_arcs(d_nn_nm, q2):
                lengths.append(arc.q2_inv_nm)
                angles.append(arc.delta_deg)
        return correlation.q1_inv_nm, np.concatenate(lengths), np.concatenate(angles)

    shape, score = best_mean(correlation, positions, 1, _MEAN_BOUND, seed=1)
    return SpacingFit(float(start_nm * np.exp(shape[0])), np.nan, structure, "mean", score)


def _crystal(structure: Structure, d_nn_nm: float, largest_inv_nm: float, width_inv_nm: float) -> Reflections:
    """Return the reflections of a structure up to a largest |g|; of r-hcp in four groups, rods as rows of points."""
    cell, basis = structure_cell("fcc" if structure == "fcc" else "hcp", d_nn_nm)
    g, hkl, factor = cell_reflections(cell, basis, largest_inv_nm)
    if structure != "r-hcp":
        seen = factor > 1e-9
        g, hkl = g[seen], hkl[seen]
        return Reflections(g, factor[seen] ** 2, np.zeros(len(g), dtype=int), one_of_each_pair(hkl))
    # Reflections with h − k = 3n do not know of the stacking: group 0. On rods with other h and k lie one twin of fcc,
    # at l = 2n + 2/3 if h − k = 3n + 1 and at 2n − 2/3 otherwise: 1; the other twin: 2; random stacking, any l: 3.
    shared = ((hkl[:, 0] - hkl[:, 1]) % 3 == 0) & (hkl[:, 2] % 2 == 0)
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm).T
    top, step = largest_inv_nm / reciprocal[2, 2], _ROD_STEP * width_inv_nm / reciprocal[2, 2]
    twin = 2 * np.arange(-np.ceil(top / 2), np.ceil(top / 2) + 1) + 2 / 3
    rod = step * np.arange(-np.ceil(top / step), np.ceil(top / step) + 1)
    vectors, groups = [g[shared]], [np.zeros(int(shared.sum()), dtype=int)]
    for h, k in np.unique(hkl[(hkl[:, 0] - hkl[:, 1]) % 3 != 0, :2], axis=0):
        sign = 1 if (h - k) % 3 == 1 else -1
        for group, heights in enumerate((sign * twin, -sign * twin, rod), start=1):
            vectors.append(np.array([h, k, 0]) @ reciprocal + heights[:, None] * reciprocal[2])
            groups.append(np.full(len(heights), group))
    rows, numbers = np.concatenate(vectors), np.concatenate(groups)
    inside = np.linalg.norm(rows, axis=1) <= largest_inv_nm
    rows, numbers = rows[inside], numbers[inside]
    # Twins look alike, and rods with rods are broad: the first reflection is a shared one or of the first twin.
    first = one_of_each_pair(np.round(rows, 9)) & (numbers <= 1)
    return Reflections(rows, np.ones(len(rows)), numbers, first)

"""Where a correlation map is expected to peak: reflections of any cell, of fcc and hcp, and the arcs of Bragg rods."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsc.core.cell import Cell
from simsc.core.close_packing import LAYER_SPACING, layer_momentum_transfer, rod_momentum_transfer
from simsc.core.errors import InputError

_ONE_NP = np.zeros((1, 3))
MOST_RESOLVED = 500  # reflections of a cell with one NP: superlattices show tens
_MOST_REFLECTIONS = 5000
_FCC_BASIS = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_HCP_BASIS = np.array([[0.0, 0.0, 0.0], [1 / 3, 2 / 3, 0.5]])


@dataclass(frozen=True)
class ExpectedPeak:
    """A peak of the correlation map.

    Args:
        q2_inv_nm: momentum transfer of the second reflection, nm⁻¹.
        delta_deg: angle to the first reflection, degrees.
        family: Miller indices of the second reflection's family, such as "220".
        multiplicity: number of second reflections at this angle from one first reflection.
    """

    q2_inv_nm: float
    delta_deg: float
    family: str
    multiplicity: int


@dataclass(frozen=True, eq=False)
class RodArc:
    """The line that correlations of one reflection with a Bragg rod draw into the map.

    Args:
        q2_inv_nm: (n,) momentum transfers along the rod, nm⁻¹.
        delta_deg: (n,) angles to the first reflection, degrees.
        from_axis: True if the first reflection lies along the stacking axis (002 of hcp, 111 of fcc), False if it is
            one of the other 111 reflections, which only fcc stacking has.
    """

    q2_inv_nm: np.ndarray
    delta_deg: np.ndarray
    from_axis: bool


def reflections(structure: str, d_nn_nm: float, q_max_inv_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return reciprocal vectors (n, 3), nm⁻¹, and Miller indices (n, 3) of all reflections that are not extinct.

    Cubic indices for "fcc"; three-index hexagonal ones for "hcp", with a and c of touching spheres.

    Raises:
        InputError: for another structure.
    """
    g, hkl, structure_factor = cell_reflections(*structure_cell(structure, d_nn_nm), q_max_inv_nm)
    keep = structure_factor > 1e-9
    return g[keep], hkl[keep]


def structure_cell(structure: str, d_nn_nm: float) -> tuple[Cell, np.ndarray]:
    """Return the conventional cell of "fcc" or "hcp" and the NPs in it, (n, 3) in units of its edges.

    Raises:
        InputError: for another structure.
    """
    if structure == "fcc":
        return Cell(np.sqrt(2) * d_nn_nm * np.eye(3)), _FCC_BASIS
    if structure == "hcp":
        vectors = d_nn_nm * np.array([[1, 0, 0], [-0.5, np.sqrt(3) / 2, 0], [0, 0, 2 * LAYER_SPACING]])
        return Cell(vectors), _HCP_BASIS
    raise InputError(f"structure {structure!r} is not known; it is fcc or hcp")


def cell_reflections(cell: Cell, basis: np.ndarray, q_max_inv_nm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all reflections g = h b1 + k b2 + l b3 of a crystal up to a momentum transfer, without g = 0.

    Args:
        cell: its cell a1, a2, a3; b_i · a_j = 2π δ_ij.
        basis: (n_np, 3) NPs in the cell, in units of its edges.
        q_max_inv_nm: largest |g|, nm⁻¹.

    Returns:
        g (n, 3), nm⁻¹; Miller indices (n, 3); structure factors |Σ_j exp(2πi hkl·r_j)| (n,).

    Raises:
        InputError: if there are so many that something must be in another unit.
    """
    vectors = cell.vectors_nm
    if (n := cell.volume_nm3 * q_max_inv_nm**3 / (6 * np.pi**2)) > _MOST_REFLECTIONS:
        raise InputError(
            f"a cell of {cell.volume_nm3:.4g} nm³ has some {n:.2g} reflections up to {q_max_inv_nm:.3g} nm⁻¹, and no "
            "peak could be told from its neighbours; edges are nm"
        )
    # A vector of length q has indices up to q |a_i| / 2π.
    largest = np.floor(q_max_inv_nm * np.linalg.norm(vectors, axis=1) / (2 * np.pi) + 1e-9).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in largest), indexing="ij"), axis=-1).reshape(-1, 3)
    g = 2 * np.pi * hkl @ np.linalg.inv(vectors).T
    length = np.linalg.norm(g, axis=1)
    keep = (length > 1e-9) & (length <= q_max_inv_nm * (1 + 1e-9))
    return g[keep], hkl[keep], np.abs(np.exp(2j * np.pi * hkl[keep] @ basis.T).sum(axis=1))


def expected_peaks(structure: str, d_nn_nm: float, q2_range_inv_nm: tuple[float, float]) -> list[ExpectedPeak]:
    """List the peaks of the map at q1 = 111 of fcc, or 002 of hcp, with reflections in a range of q2.

    Args:
        structure: "fcc" or "hcp".
        d_nn_nm: nearest-neighbour distance, nm.
        q2_range_inv_nm: smallest and largest q2, nm⁻¹.

    Returns:
        Peaks ordered by q2, then Δ; the first reflection with itself (Δ = 0) and its Friedel mate are among them.

    Raises:
        InputError: for another structure.

    Example:
        >>> [round(p.delta_deg, 2) for p in expected_peaks("fcc", 16.0, (0.54, 0.57))]
        [54.74, 125.26]
    """
    g, hkl = reflections(structure, d_nn_nm, q2_range_inv_nm[1])
    first = np.abs(np.linalg.norm(g, axis=1) - layer_momentum_transfer(d_nn_nm)).argmin()
    return _peaks(g[first], g, hkl, lambda index: _family(structure, index), q2_range_inv_nm)


def expected_peaks_of_cell(
    cell: Cell, first: tuple[int, int, int], q2_range_inv_nm: tuple[float, float]
) -> list[ExpectedPeak]:
    """List the peaks of the map at q1 = |g1| of one reflection of any cell with one NP.

    Args:
        cell: such as the primitive cell of a pillar.
        first: Miller indices of the first reflection g1; (1, 0, 0) for pillars in Lapkin et al.
        q2_range_inv_nm: smallest and largest q2, nm⁻¹.

    Returns:
        Peaks ordered by q2, then Δ, as in `expected_peaks`; a family is a reflection and its Friedel mate.

    Example:
        >>> cell = Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5)
        >>> [(p.family, round(p.delta_deg, 1)) for p in expected_peaks_of_cell(cell, (1, 0, 0), (0.43, 0.45))[2::2]]
        [('0 1 0', 81.3), ('0 0 1', 68.0)]
    """
    g, hkl, _ = cell_reflections(cell, _ONE_NP, q2_range_inv_nm[1])
    g1 = 2 * np.pi * np.linalg.inv(cell.vectors_nm) @ first
    return _peaks(g1, g, hkl, _friedel_pair, q2_range_inv_nm)


def firsts_of_shell(cell: Cell, q1_inv_nm: float, half_width_inv_nm: float) -> list[tuple[int, int, int]]:
    """List the reflections that a sphere q1 of some thickness cuts, one of each Friedel pair, by distance from it.

    The map at q1 is the sum of the peaks that `expected_peaks_of_cell` gives for each of them.

    Args:
        cell: with one NP.
        q1_inv_nm: radius of the sphere, nm⁻¹.
        half_width_inv_nm: largest distance of |g1| from it, nm⁻¹, such as the width of Bragg peaks.

    Example:
        >>> firsts_of_shell(Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5), 0.435, 0.005)
        [(1, 0, 0), (0, 1, 0)]
    """
    g, hkl, _ = cell_reflections(cell, _ONE_NP, q1_inv_nm + half_width_inv_nm)
    distance = np.abs(np.linalg.norm(g, axis=1) - q1_inv_nm)
    nearest = [hkl[k] for k in np.argsort(distance, kind="stable") if distance[k] <= half_width_inv_nm]
    return [(int(h), int(k), int(m)) for h, k, m in nearest if next(i for i in (h, k, m) if i) > 0]


def _peaks(
    g1: np.ndarray,
    g: np.ndarray,
    hkl: np.ndarray,
    family: Callable[[np.ndarray], str],
    q2_range_inv_nm: tuple[float, float],
) -> list[ExpectedPeak]:
    found: dict[tuple[float, float], list[np.ndarray]] = {}
    for vector, index, q2 in zip(g, hkl, np.linalg.norm(g, axis=1), strict=True):
        if q2 >= q2_range_inv_nm[0]:
            cosine = np.clip(vector @ g1 / (q2 * np.linalg.norm(g1)), -1, 1)
            found.setdefault((round(float(q2), 6), round(float(np.degrees(np.arccos(cosine))), 4)), []).append(index)
    return [
        ExpectedPeak(q2, delta, family(indices[0]), len(indices))
        for (q2, delta), indices in sorted(found.items(), key=lambda item: item[0])
    ]


def rod_arcs(d_nn_nm: float, q2_inv_nm: np.ndarray) -> list[RodArc]:
    """Return the arcs of correlations between 111 reflections and the Bragg rods 10l of a faulted crystal.

    A rod runs along the stacking axis at a distance q100 = 4π / (√3 d) from it; where it has length q2 it makes
    the angle Δ with the first reflection, e.g. cos Δ = √(1 − q100² / q2²) with the one along the axis.

    Args:
        d_nn_nm: nearest-neighbour distance, nm.
        q2_inv_nm: momentum transfers to draw, nm⁻¹; those below q100 are left out.
    """
    q100 = rod_momentum_transfer(d_nn_nm)
    q111 = layer_momentum_transfer(d_nn_nm)
    q2 = q2_inv_nm[q2_inv_nm >= q100]
    if len(q2) and q2_inv_nm[0] < q100 < q2[0]:
        q2 = np.concatenate([[q100], q2])  # where an arc begins
    height = np.sqrt(q2**2 - q100**2)
    arcs = []
    for sign in (1, -1):
        arcs.append(RodArc(q2, np.degrees(np.arccos(sign * height / q2)), True))
        # The other 111 reflections lie on rods themselves, at a third of q111 above or below the basal plane.
        for azimuth in (0, 60, 120, 180):
            cosine = (q100**2 * np.cos(np.radians(azimuth)) + sign * height * q111 / 3) / (q2 * q111)
            arcs.append(RodArc(q2, np.degrees(np.arccos(np.clip(cosine, -1, 1))), False))
    return arcs


def _family(structure: str, hkl: np.ndarray) -> str:
    if structure == "fcc":
        return "".join(str(i) for i in sorted(np.abs(hkl), reverse=True))
    h, k, l_index = (int(i) for i in hkl)
    # The two largest of |h|, |k| and |h + k| belong to the same reflection up to symmetry.
    high, low = sorted((abs(h), abs(k), abs(h + k)))[1::-1]
    return f"{high}{low}{abs(l_index)}"


def _friedel_pair(hkl: np.ndarray) -> str:
    leading = next(int(i) for i in hkl if i)
    return " ".join(str(int(i) if leading > 0 else -int(i)) for i in hkl)

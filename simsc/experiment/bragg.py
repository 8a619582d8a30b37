"""Bragg peaks of a merged volume: where they are, what they say of the beam centre, and how the lattice stands."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.correlation.peaks import MOST_RESOLVED, cell_reflections

_STRONGEST = 12  # peaks from which an orientation is looked for
_LEAST_ANGLE_DEG = 15.0
_SUPPORT = 0.9  # part of a peak's neighbourhood that must have been measured
_SIGMA_PER_MAD, _MEDIAN_ERROR = 1.4826, 1.2533  # of normally distributed numbers


@dataclass(frozen=True, eq=False)
class BraggPeaks:
    """Peaks of an intensity volume, the strongest first.

    Args:
        q_inv_nm: (n, 3) centroids, nm⁻¹.
        height: (n,) largest smoothed intensity over the mean at the same |q|.
    """

    q_inv_nm: np.ndarray
    height: np.ndarray


@dataclass(frozen=True, eq=False)
class CentreShift:
    """By how much the true beam centre differs from the assumed one, from Friedel pairs.

    Args:
        shift_px: (2,) rows and columns to add to the assumed beam centre.
        standard_errors_px: (2,) theirs.
        n_pairs: number of Friedel pairs.
    """

    shift_px: np.ndarray
    standard_errors_px: np.ndarray
    n_pairs: int


@dataclass(frozen=True, eq=False)
class Orientation:
    """How a lattice stands.

    Args:
        rotation: from the axes of the cell to those of the volume.
        hkl: (n, 3) Miller indices of the peaks; 0 0 0 where a peak fits none.
        residual_inv_nm: root mean square distance of the indexed peaks from their reflections, nm⁻¹.
        cell: the cell that fits the indexed peaks best, in the same basis, turned.
        standard_errors: (6,) of its a, b, c, nm, and α, β, γ, degrees, from the scatter of the reflections; NaN where
            there are too few.
    """

    rotation: Rotation
    hkl: np.ndarray
    residual_inv_nm: float
    cell: Cell
    standard_errors: np.ndarray

    @property
    def indexed(self) -> float:
        """Part of the peaks that are indexed."""
        return float(self.hkl.any(axis=1).mean())


def find_peaks(
    volume: IntensityVolume,
    q_range_inv_nm: tuple[float, float],
    width_inv_nm: float = 0.01,
    height: float = 4.0,
    most: int = 200,
    least_part: float = 0.1,
) -> BraggPeaks:
    """Find Bragg peaks.

    Args:
        volume: the intensity.
        q_range_inv_nm: smallest and largest |q| to look in, nm⁻¹.
        width_inv_nm: standard deviation of a peak, nm⁻¹, with which the intensity is smoothed.
        height: least height of a peak, over the mean at the same |q|.
        most: keep so many of the strongest.
        least_part: least height of a peak in parts of that of the highest: the shape of a crystal gives each reflection
            side maxima, of 1 % for a ball and 5 % across a facet. Default 0.1.

    Raises:
        InputError: for a range or width out of range.
    """
    low, high = q_range_inv_nm
    steps = np.array([axis[1] - axis[0] for axis in volume.q_axes_inv_nm])
    if not (0 <= low < high and 0 < width_inv_nm < high):
        raise InputError(f"peaks need 0 ≤ q_min < q_max and a width, got {low:g}, {high:g} and {width_inv_nm:g} nm⁻¹")
    measured = np.ones(volume.intensity.shape, dtype=np.float32)
    values = volume.intensity.astype(np.float32)
    if volume.measured is not None:
        measured = volume.measured.astype(np.float32)
        values = np.where(volume.measured, values, 0)
    x, y, z = np.meshgrid(*volume.q_axes_inv_nm, indexing="ij", sparse=True)
    length = np.sqrt(x**2 + y**2 + z**2)
    # Over the mean at the same |q|, so that the form factor does not decide.
    shell = np.minimum((length / width_inv_nm).astype(np.int64), int(high / width_inv_nm) + 2)
    count = np.bincount(shell.ravel(), measured.ravel())
    mean = np.bincount(shell.ravel(), values.ravel()) / np.maximum(count, 1)
    contrast = np.where(mean[shell] > 0, values / np.where(mean[shell] > 0, mean[shell], 1), 0).astype(np.float32)
    sigma = width_inv_nm / steps
    support = ndimage.gaussian_filter(measured, sigma)
    smooth = ndimage.gaussian_filter(contrast, sigma) / np.maximum(support, 0.1)
    size = 2 * np.ceil(2 * sigma).astype(int) + 1
    top = (smooth == ndimage.maximum_filter(smooth, size)) & (smooth >= height)
    top &= (support >= _SUPPORT) & (length >= low) & (length <= high)
    places = np.argwhere(top)
    order = np.argsort(-smooth[top], kind="stable")[:most]
    order = order[smooth[top][order] >= least_part * smooth[top].max(initial=0.0)]
    half = np.ceil(2 * sigma).astype(int)
    inside = (places >= half).all(axis=1) & (places < np.array(smooth.shape) - half).all(axis=1)
    order = order[inside[order]]
    peaks = [_centroid(contrast, measured, volume, place, half) for place in places[order]]
    return BraggPeaks(np.array(peaks).reshape(-1, 3), smooth[top][order])


def _centroid(
    contrast: np.ndarray, measured: np.ndarray, volume: IntensityVolume, place: np.ndarray, half: np.ndarray
) -> np.ndarray:
    """Return the centroid (3,) of what stands out of its surroundings about a voxel."""
    for _ in range(2):
        box = tuple(slice(p - h, p + h + 1) for p, h in zip(place, half, strict=True))
        weight = contrast[box] * measured[box]
        edge = np.ones(weight.shape, dtype=bool)
        edge[1:-1, 1:-1, 1:-1] = False
        weight = np.maximum(weight - np.median(weight[edge]), 0) * measured[box]
        axes = [axis[part] for axis, part in zip(volume.q_axes_inv_nm, box, strict=True)]
        mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
        centre = np.array([float((weight * part).sum()) for part in mesh]) / max(float(weight.sum()), 1e-12)
        nearer = np.array([np.abs(axis - c).argmin() for axis, c in zip(volume.q_axes_inv_nm, centre, strict=True)])
        if (nearer == place).all() or (nearer < half).any() or (nearer >= np.array(contrast.shape) - half).any():
            break
        place = nearer
    return centre


def centre_shift(
    peaks: BraggPeaks, detector: Detector, first_angle_deg: float, last_angle_deg: float, farthest_inv_nm: float = 0.05
) -> CentreShift:
    """Find the beam centre from Friedel pairs.

    A peak and its mate −q meet the detector on opposite sides at nearly the same angle of the sample. If the assumed
    beam centre is off by δ, both are displaced by the same δ in the laboratory, and their sum is 2 δ, turned.

    Args:
        peaks: of the volume that was merged with the assumed centre.
        detector: the one it was merged with.
        first_angle_deg: of the scan, degrees.
        last_angle_deg: of the scan, degrees.
        farthest_inv_nm: how far from −q a mate may lie, nm⁻¹.

    Raises:
        InputError: if there are fewer than 3 pairs.
    """
    q = peaks.q_inv_nm
    if len(q) == 0:
        raise InputError("there are no Bragg peaks to tell the beam centre from")
    distance, mate = KDTree(q).query(-q)
    mutual = (mate[mate] == np.arange(len(q))) & (distance < farthest_inv_nm) & (mate > np.arange(len(q)))
    one, two = q[mutual], q[mate[mutual]]
    # At which angle of the sample the first of them was on the right: q_lab = R_z(angle) q.
    curvature = np.degrees(np.arcsin(np.minimum(_curvature(one, detector), 1.0)))
    azimuth = np.degrees(np.arctan2(one[:, 1], one[:, 0]))
    angle = -curvature - azimuth
    low, high = sorted((first_angle_deg, last_angle_deg))
    angle = low + (angle - low) % 360
    right = angle <= high
    angle = np.where(right, angle, low + (180 + curvature - azimuth - low) % 360)
    seen = angle <= high
    if seen.sum() < 3:
        raise InputError(
            f"{seen.sum()} Friedel pairs of Bragg peaks are too few to find the beam centre; give it, look at a "
            "wider range of q, or for wider peaks (--peak-width) where frames lie far apart"
        )
    total, angle = (one + two)[seen], np.radians(angle[seen])
    # The horizontal direction of the laboratory as the sample sees it.
    horizontal = total[:, 0] * np.cos(angle) - total[:, 1] * np.sin(angle)
    per_px = np.array(detector.pixel_m) * detector.wavenumber_inv_nm / detector.distance_m
    # Rows go down and z up: a centre assumed too high makes all z too small.
    shifts = np.column_stack([-total[:, 2] / per_px[0], horizontal / per_px[1]]) / 2
    middle = np.median(shifts, axis=0)
    spread = _SIGMA_PER_MAD * np.median(np.abs(shifts - middle), axis=0)
    return CentreShift(middle, _MEDIAN_ERROR * spread / np.sqrt(len(shifts)), len(shifts))


def orientation(peaks: BraggPeaks, cell: Cell, tolerance_inv_nm: float = 0.02) -> Orientation:
    """Find the orientation of a lattice of known cell, by indexing Bragg peaks.

    Two strong peaks and two reflections of the same lengths and angle give a rotation; the one that indexes most peaks
    is refined by least squares, then the cell as well.

    Args:
        peaks: of a volume.
        cell: primitive cell of the lattice, one NP in it.
        tolerance_inv_nm: how far a peak may lie from its reflection, nm⁻¹.

    Raises:
        InputError: if no orientation indexes at least 4 peaks that are not in a plane.
    """
    q = peaks.q_inv_nm
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm)  # columns
    largest = float(np.linalg.norm(q, axis=1).max(initial=0.0)) + tolerance_inv_nm
    g, _, _ = cell_reflections(cell, np.zeros((1, 3)), largest)
    if len(g) > MOST_RESOLVED:
        raise InputError(
            f"a cell of {cell.volume_nm3:.4g} nm³ has {len(g)} reflections up to {largest:.3g} nm⁻¹, so that any "
            "peak is near one; edges are nm, of a primitive cell"
        )
    lengths, g_lengths = np.linalg.norm(q, axis=1), np.linalg.norm(g, axis=1)
    best: tuple[int, float, Rotation] = (0, np.inf, Rotation.identity())
    for i, j in itertools.combinations(range(min(_STRONGEST, len(q))), 2):
        cosine = q[i] @ q[j] / (lengths[i] * lengths[j])
        if abs(cosine) > np.cos(np.radians(_LEAST_ANGLE_DEG)):
            continue
        first, second = (np.flatnonzero(np.abs(g_lengths - lengths[k]) < tolerance_inv_nm) for k in (i, j))
        cosines = (g[first] @ g[second].T) / np.outer(g_lengths[first], g_lengths[second])
        slack = tolerance_inv_nm / min(lengths[i], lengths[j])
        for a, b in np.argwhere(np.abs(np.arccos(np.clip(cosines, -1, 1)) - np.arccos(cosine)) < 2 * slack):
            turn, _ = Rotation.align_vectors([q[i], q[j]], [g[first[a]], g[second[b]]])
            hkl, distance = _indices(turn.inv().apply(q), reciprocal, tolerance_inv_nm)
            good = hkl.any(axis=1)
            score = (int(good.sum()), float((distance[good] ** 2).sum()))
            if score[0] > best[0] or (score[0] == best[0] and score[1] < best[1]):
                best = (*score, turn)
    turn = best[2]
    for _ in range(5):
        hkl, _ = _indices(turn.inv().apply(q), reciprocal, tolerance_inv_nm)
        good = hkl.any(axis=1)
        if good.sum() < 4 or np.linalg.matrix_rank(hkl[good]) < 3:
            raise InputError(
                f"the cell indexes {good.sum()} of {len(q)} Bragg peaks only; check the cell and the "
                "range of q, and if the crystal is small or gaps are large, import with fewer voxels (--grid)"
            )
        turn, _ = Rotation.align_vectors(q[good], hkl[good] @ reciprocal.T)
    distance = np.linalg.norm(turn.apply(hkl[good] @ reciprocal.T) - q[good], axis=1)
    fitted, errors = _fitted_cell(q[good], hkl[good])
    return Orientation(turn, hkl, float(np.sqrt((distance**2).mean())), fitted, errors)


def _indices(q_inv_nm: np.ndarray, reciprocal: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Miller indices (n, 3) of momentum transfers in the frame of the cell, 0 0 0 for none, and distances."""
    hkl = np.rint(np.linalg.solve(reciprocal, q_inv_nm.T).T).astype(int)
    distance = np.linalg.norm(hkl @ reciprocal.T - q_inv_nm, axis=1)
    hkl[distance > tolerance] = 0
    return hkl, distance


def _fitted_cell(q_inv_nm: np.ndarray, hkl: np.ndarray) -> tuple[Cell, np.ndarray]:
    """Return the cell that fits indexed peaks best, and the standard errors (6,) of its parameters.

    Friedel mates are one observation: voxels, form factor and gaps displace both alike. Peaks scatter differently, the
    more the nearer they are to a zero of the form factor, and so do their components: hence the covariance of MacKinnon
    and White (HC3, J. Econom. 1985, 29, 305, DOI 10.1016/0304-4076(85)90158-7), a jackknife over the reflections.
    """
    sign = np.where(_leads(hkl), 1, -1)[:, None]
    indices, which = np.unique(sign * hkl, axis=0, return_inverse=True)
    number = np.bincount(which.ravel())[:, None]
    q = np.zeros((len(indices), 3))
    np.add.at(q, which.ravel(), sign * q_inv_nm)
    q /= number
    inverse = np.linalg.inv(indices.T @ indices)
    reciprocal = inverse @ indices.T @ q  # rows
    leverage = np.einsum("ni,ij,nj->n", indices, inverse, indices)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A reflection without which the cell is not determined says nothing about its own error.
        left_out = np.where(leverage < 1 - 1e-9, 1 / (1 - leverage), np.nan)[:, None] * (q - indices @ reciprocal)
    moved_by = np.einsum("ij,nj,nx->nix", inverse, indices, left_out)

    def parameters(rows: np.ndarray) -> np.ndarray:
        return Cell(2 * np.pi * np.linalg.inv(rows).T).parameters

    step = 1e-5 * np.abs(reciprocal).max()
    jacobian = np.empty((6, 3, 3))
    for k in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[k] = step
        jacobian[(slice(None), *k)] = (parameters(reciprocal + moved) - parameters(reciprocal - moved)) / (2 * step)
    errors = np.sqrt((np.einsum("pix,nix->pn", jacobian, moved_by) ** 2).sum(axis=1))
    return Cell(2 * np.pi * np.linalg.inv(reciprocal).T), errors


def _leads(hkl: np.ndarray) -> np.ndarray:
    """Return which indices (n, 3) come first in their Friedel pair: those whose first one that is not 0 is positive."""
    first = (hkl != 0).argmax(axis=1)
    return hkl[np.arange(len(hkl)), first] > 0


def _curvature(q_inv_nm: np.ndarray, detector: Detector) -> np.ndarray:
    """Return the sine of the angle (n,) by which the Ewald sphere bends away from the horizontal axis at each q."""
    flat = np.maximum(np.hypot(q_inv_nm[:, 0], q_inv_nm[:, 1]), 1e-12)
    return (q_inv_nm**2).sum(axis=1) / (2 * detector.wavenumber_inv_nm) / flat

"""Coulomb potentials between atoms, of a finite system or of a periodic cell (Ewald sum)."""

import itertools

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import erfc

from simsc.core.errors import InputError

COULOMB_KCAL_ANGSTROM = 332.06371  # kcal Å/mol/e², of LAMMPS, units real

_SHARPNESS = 6.0  # both Ewald sums end where their terms have fallen to exp(−36) = 2e-16
_BALANCE = 5.0  # α ∛V, so that the two sums take about the same time; the result does not depend on it
_ROWS_A_PIECE = 2_000_000  # pairs at a time: bounds the memory


def inverse_distances(
    points_angstrom: np.ndarray,
    sources_angstrom: np.ndarray,
    own: np.ndarray,
    cell_angstrom: np.ndarray | None = None,
) -> np.ndarray:
    """Return what a unit charge at each source does at each point: 1/r, or its sum over all periodic images.

    The sum over images is that of Ewald (DOI 10.1002/andp.19213690304) with a neutralising background and conducting
    surroundings, as in LAMMPS's `ewald` and `pppm`; it is exact to about 1e-14 of 1/Å.

    Args:
        points_angstrom: (p, 3) points, Å.
        sources_angstrom: (s, 3) charges, Å.
        own: (p,) which source stands at the point itself: of it only the images count.
        cell_angstrom: (3, 3) cell vectors as rows, Å; None for a finite system.

    Returns:
        (p, s) matrix, Å⁻¹; infinite where two different atoms coincide.

    Raises:
        InputError: if the cell has no volume.

    Example:
        >>> rock_salt = np.array(list(itertools.product((0, 1), repeat=3)), dtype=float)  # a primitive cube of ions
        >>> charges = (-1.0) ** rock_salt.sum(axis=1)
        >>> matrix = inverse_distances(rock_salt, rock_salt, np.arange(8), 2 * np.eye(3))
        >>> print(f"Madelung constant {-matrix[0] @ charges:.9f}")
        Madelung constant 1.747564595
    """
    if cell_angstrom is None:
        with np.errstate(divide="ignore"):
            found = 1 / cdist(points_angstrom, sources_angstrom)
        found[np.arange(len(own)), own] = 0.0
        return found
    cell = np.asarray(cell_angstrom, dtype=np.float64)
    volume = abs(np.linalg.det(cell))
    if not volume > 0:
        raise InputError("the cell has no volume: three cell vectors that span space are needed")
    alpha = _BALANCE / volume ** (1 / 3)
    found = _reciprocal_sum(points_angstrom, sources_angstrom, cell, volume, alpha)
    _add_real_sum(found, points_angstrom, sources_angstrom, own, cell, alpha)
    return found


def potential_at(
    positions_angstrom: np.ndarray,
    charges_e: np.ndarray,
    atoms: np.ndarray,
    cell_angstrom: np.ndarray | None = None,
) -> np.ndarray:
    """Return the electrostatic potential at some atoms, kcal/mol/e.

    Args:
        positions_angstrom: (n, 3) all atoms, Å.
        charges_e: (n,) their charges, e.
        atoms: (m,) indices of the atoms asked for.
        cell_angstrom: (3, 3) cell vectors as rows, Å; None for a finite system.

    Returns:
        (m,) potentials of all other atoms, and of the atom's own periodic images.
    """
    found = np.empty(len(atoms))
    rows = max(1, _ROWS_A_PIECE // len(charges_e))
    for start in range(0, len(atoms), rows):
        some = atoms[start : start + rows]
        found[start : start + rows] = (
            inverse_distances(positions_angstrom[some], positions_angstrom, some, cell_angstrom) @ charges_e
        )
    return COULOMB_KCAL_ANGSTROM * found


def _reciprocal_sum(
    points: np.ndarray, sources: np.ndarray, cell: np.ndarray, volume: float, alpha: float
) -> np.ndarray:
    """Return Σ_k 4π/(V k²) exp(−k²/4α²) cos k·(r − s), and the background."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    longest = 2 * alpha * _SHARPNESS
    counts = np.floor(longest * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    indices = np.array(list(itertools.product(*(range(-c, c + 1) for c in counts))))
    indices = indices[len(indices) // 2 + 1 :]  # one of each ±k
    k = indices @ reciprocal
    k2 = (k**2).sum(axis=1)
    k, k2 = k[k2 <= longest**2], k2[k2 <= longest**2]
    amplitude = np.sqrt(8 * np.pi / (volume * k2) * np.exp(-k2 / (4 * alpha**2)))
    found = np.full((len(points), len(sources)), -np.pi / (volume * alpha**2))
    for start in range(0, len(k), 512):
        some = slice(start, start + 512)
        at, of = points @ k[some].T, sources @ k[some].T
        found += (amplitude[some] * np.cos(at)) @ (amplitude[some] * np.cos(of)).T
        found += (amplitude[some] * np.sin(at)) @ (amplitude[some] * np.sin(of)).T
    return found


def _add_real_sum(
    found: np.ndarray, points: np.ndarray, sources: np.ndarray, own: np.ndarray, cell: np.ndarray, alpha: float
) -> None:
    """Add Σ_images erfc(α r)/r; what is missing at r = 0 is −2α/√π."""
    cutoff = _SHARPNESS / alpha
    inverse = np.linalg.inv(cell)
    widths = 1 / np.linalg.norm(inverse, axis=0)
    shifts = list(itertools.product(*(range(-c, c + 1) for c in np.floor(cutoff / widths + 0.5).astype(int))))
    rows = max(1, _ROWS_A_PIECE // max(1, len(sources)))
    for start in range(0, len(points), rows):
        some = slice(start, start + rows)
        nearest = (points[some, None] - sources) @ inverse
        nearest -= np.round(nearest)
        nearest = nearest @ cell
        at_home = np.zeros(nearest.shape[:2], dtype=bool)
        at_home[np.arange(len(nearest)), own[some]] = True
        for shift in shifts:
            r = np.linalg.norm(nearest + np.array(shift) @ cell, axis=2)
            near = r < cutoff
            if not any(shift):
                near &= ~at_home
                found[some][at_home] -= 2 * alpha / np.sqrt(np.pi)
            with np.errstate(divide="ignore"):
                found[some][near] += erfc(alpha * r[near]) / r[near]

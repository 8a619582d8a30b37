"""Slow sums straight from the definitions, with which tests compare what simsc computes faster."""

import itertools

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice
from simsc.scattering.atoms import Atoms, form_factors
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.sphere import SPHERE


def direct_amplitudes(scatterer: Superlattice | Atoms, q: np.ndarray, form: Form = SPHERE) -> np.ndarray:
    """Return F_j(q) for momentum transfers (..., 3), NP by NP (..., N)."""
    lengths = np.linalg.norm(q, axis=-1)[..., None]
    if isinstance(scatterer, Atoms):
        return np.stack([form_factors([element], lengths[..., 0])[0] for element in scatterer.elements], axis=-1)
    if form.isotropic:
        return form.amplitude(lengths, scatterer.radii_nm)
    stood = scatterer.orientations
    turns = Rotation.identity(scatterer.n) if stood is None else Rotation.from_quat(stood)
    in_body = np.stack([turn.inv().apply(q.reshape(-1, 3)).reshape(q.shape) for turn in turns], axis=-2)
    return form.amplitude(in_body, scatterer.radii_nm)


def direct_intensity(
    scatterer: Superlattice | Atoms, q: np.ndarray, form: Form = SPHERE, sigma_nm: float = 0.0
) -> np.ndarray:
    """Return |Σ F exp(−i q·r)|² for momentum transfers (..., 3), summed NP by NP, of NPs that vibrate."""
    amplitudes = direct_amplitudes(scatterer, q, form)
    coherent = np.abs((amplitudes * np.exp(-1j * q @ scatterer.positions_nm.T)).sum(axis=-1)) ** 2
    damping = np.exp(-(q**2).sum(axis=-1) * sigma_nm**2)
    return coherent * damping + (np.abs(amplitudes) ** 2).sum(axis=-1) * (1 - damping)


def apart(one: np.ndarray, other: np.ndarray, cell: Cell) -> float:
    """Return the largest distance between places that should be the same up to a vector of the lattice."""
    shifts = np.array(list(itertools.product(*([-1, 0, 1] if p else [0] for p in cell.periodic)))) @ cell.vectors_nm
    within = cell.fractional(one - other)
    within -= np.rint(within) * cell.periodic
    moves = (within @ cell.vectors_nm)[:, None] + shifts
    return float(np.linalg.norm(moves, axis=2).min(axis=1).max())

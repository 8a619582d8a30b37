"""Contacts between nanoparticles of a finite crystal, and a short relaxation that evens out their distances."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from simsc.build.close_packed import check_distance
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

CONTACT = 1.3  # longest contact, in units of d_NN: between the widest wedge of an anti-Mackay shell, 1.27, and √2

_SOFTEST, _STIFFEST = 1.0, 20.0
_STORED = 8  # corrections of L-BFGS
_BALANCED = 1e-4  # largest force left, as the change of one contact's length, in units of d_NN, that would make it


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A relaxed crystal and its contacts.

    Args:
        superlattice: the NPs after relaxation, in the order that they had.
        pairs: (M, 2) numbers of NPs in contact.
        before_nm: (M,) their distances before, nm.
        after_nm: (M,) their distances after, nm.
        steps: number of steps taken.
        converged: whether forces balance.
    """

    superlattice: Superlattice
    pairs: np.ndarray
    before_nm: np.ndarray
    after_nm: np.ndarray
    steps: int
    converged: bool


def contacts(superlattice: Superlattice, d_nn_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the NPs in contact, nearer than 1.3 d_NN, and their distances.

    Args:
        superlattice: NPs in free space.
        d_nn_nm: nearest-neighbour distance, nm.

    Returns:
        (M, 2) numbers of the NPs of each pair, and (M,) distances, nm.

    Raises:
        InputError: for a superlattice in a periodic cell, or a distance that is not positive.

    Example:
        >>> from simsc.build.supraparticle import icosahedral
        >>> distances = contacts(icosahedral(6, 6.2), 6.2)[1]
        >>> len(distances), f"{distances.std() / 6.2:.4f}"
        (4902, '0.0256')
    """
    check_distance(d_nn_nm)
    if superlattice.cell is not None:
        raise InputError("contacts are those of a finite crystal: take it out of its cell with in_free_space()")
    positions = superlattice.positions_nm
    pairs = cKDTree(positions).query_pairs(CONTACT * d_nn_nm, output_type="ndarray")
    return pairs, np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)


def relax_contacts(superlattice: Superlattice, d_nn_nm: float, stiffness: float = 6.0, max_steps: int = 500) -> Relaxed:
    """Relax the contacts of a finite crystal towards one distance.

    The contacts of the crystal as it stands, pairs nearer than 1.3 d_NN, are bound by the potential
    U(r) = (1 − exp(−ρ (r / d_NN − 1)))² of Morse (Phys. Rev. 34 (1929) 57, DOI 10.1103/PhysRev.34.57), and its energy
    is minimised by L-BFGS. Repulsion is steeper than attraction. Other pairs do not see each other: this evens out
    strained clusters, it does not anneal them.

    Args:
        superlattice: NPs in free space.
        d_nn_nm: distance at which the potential is least, nm.
        stiffness: ρ, 1 … 20. At 6 (default) the potential is as curved as Lennard-Jones' and the spread of distances
            falls; a larger one leaves more of the crystal perfect, and, from about 10, tears the wedges of anti-Mackay
            layers open, so that the spread of all distances grows.
        max_steps: most steps to take, ≥ 1.

    Raises:
        InputError: for a superlattice in a cell, without contacts, or numbers out of range.

    Example:
        >>> from simsc.build.supraparticle import icosahedral
        >>> relaxed = relax_contacts(icosahedral(6, 6.2), 6.2)
        >>> f"{relaxed.before_nm.std() / 6.2:.4f} {relaxed.after_nm.std() / 6.2:.4f}"
        '0.0256 0.0169'
    """
    if not _SOFTEST <= stiffness <= _STIFFEST:
        raise InputError(f"the stiffness of contacts must lie in {_SOFTEST:g} … {_STIFFEST:g}, got {stiffness:g}")
    if max_steps < 1:
        raise InputError(f"a relaxation needs at least one step, got {max_steps}")
    pairs, before_nm = contacts(superlattice, d_nn_nm)
    if len(pairs) == 0:
        raise InputError(f"no two NPs are nearer than {CONTACT * d_nn_nm:g} nm; check the nearest-neighbour distance")
    if before_nm.min() <= 0:
        raise InputError("two NPs lie at the same place")
    one, other = np.ascontiguousarray(pairs.T)
    start = superlattice.positions_nm / d_nn_nm
    n = superlattice.n

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Return U / 2ρ² and its gradient: a contact's length counts with a force constant of 1."""
        positions = flat.reshape(n, 3)
        vectors = positions[one] - positions[other]
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        decay = np.exp(-stiffness * (lengths - 1))
        vectors *= ((1 - decay) * decay / (stiffness * lengths))[:, None]
        forces = [np.bincount(one, part, n) - np.bincount(other, part, n) for part in vectors.T]
        return float(((1 - decay) ** 2).sum()) / (2 * stiffness**2), np.stack(forces, axis=1).ravel()

    options = {"maxiter": max_steps, "maxfun": 4 * max_steps, "maxcor": _STORED, "gtol": _BALANCED, "ftol": 0.0}
    result = minimize(energy, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    positions_nm = result.x.reshape(n, 3) * d_nn_nm
    after_nm = np.linalg.norm(positions_nm[one] - positions_nm[other], axis=1)
    return Relaxed(
        Superlattice(positions_nm, superlattice.radii_nm),
        pairs,
        before_nm,
        after_nm,
        int(result.nit),
        bool(np.abs(result.jac).max() <= _BALANCED),
    )

"""Contacts between nanoparticles of a finite crystal, and a short relaxation that evens out their distances."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from simsc.core.close_packing import check_distance
from simsc.core.errors import InputError, SimscWarning
from simsc.core.superlattice import Superlattice

CONTACT = 1.3  # longest contact, in units of d_NN: between the widest wedge of an anti-Mackay shell, 1.27, and √2

_HARDEST = 100.0
_STORED = 8  # corrections of L-BFGS
_BALANCED = 1e-4  # largest force left: that of a spring stretched by so much of d_NN


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
        >>> from simsc.builders.supraparticle import icosahedron
        >>> distances = contacts(icosahedron(6, 6.2), 6.2)[1]
        >>> len(distances), f"{distances.std() / 6.2:.4f}"
        (4902, '0.0256')
    """
    check_distance(d_nn_nm)
    if superlattice.cell is not None:
        raise InputError("contacts are those of a finite crystal: take it out of its cell with in_free_space()")
    positions = superlattice.positions_nm
    pairs = cKDTree(positions).query_pairs(CONTACT * d_nn_nm, output_type="ndarray")
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    return pairs, np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)


def relax_contacts(superlattice: Superlattice, d_nn_nm: float, hardness: float = 4.0, max_steps: int = 1000) -> Relaxed:
    """Relax the contacts of a finite crystal towards one distance.

    The contacts of the crystal as it stands, pairs nearer than 1.3 d_NN, become springs of length d_NN, which are
    harder to compress than to stretch, as ligand shells are:
    U(r) = ½ (r − d_NN)², times `hardness` where r < d_NN. The sum is minimised by L-BFGS. Other pairs do not see each
    other: this evens out strained clusters, it does not anneal or tear them. (A Morse or Lennard-Jones potential
    opens the wedges of large anti-Mackay clusters further.) Where no contact was shorter than d_NN before, their mean
    square deviation from d_NN cannot grow.

    Args:
        superlattice: NPs in free space.
        d_nn_nm: length of the springs, nm.
        hardness: force constant in compression over that in tension, 1 … 100. With 1 the mean square deviation from
            d_NN is the least there can be.
        max_steps: most steps to take, ≥ 1. About 60 are needed for 10⁴ NPs and 150 for 10⁵, which
            takes seconds; a step of 10⁶ NPs takes 0.7 s and 1.7 GB.

    Raises:
        InputError: for a superlattice in a cell, without contacts, or numbers out of range.

    Warns:
        SimscWarning: if cores overlap that did not before.

    Example:
        >>> from simsc.builders.supraparticle import icosahedron
        >>> relaxed = relax_contacts(icosahedron(6, 6.2), 6.2)
        >>> f"{relaxed.before_nm.std() / 6.2:.4f} {relaxed.after_nm.std() / 6.2:.4f}"
        '0.0256 0.0173'
    """
    from scipy.optimize import minimize  # slow to load

    if not 1 <= hardness <= _HARDEST:
        raise InputError(f"the hardness of contacts must lie in 1 … {_HARDEST:g}, got {hardness:g}")
    if max_steps < 1:
        raise InputError(f"a relaxation needs at least one step, got {max_steps}")
    pairs, before_nm = contacts(superlattice, d_nn_nm)
    if len(pairs) == 0:
        raise InputError(f"no two NPs are nearer than {CONTACT * d_nn_nm:g} nm; check the nearest-neighbour distance")
    if before_nm.min() <= 0:
        raise InputError("two NPs lie at the same place")
    n, m = superlattice.n, len(pairs)
    # Rows of +1 and −1: from positions to the vectors of contacts, and transposed from their forces to those on NPs.
    ends = np.arange(0, 2 * m + 1, 2)
    difference = csr_array((np.tile([1.0, -1.0], m), pairs.ravel(), ends), shape=(m, n))
    gather = difference.T.tocsr()

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        vectors = difference @ flat.reshape(n, 3)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        stretch = lengths - 1
        tension = np.where(stretch < 0, hardness * stretch, stretch)
        vectors *= (tension / lengths)[:, None]
        return float(tension @ stretch) / 2, (gather @ vectors).ravel()

    options = {"maxiter": max_steps, "maxfun": 4 * max_steps, "maxcor": _STORED, "gtol": _BALANCED, "ftol": 0.0}
    start = (superlattice.positions_nm / d_nn_nm).ravel()
    result = minimize(energy, start, jac=True, method="L-BFGS-B", options=options)
    positions_nm = result.x.reshape(n, 3) * d_nn_nm
    after_nm = np.linalg.norm(difference @ positions_nm, axis=1)
    converged = bool(np.abs(result.jac).max() <= _BALANCED)
    relaxed = replace(superlattice, positions_nm=positions_nm)
    if relaxed.radii_nm is not None:
        overlaps = int((after_nm < relaxed.radii_nm[pairs].sum(axis=1)).sum())
        if overlaps > ((before_nm < relaxed.radii_nm[pairs].sum(axis=1)).sum()):
            warnings.warn(
                f"after relaxation the cores of {overlaps} of {m} contacts overlap; a larger hardness keeps them apart",
                SimscWarning,
                stacklevel=2,
            )
    return Relaxed(relaxed, pairs, before_nm, after_nm, int(result.nit), converged)

"""Point defects: vacancies and displacements of nanoparticles."""

from dataclasses import replace

import numpy as np

from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice


def with_vacancies(superlattice: Superlattice, fraction: float, rng: np.random.Generator) -> Superlattice:
    """Take NPs out at random places.

    Args:
        superlattice: NPs.
        fraction: of the NPs that are missing, 0 ≤ fraction < 1; their number is the nearest whole one.
        rng: source of the places.

    Returns:
        The NPs that are left, in the order that they had.

    Raises:
        InputError: for a fraction out of range, or one that leaves no NP.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> with_vacancies(ball("fcc", 16.0, n=1000), 0.02, np.random.default_rng(1)).n
        980
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the fraction of vacancies must lie in 0 … 1, without 1, got {fraction:g}")
    missing = round(fraction * superlattice.n)
    if missing == superlattice.n:
        raise InputError(f"a fraction of vacancies of {fraction:g} leaves none of {superlattice.n} NPs")
    kept = np.ones(superlattice.n, dtype=bool)
    kept[rng.choice(superlattice.n, missing, replace=False)] = False
    return superlattice.chosen(kept)


def with_displacements(superlattice: Superlattice, sigma_nm: float, rng: np.random.Generator) -> Superlattice:
    """Move each NP by itself: Gaussian displacements, as of an Einstein crystal.

    Args:
        superlattice: NPs.
        sigma_nm: standard deviation of the displacement along each of x, y and z, nm.
        rng: source of the displacements.

    Raises:
        InputError: for a deviation that is negative or not finite.
    """
    if not (np.isfinite(sigma_nm) and sigma_nm >= 0):
        raise InputError(f"the displacement of NPs must be 0 or a positive number (nm), got {sigma_nm:g}")
    moved = superlattice.positions_nm + rng.normal(scale=sigma_nm, size=(superlattice.n, 3))
    return replace(superlattice, positions_nm=moved)

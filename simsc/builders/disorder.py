"""What real crystals have and built ones lack: a spread of core radii, vacancies and displacements, in one call."""

from typing import Literal

import numpy as np

from simsc.builders.defects import with_displacements, with_vacancies
from simsc.builders.finite_crystal import RADIUS_DISTRIBUTIONS
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import Structure, as_superlattice


def disordered(
    structure: Structure,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    radii: Literal["normal", "lognormal"] | str = "normal",
    vacancies: float = 0.0,
    displacement_nm: float = 0.0,
    seed: int | np.random.Generator = 1,
) -> Superlattice:
    """Give NPs random core radii, take some out, and move each by itself.

    Args:
        structure: NPs: a superlattice, or what `simsc.io.adapters.as_superlattice` takes.
        radius_nm: mean core radius, nm; None leaves radii as they are.
        radius_std_nm: its standard deviation, nm.
        radii: distribution of the core radius, "normal" (default) or "lognormal".
        vacancies: fraction of NPs that are missing, 0 ≤ fraction < 1.
        displacement_nm: standard deviation of random displacements along x, y and z, nm.
        seed: of all that is random: a number, or a generator.

    Raises:
        InputError: for numbers out of range, or a spread without a radius.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> disordered(ball("fcc", 16.0, n=1000), 7.4, 0.8, vacancies=0.02)
        Superlattice(980 NPs in free space, 177.9 nm across, radii 7.359 ± 0.79 nm)
    """
    superlattice, rng = as_superlattice(structure), np.random.default_rng(seed)
    if radii not in RADIUS_DISTRIBUTIONS:
        raise InputError(f"radii {radii!r}: their distribution is {' or '.join(RADIUS_DISTRIBUTIONS)}")
    if radius_nm is None and radius_std_nm:
        raise InputError("a spread of core radii, radius_std_nm, needs their mean, radius_nm (nm)")
    if radius_nm is not None:
        superlattice = RADIUS_DISTRIBUTIONS[radii](superlattice, radius_nm, radius_std_nm, rng)
    return with_displacements(with_vacancies(superlattice, vacancies, rng), displacement_nm, rng)

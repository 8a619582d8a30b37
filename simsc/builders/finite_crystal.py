"""Finite crystals for scattering: cut out of a replicated periodic superlattice, with a spread of core radii."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice


@dataclass(frozen=True)
class CoreRadii:
    """Core radii of NPs, from a normal distribution.

    Args:
        mean_nm: their mean, nm; None (default) leaves each NP its own radius.
        std_nm: their standard deviation, nm; 0 (default) for equal radii.
        seed: of the radii.
    """

    mean_nm: float | None = None
    std_nm: float = 0.0
    seed: int = 1

    def given_to(self, superlattice: Superlattice) -> Superlattice:
        """Return NPs with these radii.

        Raises:
            InputError: for radii as in `with_normal_radii`.
        """
        if self.mean_nm is None:
            return superlattice
        return with_normal_radii(superlattice, self.mean_nm, self.std_nm, np.random.default_rng(self.seed))


def finite_crystal(
    superlattice: Superlattice,
    replicate: tuple[int, int, int],
    shape: Literal["ball", "block"],
    radius_nm: float,
    radius_std_nm: float,
    rng: np.random.Generator,
) -> Superlattice:
    """Repeat a periodic cell, give the NPs normally distributed radii, and keep a finite crystal.

    Copies vibrate in step, since each is the same frame; averages over frames make up for that. Radii belong to the
    NPs of the replicated cell, so that frames of one trajectory with the same seed differ by their motion only.

    Args:
        superlattice: NPs in a periodic cell.
        replicate: copies along each cell vector.
        shape: "ball" keeps the largest ball inside, whose truncation adds no streaks to the intensity; "block"
            keeps everything.
        radius_nm: mean core radius, nm.
        radius_std_nm: standard deviation of the core radius, nm.
        rng: source of the radii.

    Raises:
        InputError: without a cell, for counts below 1, or radii as in `with_normal_radii`.
    """
    replica = with_normal_radii(superlattice.replicate(replicate), radius_nm, radius_std_nm, rng)
    return replica.largest_ball() if shape == "ball" else replica.in_free_space()


def with_normal_radii(
    superlattice: Superlattice, radius_nm: float, radius_std_nm: float, rng: np.random.Generator
) -> Superlattice:
    """Give each NP a core radius from a normal distribution.

    Args:
        superlattice: NPs.
        radius_nm: mean core radius, nm.
        radius_std_nm: standard deviation, nm; 0 for equal radii.
        rng: source of the radii.

    Raises:
        InputError: for a mean that is not positive, or a deviation that is negative or above a quarter of the mean,
            where a normal distribution would reach radii at and below 0.
    """
    _check_radius(radius_nm)
    if not 0 <= radius_std_nm <= radius_nm / 4:
        raise InputError(
            f"the standard deviation of the core radius must lie in 0 … radius / 4 (nm), got {radius_std_nm:g}"
        )
    # 4 standard deviations at most: keeps every radius positive and changes the distribution by less than 1e-4.
    deviations = np.clip(rng.normal(size=superlattice.n), -3.9, 3.9)
    return superlattice.with_radii(radius_nm + radius_std_nm * deviations)


def with_lognormal_radii(
    superlattice: Superlattice, radius_nm: float, radius_std_nm: float, rng: np.random.Generator
) -> Superlattice:
    """Give each NP a core radius from a lognormal distribution.

    Args:
        superlattice: NPs.
        radius_nm: mean core radius (not its median), nm.
        radius_std_nm: standard deviation, nm; 0 for equal radii.
        rng: source of the radii.

    Raises:
        InputError: for a mean that is not positive, or a deviation that is negative or above the mean.

    Example:
        >>> one = Superlattice(np.zeros((100_000, 3)))
        >>> radii = with_lognormal_radii(one, 7.4, 0.8, np.random.default_rng(1)).radii_nm
        >>> print(f"{radii.mean():.1f} {radii.std():.1f}")
        7.4 0.8
    """
    _check_radius(radius_nm)
    if not 0 <= radius_std_nm <= radius_nm:
        raise InputError(
            f"the standard deviation of the core radius must lie in 0 … radius (nm), got {radius_std_nm:g}"
        )
    variance = np.log1p((radius_std_nm / radius_nm) ** 2)
    return superlattice.with_radii(
        radius_nm * np.exp(np.sqrt(variance) * rng.normal(size=superlattice.n) - variance / 2)
    )


RADIUS_DISTRIBUTIONS = {"normal": with_normal_radii, "lognormal": with_lognormal_radii}


def _check_radius(radius_nm: float) -> None:
    if not (np.isfinite(radius_nm) and radius_nm > 0):
        raise InputError(f"the core radius must be a positive number (nm), got {radius_nm:g}")

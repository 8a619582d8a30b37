"""Coarse-grained models by the names of their parameter sets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom
from simsc.forcefield.chains import DEFAULT, chain_names, load_chains
from simsc.forcefield.one_site import load_one_site, one_site_names
from simsc.models.chains import dress_chains
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import LammpsSystem
from simsc.models.one_site import dress_one_site

__all__ = ["DEFAULT", "CoarseGrained", "coarse_grained", "coarse_grained_names"]


@dataclass(frozen=True)
class CoarseGrained:
    """A coarse-grained model and where it holds.

    Args:
        name: of the parameter set, its folder in `forcefields/`.
        timestep_fs: time step, fs.
        core_radius_nm: smallest and largest core radius, nm.
        temperature_K: lowest and highest temperature, K.
        reach_nm: how far apart the centres of two NPs of the largest radius may be to attract one another, less twice
            that radius, nm.
        derived_d_nn_nm: nearest-neighbour distances that the model was derived from, nm; None where it is not tied to
            any.
        thermostat: the one that gives the model its own dynamics.
        dress: makes the system of a superlattice; takes random numbers, and what the cores look like.
        only_spheres: whether it takes spheres with the coverage of the parameter set alone.
    """

    name: str
    timestep_fs: float
    core_radius_nm: tuple[float, float]
    temperature_K: tuple[float, float]
    reach_nm: float
    derived_d_nn_nm: tuple[float, float] | None
    thermostat: Literal["nose_hoover", "langevin"]
    dress: Callable[[Superlattice, np.random.Generator, Dressing], LammpsSystem]
    only_spheres: bool

    def check(self, radius_nm: float, temperature_K: float, dressing: Dressing) -> None:
        """Check that the model holds for NPs and a temperature.

        Raises:
            InputError: if it does not; tells for what it does.
        """
        low, high = self.core_radius_nm
        if not low <= radius_nm <= high:
            raise InputError(f"core radius {radius_nm:g} nm: {self.name} holds for {low:g} to {high:g} nm")
        low, high = self.temperature_K
        if not low <= temperature_K <= high:
            raise InputError(f"{temperature_K:g} K: {self.name} holds from {low:g} to {high:g} K")
        if self.only_spheres and dressing != SPHERES:
            raise InputError(f"{self.name} holds for spheres with its own coverage alone")


def coarse_grained_names() -> list[str]:
    """Return the names of the parameter sets that simsc comes with."""
    return [*chain_names(), *one_site_names()]


def coarse_grained(name: str = DEFAULT) -> CoarseGrained:
    """Return the model of a parameter set.

    Raises:
        InputError: if there is no such set, or its file does not hold what the model needs.
    """
    if name in one_site_names():
        site = load_one_site(name)
        radius_nm = site.validity.core_radius_nm
        return CoarseGrained(
            name=name,
            timestep_fs=site.dynamics.timestep_fs,
            core_radius_nm=(radius_nm, radius_nm),
            temperature_K=site.validity.temperature_K,
            reach_nm=nm_from_angstrom(site.potential.r_angstrom[-1]) - 2 * radius_nm,
            derived_d_nn_nm=site.validity.d_nn_nm,
            thermostat="langevin",
            dress=lambda superlattice, rng, dressing: dress_one_site(superlattice, site, dressing),
            only_spheres=True,
        )
    if name in chain_names():
        ligand = load_chains(name)
        return CoarseGrained(
            name=name,
            timestep_fs=ligand.dynamics.timestep_fs,
            core_radius_nm=ligand.validity.core_radius_nm,
            temperature_K=ligand.validity.temperature_K,
            reach_nm=2 * nm_from_angstrom(ligand.reach_angstrom),
            derived_d_nn_nm=None,
            thermostat="nose_hoover",
            dress=lambda superlattice, rng, dressing: dress_chains(superlattice, ligand, rng, dressing),
            only_spheres=False,
        )
    raise InputError(f"force field {name!r} is not known; available: {', '.join(coarse_grained_names())}")

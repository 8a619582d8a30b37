"""Coarse-grained models by the names of their parameter sets: what they are, and where they hold.

To add a model to simsc: a folder with its parameter set in `forcefields/`, a module here with the function that dresses
a superlattice, a folder with its LAMMPS scripts in `lammps_inputs/`, and a row in `FAMILIES`. Another package adds one
by an entry point in the group `simsc.coarse_grained_models`, whose name is that of the model, and whose object is a
function without arguments that returns its `CoarseGrained`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

import numpy as np

from simsc.core.errors import InputError, ResourceError, reason
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom
from simsc.forcefield.chains import DEFAULT, ChainParameters, chain_names, load_chains
from simsc.forcefield.one_site import OneSiteParameters, load_one_site, one_site_names
from simsc.models.chains import dress_chains
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import LammpsSystem
from simsc.models.one_site import dress_one_site

__all__ = [
    "DEFAULT",
    "ENTRY_POINTS",
    "FAMILIES",
    "Breach",
    "CoarseGrained",
    "Family",
    "chain_model",
    "coarse_grained",
    "coarse_grained_names",
    "one_site_model",
]

ENTRY_POINTS = "simsc.coarse_grained_models"


@dataclass(frozen=True)
class Breach:
    """A limit of a model that is not kept.

    Args:
        limit: which one.
        message: what is wrong, and what the model holds for.
        value: what was asked for, nm or K; of a dressing 0.
        allowed: smallest and largest value, nm or K.
        which: of several temperatures, the name of this one.
    """

    limit: Literal["core_radius", "dressing", "overlap", "reach", "temperature"]
    message: str
    value: float = 0.0
    allowed: tuple[float, float] = (0.0, 0.0)
    which: str = ""


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
        dress: makes the system of a superlattice; takes random numbers, and what the cores look like.
        only_spheres: whether it takes spheres with the coverage of the parameter set alone.
    """

    name: str
    timestep_fs: float
    core_radius_nm: tuple[float, float]
    temperature_K: tuple[float, float]
    reach_nm: float
    derived_d_nn_nm: tuple[float, float] | None
    dress: Callable[[Superlattice, np.random.Generator, Dressing], LammpsSystem]
    only_spheres: bool

    def breaches(
        self,
        radius_nm: float,
        temperatures_K: Mapping[str, float],
        dressing: Dressing = SPHERES,
        d_nn_nm: float | None = None,
    ) -> Iterator[Breach]:
        """Yield every limit of the model that is not kept: those of the NPs first, then those of temperatures.

        Args:
            radius_nm: core radius, nm.
            temperatures_K: temperatures, K, by what they are called.
            dressing: what the cores look like.
            d_nn_nm: nearest-neighbour distance, nm; None where there is none to be checked.
        """
        low, high = self.core_radius_nm
        if not low <= radius_nm <= high:
            span = f"{low:g} nm only" if low == high else f"{low:g} to {high:g} nm"
            message = f"core radius {radius_nm:g} nm: {self.name} holds for {span}"
            yield Breach("core_radius", message, radius_nm, (low, high))
        if self.only_spheres and dressing != SPHERES:
            yield Breach("dressing", f"{self.name} holds for spheres with its own coverage alone")
        if d_nn_nm is not None:
            farthest_nm = 2 * dressing.circumradius(radius_nm) + self.reach_nm
            allowed = (2 * radius_nm, farthest_nm)
            if d_nn_nm <= 2 * radius_nm:
                message = f"d_NN {d_nn_nm:g} nm: cores of radius {radius_nm:g} nm overlap"
                yield Breach("overlap", message, d_nn_nm, allowed)
            if d_nn_nm > farthest_nm:
                message = (
                    f"d_NN {d_nn_nm:g} nm: neighbours' ligands do not reach each other; of {self.name} it must not "
                    f"exceed {farthest_nm:.3g} nm"
                )
                yield Breach("reach", message, d_nn_nm, allowed)
        low, high = self.temperature_K
        for which, temperature_K in temperatures_K.items():
            if not low <= temperature_K <= high:
                message = f"{temperature_K:g} K: {self.name} holds from {low:g} to {high:g} K"
                yield Breach("temperature", message, temperature_K, (low, high), which)

    def check(
        self,
        radius_nm: float,
        temperatures_K: Iterable[float],
        dressing: Dressing = SPHERES,
        d_nn_nm: float | None = None,
    ) -> None:
        """Check that the model holds for NPs and temperatures, as `breaches`.

        Raises:
            InputError: if it does not; says for what it does.
        """
        named = {f"{temperature_K:g} K": temperature_K for temperature_K in temperatures_K}
        for breach in self.breaches(radius_nm, named, dressing, d_nn_nm):
            raise InputError(breach.message)


@dataclass(frozen=True)
class Family:
    """Models that differ in their parameter sets alone.

    Args:
        names: returns the names of the parameter sets in `forcefields/`.
        load: returns the model of one of them.
    """

    names: Callable[[], list[str]]
    load: Callable[[str], CoarseGrained]


def chain_model(parameters: ChainParameters) -> CoarseGrained:
    """Return the model of chains of beads on rigid cores that has these parameters."""
    return CoarseGrained(
        name=parameters.name,
        timestep_fs=parameters.dynamics.timestep_fs,
        core_radius_nm=parameters.validity.core_radius_nm,
        temperature_K=parameters.validity.temperature_K,
        reach_nm=2 * nm_from_angstrom(parameters.reach_angstrom),
        derived_d_nn_nm=None,
        dress=lambda superlattice, rng, dressing: dress_chains(superlattice, parameters, rng, dressing),
        only_spheres=False,
    )


def one_site_model(parameters: OneSiteParameters) -> CoarseGrained:
    """Return the model with one site an NP that has these parameters."""
    radius_nm = parameters.validity.core_radius_nm
    return CoarseGrained(
        name=parameters.name,
        timestep_fs=parameters.dynamics.timestep_fs,
        core_radius_nm=(radius_nm, radius_nm),
        temperature_K=parameters.validity.temperature_K,
        reach_nm=nm_from_angstrom(parameters.potential.r_angstrom[-1]) - 2 * radius_nm,
        derived_d_nn_nm=parameters.validity.d_nn_nm,
        dress=lambda superlattice, rng, dressing: dress_one_site(superlattice, parameters, dressing),
        only_spheres=True,
    )


FAMILIES = (
    Family(chain_names, lambda name: chain_model(load_chains(name))),
    Family(one_site_names, lambda name: one_site_model(load_one_site(name))),
)


def coarse_grained_names() -> list[str]:
    """Return the names of all models: those that simsc comes with, then those of other packages."""
    own = [name for family in FAMILIES for name in family.names()]
    return [*own, *sorted(_of_other_packages().keys() - set(own))]


def coarse_grained(name: str = DEFAULT) -> CoarseGrained:
    """Return the model of a parameter set.

    Raises:
        InputError: if there is no such set, or its file does not hold what the model needs.
        ResourceError: if the package that it comes with cannot be loaded, or gives something else.
    """
    for family in FAMILIES:
        if name in family.names():
            return family.load(name)
    entry = _of_other_packages().get(name)
    if entry is None:
        raise InputError(f"force field {name!r} is not known; available: {', '.join(coarse_grained_names())}")
    try:
        model = entry.load()()
    except Exception as error:  # whatever another package raises
        raise ResourceError(f"force field {name!r}: {entry.value} cannot be loaded ({reason(error)})") from None
    if not isinstance(model, CoarseGrained):
        raise ResourceError(f"force field {name!r}: {entry.value} gives no CoarseGrained but a {type(model).__name__}")
    return model


def _of_other_packages() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}

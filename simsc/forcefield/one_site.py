"""Parameters of the one-site model: a potential of mean force that changes linearly with temperature."""

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator

from simsc.forcefield.parameter_file import load_parameters, names_of


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Potential(_Values):
    """Pair potential u(r, T) = energy + (T − reference) slope at ascending distances; 0 from the last one on."""

    reference_K: PositiveFloat
    r_angstrom: tuple[PositiveFloat, ...]
    energy_kcal_per_mol: tuple[float, ...]
    slope_kcal_per_mol_K: tuple[float, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> "Potential":
        n = len(self.r_angstrom)
        if n < 8 or len(self.energy_kcal_per_mol) != n or len(self.slope_kcal_per_mol_K) != n:
            raise ValueError("needs as many energies and slopes as distances, 8 or more")
        if not (np.diff(self.r_angstrom) > 0).all():
            raise ValueError("distances must ascend")
        return self


class Embedding(_Values):
    """Energy of a site at density ρ, energy + (T − reference) slope, for densities in equal steps from 0.

    ρ_i = Σ_j φ(r_ij) / norm, with φ(r) = (1 − r/c)³ (1 + 3 r/c) up to r = c, the reach.
    """

    reach_angstrom: PositiveFloat
    norm: PositiveFloat
    density: tuple[float, ...]
    energy_kcal_per_mol: tuple[float, ...]
    slope_kcal_per_mol_K: tuple[float, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> "Embedding":
        n = len(self.density)
        if n < 8 or len(self.energy_kcal_per_mol) != n or len(self.slope_kcal_per_mol_K) != n:
            raise ValueError("needs as many energies and slopes as densities, 8 or more")
        if not np.allclose(self.density, np.linspace(0, self.density[-1], n), atol=1e-6) or self.density[-1] <= 0:
            raise ValueError("densities must ascend from 0 in equal steps")
        return self


class Friction(_Values):
    """Relaxation time of the velocity, m / ζ, by temperature."""

    temperature_K: tuple[PositiveFloat, ...]
    damping_fs: tuple[PositiveFloat, ...]


class Dynamics(_Values):
    """Time step and coupling with which the model was checked."""

    timestep_fs: PositiveFloat
    pressure_damping_fs: PositiveFloat


class Validity(_Values):
    """Range in which the potential was derived: core radius, temperature, and distance of neighbours."""

    core_radius_nm: PositiveFloat
    temperature_K: tuple[PositiveFloat, PositiveFloat]
    d_nn_nm: tuple[PositiveFloat, PositiveFloat]


class OneSiteParameters(_Values):
    """One parameter set, as in `forcefields/<name>/parameters.json`; see the README there for its derivation."""

    name: str
    units: str
    mass_g_per_mol: PositiveFloat
    potential: Potential
    embedding: Embedding
    friction: Friction
    dynamics: Dynamics
    validity: Validity


def one_site_names() -> list[str]:
    """Return the names of the parameter sets that simsc comes with."""
    return names_of("one_site")


def load_one_site(name: str) -> OneSiteParameters:
    """Read a parameter set by its folder name in `forcefields/`.

    Raises:
        InputError: if there is no such set or its file does not hold what the model needs.
    """
    return load_parameters(OneSiteParameters, one_site_names(), name)

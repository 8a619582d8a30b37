"""Soft spheres: each NP a point that repels and attracts its neighbours; a made-up model, for show."""

import json
from pathlib import Path

import numpy as np

from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom
from simsc.io.lammps_data import box_lines
from simsc.models.coarse_grained import CoarseGrained
from simsc.models.heads import Dressing
from simsc.models.lammps_system import LammpsSystem

HERE = Path(__file__).resolve().parent
PARAMETERS = json.loads((HERE / "parameters.json").read_text())


def model() -> CoarseGrained:
    """Return the model; the entry point names this function."""
    return CoarseGrained(
        name="soft_spheres",
        timestep_fs=PARAMETERS["timestep_fs"],
        core_radius_nm=tuple(PARAMETERS["core_radius_nm"]),
        temperature_K=tuple(PARAMETERS["temperature_K"]),
        reach_nm=2 * nm_from_angstrom(PARAMETERS["gap_angstrom"]),
        derived_d_nn_nm=None,
        dress=dress,
        only_spheres=True,
    )


def dress(superlattice: Superlattice, rng: np.random.Generator, dressing: Dressing) -> LammpsSystem:
    """Make each NP of a periodic superlattice a soft sphere, as far apart as cores with a gap."""
    cell, rotation = superlattice.cell.upper_triangular()
    radius = angstrom_from_nm(float(superlattice.radii_nm[0]))
    spacing = 2 * radius + PARAMETERS["gap_angstrom"]
    mass = PARAMETERS["density_g_per_mol_angstrom3"] * 4 / 3 * np.pi * radius**3
    positions = angstrom_from_nm(cell.wrap(superlattice.positions_nm @ rotation))
    sites = [f"{k} {k} 1 {x:.6f} {y:.6f} {z:.6f}" for k, (x, y, z) in enumerate(positions, 1)]
    head = ["simsc soft_spheres, units real", "", f"{len(sites)} atoms", "1 atom types", ""]
    lines = [*head, *box_lines(angstrom_from_nm(cell.vectors_nm)), "", "Masses", "", f"1 {mass:.10g}", ""]
    return LammpsSystem(
        data="\n".join([*lines, "Atoms # bond", "", *sites, ""]),
        variables={
            "epsilon": f"{PARAMETERS['epsilon_kcal_per_mol']:.10g}",
            "sigma": f"{spacing / 2 ** (1 / 6):.10g}",
            "cutoff": f"{1.5 * spacing:.10g}",
            "timestep": f"{PARAMETERS['timestep_fs']:.10g}",
            "t_damp": f"{PARAMETERS['temperature_damping_fs']:.10g}",
            "p_damp": f"{PARAMETERS['pressure_damping_fs']:.10g}",
        },
        scripts=str(HERE / "lammps"),
        timestep_fs=PARAMETERS["timestep_fs"],
        thermostat="langevin",
        n_atoms=superlattice.n,
        packages=("MOLECULE",),
        core_ids=np.empty((superlattice.n, 0), dtype=int),  # a sphere has no orientation
        core_positions_angstrom=np.empty((superlattice.n, 0, 3)),
    )

"""The super-ligand model: rigid cores with soft chains, each chain standing for several oleates."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom
from simsc.forcefield.super_ligand import SuperLigandParameters
from simsc.models.heads import ALIGNED, SPHERES, Dressing, heads
from simsc.models.lammps_system import LammpsSystem, box_lines

CENTRE, HEAD, TAIL = 1, 2, 3  # atom types
_HEADS_FOLLOWED = 32
SCRIPTS = "lammps_inputs/super_ligand"
PACKAGES = ("MOLECULE", "EXTRA-MOLECULE", "RIGID")  # of LAMMPS


def dress_super_ligand(
    superlattice: Superlattice,
    parameters: SuperLigandParameters,
    rng: np.random.Generator,
    dressing: Dressing = SPHERES,
) -> LammpsSystem:
    """Dress each NP of a periodic superlattice with a rigid core, heads on its surface, and tails along the normals.

    The number of super-ligands follows from the area of the core at the coverage; the tails overlap and need
    `push_off.lmp`.

    Args:
        superlattice: NPs of one common radius in a fully periodic cell.
        parameters: a parameter set of `simsc.forcefield.super_ligand`.
        rng: source of the random orientations.
        dressing: shape, coverage and orientation of the cores.

    Returns:
        The system; molecule k + 1 is NP k.

    Raises:
        InputError: without cell or radii, for mixed radii, or a radius outside the validity of the parameters.
    """
    if superlattice.cell is None or not superlattice.cell.periodic.all():
        raise InputError("the super-ligand model needs a superlattice in a fully periodic cell")
    if superlattice.radii_nm is None or np.ptp(superlattice.radii_nm) > 1e-9:
        raise InputError("the super-ligand model needs NPs of one common core radius")
    radius_nm = float(superlattice.radii_nm[0])
    low, high = parameters.validity.core_radius_nm
    if not low <= radius_nm <= high:
        raise InputError(
            f"core radius {radius_nm:g} nm: the force field {parameters.name} holds for {low:g} to {high:g} nm"
        )
    nanoparticle = _nanoparticle(angstrom_from_nm(radius_nm), parameters, dressing)
    cell, rotation = superlattice.cell.upper_triangular()
    centres = angstrom_from_nm(cell.wrap(superlattice.positions_nm @ rotation))
    orientations = Rotation.random(superlattice.n, rng=rng)
    if dressing.aligned:
        # The frame of LAMMPS is turned from that of the superlattice.
        aligned = Rotation.from_matrix(rotation.T) * Rotation.from_matrix(ALIGNED)
        orientations = Rotation.concatenate([aligned] * superlattice.n)
    head_ids = np.flatnonzero(nanoparticle.types == HEAD)
    head_ids = head_ids[np.linspace(0, len(head_ids) - 1, min(_HEADS_FOLLOWED, len(head_ids))).astype(int)]
    return LammpsSystem(
        data=_data_file(nanoparticle, centres, orientations, angstrom_from_nm(cell.vectors_nm), parameters),
        variables={
            "cutoff": f"{parameters.lennard_jones.cutoff_angstrom:.10g}",
            "timestep": f"{parameters.dynamics.timestep_fs:.10g}",
            "t_damp": f"{parameters.dynamics.temperature_damping_fs:.10g}",
            "p_damp": f"{parameters.dynamics.pressure_damping_fs:.10g}",
            "push_steps": "4000",
        },
        scripts=SCRIPTS,
        timestep_fs=parameters.dynamics.timestep_fs,
        n_atoms=superlattice.n * len(nanoparticle.positions),
        packages=PACKAGES,
        core_ids=np.arange(superlattice.n)[:, None] * len(nanoparticle.positions) + head_ids + 1,
        core_positions_angstrom=np.array([turn.apply(nanoparticle.positions[head_ids]) for turn in orientations]),
    )


def nanoparticle_mass_g_per_mol(
    radius_nm: float, parameters: SuperLigandParameters, dressing: Dressing = SPHERES
) -> float:
    """Return the mass of a core of a radius, nm, with all its super-ligands, g/mol."""
    one = _nanoparticle(angstrom_from_nm(radius_nm), parameters, dressing)
    return float(sum(one.masses[int(kind)] for kind in one.types))


@dataclass(frozen=True)
class _Nanoparticle:
    """One NP about its centre: bead positions (n, 3) in Å, types (n,), masses by type, bonds and angles by index."""

    positions: np.ndarray
    types: np.ndarray
    masses: dict[int, float]
    bonds: list[tuple[int, int, int]]
    angles: list[tuple[int, int, int]]


def _nanoparticle(radius: float, parameters: SuperLigandParameters, dressing: Dressing) -> _Nanoparticle:
    core, head, tail = parameters.core, parameters.head, parameters.tail
    head_radius = radius + head.height_above_core_angstrom
    n_heads = 4 * np.pi * head_radius**2 / head.area_per_head_angstrom2  # on a sphere
    if dressing.coverage_per_nm2 is not None:
        per_head_nm2 = head.ligands_per_head / dressing.coverage_per_nm2
        n_heads = 4 * np.pi * nm_from_angstrom(radius) ** 2 / per_head_nm2
    n_heads = round(n_heads * dressing.area(1.0) / (4 * np.pi))
    core_mass = core.density_g_per_mol_angstrom3 * 4 / 3 * np.pi * radius**3
    places, normals = heads(dressing.shape, radius, head.height_above_core_angstrom, n_heads)
    # A mass m_h on the head sphere has 2/3 m_h r_h² , the solid core 2/5 M R²: this fraction makes them equal. For
    # polyhedra, whose moments differ from that of the sphere by some percent, the mean square of r_h is taken.
    fraction = 0.6 * radius**2 / float((places**2).sum(axis=1).mean())
    steps = parameters.bonds.head_tail.r0_angstrom + parameters.bonds.tail_tail.r0_angstrom * np.arange(
        tail.beads_per_head
    )
    positions = [np.zeros((1, 3)), places]
    positions += [place + steps[:, None] * normal for place, normal in zip(places, normals, strict=True)]
    bonds, angles = [], []
    for k in range(n_heads):
        chain = [1 + k, *(1 + n_heads + k * tail.beads_per_head + np.arange(tail.beads_per_head))]
        bonds += [(1 if i == 0 else 2, chain[i], chain[i + 1]) for i in range(len(chain) - 1)]
        angles += [(chain[i], chain[i + 1], chain[i + 2]) for i in range(len(chain) - 2)]
    return _Nanoparticle(
        positions=np.concatenate(positions),
        types=np.array([CENTRE] + [HEAD] * n_heads + [TAIL] * n_heads * tail.beads_per_head),
        masses={
            CENTRE: (1 - fraction) * core_mass,
            HEAD: fraction * core_mass / n_heads + head.mass_per_head_g_per_mol,
            TAIL: tail.mass_g_per_mol,
        },
        bonds=bonds,
        angles=angles,
    )


def _data_file(
    nanoparticle: _Nanoparticle,
    centres: np.ndarray,
    orientations: Rotation,
    cell: np.ndarray,
    parameters: SuperLigandParameters,
) -> str:
    size, n = len(nanoparticle.positions), len(centres)
    lj, bonds, angle = parameters.lennard_jones, parameters.bonds, parameters.angle
    pairs = {(HEAD, TAIL): lj.head_tail, (TAIL, TAIL): lj.tail_tail}
    lines = [
        f"simsc {parameters.name}, units real",
        "",
        f"{n * size} atoms",
        f"{n * len(nanoparticle.bonds)} bonds",
        f"{n * len(nanoparticle.angles)} angles",
        "3 atom types",
        "2 bond types",
        "1 angle types",
        "",
        *box_lines(cell),
        "",
        "Masses",
        "",
        *(f"{kind} {mass:.8g}" for kind, mass in nanoparticle.masses.items()),
        "",
        "PairIJ Coeffs",
        "",
        *(
            f"{i} {j} {pairs[i, j].epsilon_kcal_per_mol:.8g} {pairs[i, j].sigma_angstrom:.8g}"
            if (i, j) in pairs
            else f"{i} {j} 0.0 1.0"
            for i in (CENTRE, HEAD, TAIL)
            for j in range(i, TAIL + 1)
        ),
        "",
        "Bond Coeffs",
        "",
        f"1 {bonds.head_tail.k_kcal_per_mol_angstrom2:.8g} {bonds.head_tail.r0_angstrom:.8g}",
        f"2 {bonds.tail_tail.k_kcal_per_mol_angstrom2:.8g} {bonds.tail_tail.r0_angstrom:.8g}",
        "",
        "Angle Coeffs",
        "",
        f"1 {angle.k_kcal_per_mol:.8g} {angle.theta0_degree:.8g}",
        "",
        "Atoms # angle",
        "",
    ]
    for k, centre in enumerate(centres):
        positions = centre + orientations[k].apply(nanoparticle.positions)
        lines += [
            f"{k * size + i + 1} {k + 1} {kind} {x:.6f} {y:.6f} {z:.6f}"
            for i, (kind, (x, y, z)) in enumerate(zip(nanoparticle.types, positions, strict=True))
        ]
    lines += ["", "Bonds", ""]
    lines += [
        f"{k * len(nanoparticle.bonds) + b + 1} {kind} {k * size + i + 1} {k * size + j + 1}"
        for k in range(n)
        for b, (kind, i, j) in enumerate(nanoparticle.bonds)
    ]
    lines += ["", "Angles", ""]
    lines += [
        f"{k * len(nanoparticle.angles) + a + 1} 1 {h + 1 + k * size} {i + 1 + k * size} {j + 1 + k * size}"
        for k in range(n)
        for a, (h, i, j) in enumerate(nanoparticle.angles)
    ]
    return "\n".join([*lines, ""])

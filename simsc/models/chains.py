"""Rigid cores with chains of beads: super-ligands, each standing for several oleates, or one chain for each oleate."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.close_packing import CUBIC_AXES
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom
from simsc.forcefield.chains import HEAD as HEAD_NAME
from simsc.forcefield.chains import ChainParameters
from simsc.io.lammps_data import box_lines
from simsc.models.heads import SPHERES, Dressing, heads
from simsc.models.lammps_system import LammpsSystem

CENTRE, HEAD, TAIL = 1, 2, 3  # atom types; those of the kinds of beads count from the last
_HEADS_FOLLOWED = 32
_NO_CUTOFF_ANGSTROM = 0.01  # of pairs that do not interact
SCRIPTS = "lammps_inputs/chains"
PACKAGES = ("MOLECULE", "EXTRA-MOLECULE", "RIGID")  # of LAMMPS


def dress_chains(
    superlattice: Superlattice,
    parameters: ChainParameters,
    rng: np.random.Generator,
    dressing: Dressing = SPHERES,
) -> LammpsSystem:
    """Dress each NP of a periodic superlattice with a rigid core, heads on its surface, and tails along the normals.

    The number of chains follows from the area of the core at the coverage; the tails overlap and need `push_off.lmp`.

    Args:
        superlattice: NPs of one common radius in a fully periodic cell.
        parameters: a parameter set of `simsc.forcefield.chains`.
        rng: source of the random orientations.
        dressing: shape, coverage and orientation of the cores.

    Returns:
        The system; molecule k + 1 is NP k.

    Raises:
        InputError: without cell or radii, for mixed radii, or a radius outside the validity of the parameters.
    """
    if superlattice.cell is None or not superlattice.cell.periodic.all():
        raise InputError("the model needs a superlattice in a fully periodic cell")
    if superlattice.radii_nm is None or np.ptp(superlattice.radii_nm) > 1e-9:
        raise InputError("the model needs NPs of one common core radius")
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
        aligned = Rotation.from_matrix(rotation.T) * Rotation.from_matrix(CUBIC_AXES)
        orientations = Rotation.concatenate([aligned] * superlattice.n)
    head_ids = np.flatnonzero(nanoparticle.types == HEAD)
    head_ids = head_ids[np.linspace(0, len(head_ids) - 1, min(_HEADS_FOLLOWED, len(head_ids))).astype(int)]
    return LammpsSystem(
        data=_data_file(nanoparticle, centres, orientations, angstrom_from_nm(cell.vectors_nm), parameters),
        variables={
            "cutoff": f"{parameters.lennard_jones.cutoff_angstrom:.10g}",
            "skin": f"{parameters.dynamics.skin_angstrom:.10g}",
            "angle_style": parameters.angle_style,
            "timestep": f"{parameters.dynamics.timestep_fs:.10g}",
            "t_damp": f"{parameters.dynamics.temperature_damping_fs:.10g}",
            "p_damp": f"{parameters.dynamics.pressure_damping_fs:.10g}",
            "push_steps": "4000",
        },
        scripts=SCRIPTS,
        timestep_fs=parameters.dynamics.timestep_fs,
        thermostat="nose_hoover",
        n_atoms=superlattice.n * len(nanoparticle.positions),
        packages=PACKAGES,
        core_ids=np.arange(superlattice.n)[:, None] * len(nanoparticle.positions) + head_ids + 1,
        core_positions_angstrom=np.array([turn.apply(nanoparticle.positions[head_ids]) for turn in orientations]),
    )


def nanoparticle_mass_g_per_mol(radius_nm: float, parameters: ChainParameters, dressing: Dressing = SPHERES) -> float:
    """Return the mass of a core of a radius, nm, with all its chains, g/mol."""
    one = _nanoparticle(angstrom_from_nm(radius_nm), parameters, dressing)
    return float(sum(one.masses[int(kind)] for kind in one.types))


@dataclass(frozen=True)
class _Nanoparticle:
    """One NP about its centre: positions (n, 3) in Å, types (n,), masses by type; bonds, angles: type, then beads."""

    positions: np.ndarray
    types: np.ndarray
    masses: dict[int, float]
    bonds: list[tuple[int, int, int]]
    angles: list[tuple[int, int, int, int]]


def _nanoparticle(radius: float, parameters: ChainParameters, dressing: Dressing) -> _Nanoparticle:
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
    n_beads = len(tail.beads)
    steps = np.cumsum([parameters.bonds[name].r0_angstrom for name in parameters.chain_bonds])
    positions = [np.zeros((1, 3)), places]
    positions += [place + steps[:, None] * normal for place, normal in zip(places, normals, strict=True)]
    bond_types, angle_types = (
        [list(types).index(name) + 1 for name in names]
        for types, names in ((parameters.bonds, parameters.chain_bonds), (parameters.angles, parameters.chain_angles))
    )
    bonds, angles = [], []
    for k in range(n_heads):
        chain = [1 + k, *(1 + n_heads + k * n_beads + np.arange(n_beads))]
        bonds += [(kind, chain[i], chain[i + 1]) for i, kind in enumerate(bond_types)]
        angles += [(kind, chain[i], chain[i + 1], chain[i + 2]) for i, kind in enumerate(angle_types)]
    return _Nanoparticle(
        positions=np.concatenate(positions),
        types=np.array([CENTRE] + [HEAD] * n_heads + [TAIL + parameters.kinds.index(b) for b in tail.beads] * n_heads),
        masses={
            CENTRE: (1 - fraction) * core_mass,
            HEAD: fraction * core_mass / n_heads + head.mass_per_head_g_per_mol,
            **{TAIL + k: tail.mass_g_per_mol[kind] for k, kind in enumerate(parameters.kinds)},
        },
        bonds=bonds,
        angles=angles,
    )


def _data_file(
    nanoparticle: _Nanoparticle,
    centres: np.ndarray,
    orientations: Rotation,
    cell: np.ndarray,
    parameters: ChainParameters,
) -> str:
    size, n = len(nanoparticle.positions), len(centres)
    names = ("", HEAD_NAME, *parameters.kinds)  # by atom type, from CENTRE on
    pairs = parameters.lennard_jones.pairs
    n_types = len(names)
    lines = [
        f"simsc {parameters.name}, units real",
        "",
        f"{n * size} atoms",
        f"{n * len(nanoparticle.bonds)} bonds",
        f"{n * len(nanoparticle.angles)} angles",
        f"{n_types} atom types",
        f"{len(parameters.bonds)} bond types",
        f"{len(parameters.angles)} angle types",
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
            f"{i} {j} {pair.epsilon_kcal_per_mol:.8g} {pair.sigma_angstrom:.8g}"
            if (pair := pairs.get(f"{names[i - 1]}_{names[j - 1]}"))
            else f"{i} {j} 0.0 1.0 {_NO_CUTOFF_ANGSTROM}"
            for i in range(CENTRE, n_types + 1)
            for j in range(i, n_types + 1)
        ),
        "",
        "Bond Coeffs",
        "",
        *(
            f"{k} {bond.k_kcal_per_mol_angstrom2:.8g} {bond.r0_angstrom:.8g}"
            for k, bond in enumerate(parameters.bonds.values(), 1)
        ),
        "",
        "Angle Coeffs",
        "",
        *(
            f"{k} {angle.k_kcal_per_mol:.8g} {angle.theta0_degree:.8g}"
            for k, angle in enumerate(parameters.angles.values(), 1)
        ),
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
        f"{k * len(nanoparticle.angles) + a + 1} {kind} {h + 1 + k * size} {i + 1 + k * size} {j + 1 + k * size}"
        for k in range(n)
        for a, (kind, h, i, j) in enumerate(nanoparticle.angles)
    ]
    return "\n".join([*lines, ""])

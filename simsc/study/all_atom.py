"""The stages that only an all-atom study has: nanoparticles, and the fcc crystal in which they come to rest."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.builders.census import take_census
from simsc.builders.functionalize import Nanoparticle, functionalize
from simsc.builders.nanoparticle import (
    Core,
    carve,
    magnetite,
    read_crystal,
)
from simsc.builders.nanoparticle_file import read_nanoparticle, write_nanoparticle, write_xyz
from simsc.builders.restack import fcc_orientation
from simsc.builders.surface import hydroxylate
from simsc.core.superlattice import Superlattice
from simsc.forcefield.ligand import Ligand, load_ligand, read_ligand
from simsc.forcefield.magnetite import MagnetiteParameters, load_magnetite
from simsc.io.native import write_superlattice
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_text
from simsc.md.equilibrate import compression, loose_fcc
from simsc.md.files import prepare
from simsc.models.all_atom import ATOM_MAP, atom_map, dress_all_atom, read_positions, taken_apart
from simsc.models.lammps_system import DATA, FINAL, LammpsSystem
from simsc.study.context import Context
from simsc.study.run_folder import (
    CENSUS,
    CIF,
    CORE_XYZ,
    CRYSTAL,
    HYDROXYLATED_XYZ,
    NANOPARTICLE,
    SUPERLATTICE,
    THERMO,
    census_file,
    nanoparticle_file,
    nanoparticle_xyz,
)
from simsc.study.schema import AllAtomSection


def nanoparticle_stage(context: Context, out: Path) -> None:
    """Carve, hydroxylate, cap and relax each independent NP."""
    section = _section(context)
    parameters, ligand = _parameters(section), _ligand(section)
    core = _core(section, 2 * context.study.nanoparticle.core_radius_nm)
    if section.crystal:
        shutil.copyfile(section.crystal, out / CIF)
    capped = hydroxylate(core, section.least_oxygens)
    write_xyz(out / CORE_XYZ, core.elements, core.positions_angstrom)
    heavy = np.concatenate([core.positions_angstrom, capped.oxygens_angstrom, capped.hydrogens_angstrom])
    n_oh = len(capped.oxygens_angstrom)
    write_xyz(out / HYDROXYLATED_XYZ, np.array([*core.elements, *["O"] * n_oh, *["H"] * n_oh]), heavy)
    for k in range(section.independent):
        share = f"{k + 1} of {section.independent}: " if section.independent > 1 else ""

        def progress(what: str, k: int = k, share: str = share) -> None:
            context.progress((k + 0.1) / section.independent, share + what)

        nanoparticle = functionalize(
            capped,
            ligand,
            parameters,
            context.rng(100 + k),
            section.coverage_per_nm2,
            section.count,
            section.binding,
            section.swap_tetrahedral,
            progress,
        )
        census = {"built": asdict(take_census(nanoparticle, parameters))}
        progress(f"relaxing {nanoparticle.n} atoms")
        scratch = out / f"relax_{k}"
        scratch.mkdir()
        relaxed = context.together("relax", nanoparticle, parameters, scratch.absolute(), context.study.seed + k)
        census["relaxed"] = asdict(take_census(relaxed, parameters))
        write_nanoparticle(out / nanoparticle_file(k), relaxed, provenance(seed=context.study.seed, number=k))
        write_xyz(out / nanoparticle_xyz(k), relaxed.elements, relaxed.positions_angstrom)
        write_text(out / census_file(k), json.dumps(census, indent=1))


def crystal_stage(context: Context, out: Path) -> None:
    """Bring the NPs together in an fcc cell, and equilibrate it at pressure."""
    section, seed = _section(context), context.study.seed
    parameters = _parameters(section)
    nanoparticles = _read(context.folder.stage(NANOPARTICLE), section)
    orientations = _orientations(section, len(nanoparticles), context.rng(200))
    lattice, scale = loose_fcc(nanoparticles, orientations)
    system = _dressed(lattice, nanoparticles, orientations, section)
    if not (out / DATA).exists():
        prepare(system, out)
    protocol = context.study.crystal_protocol()
    squeeze = compression(scale, section.compress_ns, section.compress_K)
    protocol = replace(protocol, phases=(squeeze, *protocol.phases))
    radii_nm = np.full(lattice.n, context.study.nanoparticle.core_radius_nm)

    context.progress(0.0, "pushing overlapping ligands apart")
    trajectory = context.together(
        "anneal", replace(system, data=""), radii_nm, protocol, out.absolute(), seed, report=context.anneal_progress
    )
    trajectory.write_csv(out / THERMO)
    lattice, nanoparticles = taken_apart(*read_positions(out / FINAL), nanoparticles, parameters)
    write_superlattice(out / SUPERLATTICE, lattice, provenance(seed=seed))
    census = []
    for k, nanoparticle in enumerate(nanoparticles):
        write_nanoparticle(out / nanoparticle_file(k), nanoparticle, provenance(seed=seed, number=k))
        census.append(asdict(take_census(nanoparticle, parameters)))
    write_text(out / CENSUS, json.dumps(census, indent=1))


def restacked(context: Context, superlattice: Superlattice, out: Path) -> LammpsSystem:
    """Put the NPs of the equilibrated fcc crystal, as they are, on the sites of another stacking.

    Writes `atom_map.json` beside the data file: which atoms are which NP, core and ligand.
    """
    section = _section(context)
    equilibrated = _read(context.folder.stage(CRYSTAL), section)
    nanoparticles = [equilibrated[k % len(equilibrated)] for k in range(superlattice.n)]
    # In the crystal they stand turned already: aligned with its cubic axes, or each at random.
    axes = fcc_orientation(context.study.superlattice.stacking)
    orientations = Rotation.concatenate([axes] * superlattice.n)
    numbers = atom_map(nanoparticles, _parameters(section), section.constraints)
    write_text(out / ATOM_MAP, json.dumps(numbers, indent=1))
    return _dressed(superlattice, nanoparticles, orientations, section)


def _section(context: Context) -> AllAtomSection:
    section = context.study.all_atom
    assert section is not None
    return section


def _parameters(section: AllAtomSection) -> MagnetiteParameters:
    return load_magnetite(section.iron, section.hydroxyl)


def _ligand(section: AllAtomSection) -> Ligand:
    return read_ligand(Path(section.ligand)) if section.ligand.endswith(".json") else load_ligand(section.ligand)


def _core(section: AllAtomSection, diameter_nm: float) -> Core:
    crystal = read_crystal(Path(section.crystal)) if section.crystal else magnetite(section.lattice_angstrom)
    return carve(crystal, diameter_nm, section.facets or section.shape, section.centre)


def _orientations(section: AllAtomSection, n: int, rng: np.random.Generator) -> Rotation:
    return Rotation.random(n, rng=rng) if section.orientation == "random" else Rotation.identity(n)


def _read(folder: Path, section: AllAtomSection) -> list[Nanoparticle]:
    return [read_nanoparticle(folder / nanoparticle_file(k)) for k in range(section.independent)]


def _dressed(
    superlattice: Superlattice, nanoparticles: list[Nanoparticle], orientations: Rotation, section: AllAtomSection
) -> LammpsSystem:
    return dress_all_atom(
        superlattice,
        nanoparticles,
        orientations,
        _parameters(section),
        section.constraints,
        section.cutoff_angstrom,
        section.kspace_accuracy,
    )

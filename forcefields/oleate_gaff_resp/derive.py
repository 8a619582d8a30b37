"""Derive oleate: RESP charges on four conformers, parameters of GAFF and GAFF2; compare with the files beside this one.

Needs the extra `parameterise`: `pip install simsc[parameterise]`.

    python forcefields/oleate_gaff_resp/derive.py --work FOLDER       all, from the SMILES (hours)
    python forcefields/oleate_gaff_resp/derive.py --from-conformers   from the geometries of conformers.xyz (minutes)

The exit status is 1 if a charge differs from the shipped one by more than 1e-3 e. `--write` writes the files anew.
FOLDER keeps what is finished; a stopped derivation goes on from there.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from simsc.forcefield.carboxylate import elements_of, read_smiles
from simsc.forcefield.geometries import radius_of_gyration
from simsc.forcefield.ligand import read_ligand, write_ligand
from simsc.forcefield.parameterise import (
    CHARGE_MODELS,
    FORCE_FIELDS,
    am1bcc_charges,
    ligand_of,
    potentials_of_conformers,
    resp_charges,
)
from simsc.forcefield.resp import Potential, potential

HERE = Path(__file__).resolve().parent
SMILES = r"CCCCCCCC/C=C\CCCCCCCC(=O)[O-]"
CONFORMERS = 4
TOLERANCE_E = 1e-3


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def potentials_of_file(path: Path, charge_e: int) -> list[Potential]:
    """Return the RHF/6-31G* potential around each geometry of an XYZ file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    n, found = int(lines[0]), []
    for start in range(0, len(lines), n + 2):
        rows = [line.split() for line in lines[start + 2 : start + 2 + n]]
        say(f"electrostatic potential: {lines[start + 1]}")
        found.append(potential([row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float), charge_e))
    return found


def write_conformers(path: Path, molecule: Any, potentials: list[Potential]) -> None:
    """Write the optimised geometries, Å, as an XYZ file."""
    lines = []
    for k, found in enumerate(potentials, 1):
        x = found.positions_angstrom - found.positions_angstrom.mean(axis=0)
        lines += [f"{len(x)}", f"conformer {k}, radius of gyration {radius_of_gyration(x):.2f} Å"]
        lines += [
            f"{e} {a:.6f} {b:.6f} {c:.6f}" for e, (a, b, c) in zip(elements_of(molecule), x.tolist(), strict=True)
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tables(
    types: list[str],
    names: list[str],
    potentials: list[Potential],
    joint: np.ndarray,
    single: np.ndarray,
    quick: np.ndarray,
) -> None:
    """Write charges.csv (each atom) and fit.csv (each conformer)."""
    with (HERE / "charges.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["atom", "gaff_type", "resp_e", "resp_lowest_single_e", "resp_highest_single_e", "am1bcc_e"])
        for row in zip(names, types, joint, single.min(axis=0), single.max(axis=0), quick, strict=True):
            table.writerow([*row[:2], *(f"{value:.6f}" for value in row[2:])])
    with (HERE / "fit.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["conformer", "radius_of_gyration_angstrom", "points", "rrms_joint_fit", "rrms_own_fit", "rrms_am1bcc"]
        )
        for k, (found, own) in enumerate(zip(potentials, single, strict=True), 1):
            rrms = [found.relative_rms(charges) for charges in (joint, own, quick)]
            size = radius_of_gyration(found.positions_angstrom)
            table.writerow([k, f"{size:.3f}", len(found.points_bohr), *(f"{value:.4f}" for value in rrms)])


def main() -> int:
    """Derive, compare or write; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--from-conformers", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    molecule = read_smiles(SMILES)
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if arguments.from_conformers:
            potentials = potentials_of_file(HERE / "conformers.xyz", -1)
        else:
            potentials = potentials_of_conformers(molecule, CONFORMERS, work, say)
    joint = resp_charges(molecule, potentials)
    single = np.array([resp_charges(molecule, [found]) for found in potentials])
    for k, (found, own) in enumerate(zip(potentials, single, strict=True), 1):
        say(f"conformer {k}: relative RMS {found.relative_rms(joint):.4f} (joint), {found.relative_rms(own):.4f} (own)")
    if arguments.write:
        write_files(molecule, potentials, joint, single)
    shipped = np.array([atom.charge_e for atom in read_ligand(HERE / "gaff.json").atoms])
    difference = float(np.abs(joint - shipped).max())
    say(f"largest difference from the shipped charges: {difference:.1e} e")
    return int(difference > TOLERANCE_E)


def write_files(molecule: Any, potentials: list[Potential], joint: np.ndarray, single: np.ndarray) -> None:
    """Write everything that is derived."""
    write_conformers(HERE / "conformers.xyz", molecule, potentials)
    quick, _ = am1bcc_charges(molecule, say)
    first = potentials[0].positions_angstrom
    molecule.GetConformer().SetPositions(first - first.mean(axis=0))
    model = CHARGE_MODELS["resp"].format(len(potentials))
    ligands = {name: ligand_of(molecule, "oleate", joint, model, name, say) for name in FORCE_FIELDS}
    for name, ligand in ligands.items():
        write_ligand(HERE / f"{name}.json", ligand)
    atoms = ligands["gaff"].atoms
    write_tables([a.type for a in atoms], [a.name for a in atoms], potentials, joint, single, quick)


if __name__ == "__main__":
    sys.exit(main())

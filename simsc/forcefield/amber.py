"""AmberTools' topology of a molecule: which GAFF or GAFF2 terms act between which atoms.

Needs the extra `parameterise`. antechamber finds the atom types, parmchk2 what the force field lacks, tleap all terms.
GAFF: Wang, Wolf, Caldwell, Kollman, Case, J. Comput. Chem. 25, 1157 (2004), DOI 10.1002/jcc.20035.
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscError
from simsc.forcefield.carboxylate import charge_of
from simsc.forcefield.extra import ambertools, ambertools_program, import_extra
from simsc.forcefield.ligand import Angle, Bond, Dihedral, FourierTerm, Improper, LennardJones

LEAP_RADIANS = 0.0174533  # tleap's own π/180; divided by it, its angles are those of the parameter files again

_PARMCHK_TRIES = 12


def force_field_version(force_field: str) -> str:
    """Return such as `GAFF 1.81`, the version that the parameter file of AmberTools states."""
    home = ambertools_program("tleap").parents[1]
    with (home / "dat" / "leap" / "parm" / f"{force_field}.dat").open(encoding="utf-8") as file:
        version = re.search(r"Version ([\d.]*\d)", file.readline())
    if version is None:
        raise SimscError(f"{force_field}.dat of AmberTools states no version")
    return f"{force_field.upper()} {version[1]}"


@contextmanager
def scratch_folder(molecule: Any) -> Iterator[Path]:
    """Give a temporary folder that holds `molecule.sdf`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        import_extra("rdkit.Chem").MolToMolFile(molecule, str(folder / "molecule.sdf"))
        yield folder


def antechamber(molecule: Any, force_field: str, folder: Path, *arguments: str, creates: str) -> None:
    """Run antechamber on the molecule that `scratch_folder` laid out; `creates` is the file that it has to make."""
    words = ("-i", "molecule.sdf", "-fi", "mdl", "-o", creates, "-at", force_field, "-rn", "LIG", "-dr", "no")
    charge = ("-nc", str(charge_of(molecule)), "-s", "0", "-pf", "y")
    ambertools("antechamber", *words, *charge, *arguments, folder=folder, creates=creates)


def amber_topology(molecule: Any, force_field: str, folder: Path) -> Path:
    """Return the prmtop (without charges) that antechamber, parmchk2 and tleap make in a folder."""
    antechamber(molecule, force_field, folder, "-fo", "mol2", creates="molecule.mol2")
    _parmchk(force_field, folder)
    if lacking := [line for line in by_analogy(folder) if "ATTN" in line]:
        raise InputError(
            f"{force_field} has no parameters for {lacking[0].split()[0]} and {len(lacking) - 1} more terms"
        )
    script = [
        f"source leaprc.{force_field}",
        "loadamberparams molecule.frcmod",
        "LIG = loadmol2 molecule.mol2",
        "saveamberparm LIG molecule.prmtop molecule.inpcrd",
        "quit",
    ]
    (folder / "leap.in").write_text("\n".join(script) + "\n", encoding="ascii")
    ambertools("tleap", "-f", "leap.in", folder=folder, creates="molecule.prmtop")
    return folder / "molecule.prmtop"


def _parmchk(force_field: str, folder: Path) -> None:
    """Write `molecule.frcmod`: what the force field lacks, by analogy, with the lowest penalty of many tries.

    parmchk2 of AmberTools 26 reads memory that it did not write: for the same alkene in GAFF2 it takes one improper in
    three of four runs, and another, of a higher penalty, in the fourth.
    """
    words = ("-i", "molecule.mol2", "-f", "mol2", "-s", force_field, "-o", "try.frcmod")
    tries = []
    for _ in range(_PARMCHK_TRIES):
        ambertools("parmchk2", *words, folder=folder, creates="try.frcmod")
        text = (folder / "try.frcmod").read_text(encoding="utf-8")
        tries.append((sum(float(score) for score in re.findall(r"penalty score= *([\d.]+)", text)), text))
    (folder / "molecule.frcmod").write_text(min(tries)[1], encoding="utf-8")


def by_analogy(folder: Path) -> list[str]:
    """Return the lines of parmchk2's file in a folder: parameters that the force field itself does not have."""
    lines = (folder / "molecule.frcmod").read_text(encoding="utf-8").splitlines()[1:]
    return [line.strip() for line in lines if len(line.split()) > 2]


def read_prmtop(path: Path) -> dict[str, list[str]]:
    """Return the sections of AMBER's topology file, each as its fields without blanks."""
    sections = {}
    for part in path.read_text(encoding="ascii").split("%FLAG ")[1:]:
        flag, layout, *lines = part.splitlines()
        width = int(re.search(r"\(\d+[aIE](\d+)", layout)[1])  # type: ignore[index]
        fields = (line[i : i + width].strip() for line in lines for i in range(0, len(line), width))
        sections[flag.strip()] = [field for field in fields if field]
    return sections


def lennard_jones(topology: dict[str, list[str]]) -> dict[str, LennardJones]:
    """Return ε and σ by atom type, from A = 4 ε σ¹² and B = 4 ε σ⁶ of like pairs."""
    kinds = [int(field) for field in topology["ATOM_TYPE_INDEX"]]
    n = max(kinds)
    found = {}
    for name, kind in zip(topology["AMBER_ATOM_TYPE"], kinds, strict=True):
        pair = int(topology["NONBONDED_PARM_INDEX"][(kind - 1) * (n + 1)]) - 1
        a, b = (float(topology[f"LENNARD_JONES_{letter}COEF"][pair]) for letter in "AB")
        # The parameter files hold ε and half the distance of the minimum with four digits.
        epsilon = round(b**2 / (4 * a), 6) if b else 0.0
        half_minimum = round((2 * a / b) ** (1 / 6) / 2, 6) if b else 0.0
        found[name] = LennardJones(epsilon_kcal_per_mol=epsilon, sigma_angstrom=half_minimum * 2 ** (5 / 6))
    return found


def bonded_terms(topology: dict[str, list[str]]) -> dict[str, Any]:
    """Return bonds, angles, dihedrals and impropers of a topology."""

    def rows(kind: str, atoms: int) -> Iterator[tuple[tuple[int, ...], int]]:
        for part in (f"{kind}_INC_HYDROGEN", f"{kind}_WITHOUT_HYDROGEN"):
            numbers = np.array(topology.get(part, []), dtype=int).reshape(-1, atoms + 1)
            for *threefold, parameter in numbers.tolist():
                yield tuple(threefold), parameter - 1

    def value(kind: str, parameter: int) -> float:
        return float(topology[kind][parameter])

    def degree(kind: str, parameter: int) -> float:
        return round(value(kind, parameter) / LEAP_RADIANS, 4)

    bonds = [
        Bond(
            atoms=_atoms(at),
            k_kcal_per_mol_angstrom2=value("BOND_FORCE_CONSTANT", p),
            r0_angstrom=value("BOND_EQUIL_VALUE", p),
        )
        for at, p in rows("BONDS", 2)
    ]
    angles = [
        Angle(
            atoms=_atoms(at),
            k_kcal_per_mol_rad2=value("ANGLE_FORCE_CONSTANT", p),
            theta0_degree=degree("ANGLE_EQUIL_VALUE", p),
        )
        for at, p in rows("ANGLES", 3)
    ]
    proper: defaultdict[tuple[int, ...], list[FourierTerm]] = defaultdict(list)
    impropers = []
    for at, p in rows("DIHEDRALS", 4):
        k, phase = value("DIHEDRAL_FORCE_CONSTANT", p), degree("DIHEDRAL_PHASE", p)
        periodicity = round(value("DIHEDRAL_PERIODICITY", p))
        if at[3] < 0:
            impropers.append(Improper(atoms=_atoms(at), k_kcal_per_mol=k, periodicity=periodicity, phase_degree=phase))
            continue
        if (value("SCEE_SCALE_FACTOR", p), value("SCNB_SCALE_FACTOR", p)) != (1.2, 2.0):
            raise SimscError("AmberTools gives 1-4 scale factors other than 1.2 and 2.0, which simsc takes for granted")
        if k:
            proper[_atoms(at)].append(FourierTerm(k_kcal_per_mol=k, periodicity=periodicity, phase_degree=phase))
    dihedrals = [Dihedral(atoms=at, terms=terms) for at, terms in proper.items()]
    return {"bonds": bonds, "angles": angles, "dihedrals": dihedrals, "impropers": impropers}


def _atoms(threefold: Sequence[int]) -> Any:
    """Return atoms from AMBER's pointers, which are three times the index and carry flags as signs."""
    return tuple(abs(pointer) // 3 for pointer in threefold)

"""From a SMILES or a mol2 file of a carboxylate to a ligand with all its parameters: GAFF or GAFF2, RESP or AM1-BCC.

Needs the extra `parameterise`. RDKit makes the molecule, antechamber its atom types, parmchk2 what the force field
lacks, tleap the list of all terms. GAFF: Wang, Wolf, Caldwell, Kollman, Case, J. Comput. Chem. 25, 1157 (2004), DOI
10.1002/jcc.20035. AM1-BCC: Jakalian, Jack, Bayly, J. Comput. Chem. 23, 1623 (2002), DOI 10.1002/jcc.10128.
"""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from simsc.core.errors import InputError, SimscError
from simsc.forcefield.extra import ambertools, ambertools_program, import_extra
from simsc.forcefield.geometries import changed_alike, model_hessian, spread_conformers
from simsc.forcefield.ligand import Angle, Atom, Bond, Dihedral, FourierTerm, Improper, LennardJones, Ligand
from simsc.forcefield.resp import Potential, fit, optimise, potential

Progress = Callable[[str], None]

CHARGES = ("resp", "am1bcc")
FORCE_FIELDS = ("gaff", "gaff2")
CHARGE_MODELS = {"resp": "RESP, RHF/6-31G*, conformers: {}", "am1bcc": "AM1-BCC", "mol2": "as in the mol2 file"}
LEAP_RADIANS = 0.0174533  # tleap's own π/180; divided by it, its angles are those of the parameter files again
_CARBOXYLATE = "[CX3](=[OX1])[OX1-]"
_ACID = "[CX3](=[OX1])[OX2H1]"
_ELEMENTS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")  # of GAFF
_MAX_ATOMS = 400
_MAX_CONFORMERS = 20
_WHOLE = 0.01  # e: how far the charges of a mol2, written with few digits, may be from a whole sum


def parameterise(
    molecule: str | Path,
    name: str,
    charges: str | None = None,
    force_field: str = "gaff",
    conformers: int = 4,
    folder: Path | None = None,
    progress: Progress = lambda line: None,
) -> Ligand:
    """Return a carboxylate with all its parameters.

    Args:
        molecule: a SMILES with the charge on the carboxylate, such as `CC(=O)[O-]`; or the path of a `.mol2` file with
            all hydrogens, a geometry and charges, which are kept.
        name: of the ligand.
        charges: for a SMILES: `resp` (RHF/6-31G*, the default; minutes to hours) or `am1bcc` (seconds to minutes).
        force_field: `gaff` or `gaff2`.
        conformers: how many RESP fits together; a molecule with few torsions has fewer.
        folder: where RESP keeps what is finished, so that a stopped run goes on; nothing is kept by default.
        progress: told a line now and then.

    Raises:
        InputError: if a name is unknown, or if the molecule is no carboxylate, has no charges or cannot be treated.
        ResourceError: if the extra is not installed.
    """
    if force_field not in FORCE_FIELDS:
        raise InputError(f"force field {force_field!r} is not known; available: {', '.join(FORCE_FIELDS)}")
    if charges is not None and charges not in CHARGES:
        raise InputError(f"charges {charges!r} are not known; available: {', '.join(CHARGES)}")
    if not 1 <= conformers <= _MAX_CONFORMERS:
        raise InputError(f"{conformers} conformers: needs 1 to {_MAX_CONFORMERS}")
    if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) is None:
        raise InputError(f"name {name!r}: needs 1 to 40 letters, digits, - or _")
    if str(molecule).endswith(".mol2"):
        if charges is not None:
            raise InputError(f"{molecule}: a mol2 file keeps its own charges; leave out {charges}")
        found, values = read_mol2(Path(molecule))
        return ligand_of(found, name, values, CHARGE_MODELS["mol2"], force_field, progress)
    found = read_smiles(str(molecule))
    if charges == "am1bcc":
        values, positions = am1bcc_charges(found, progress)
        model = CHARGE_MODELS["am1bcc"]
    else:
        with _kept(folder) as kept:
            potentials = potentials_of_conformers(found, conformers, kept, progress)
        values, positions = resp_charges(found, potentials), potentials[0].positions_angstrom
        model = CHARGE_MODELS["resp"].format(len(potentials))
    found.GetConformer().SetPositions(positions)
    return ligand_of(found, name, values, model, force_field, progress)


def read_smiles(smiles: str) -> Any:
    """Return the RDKit molecule of a SMILES: one carboxylate, with hydrogens and a first geometry.

    Raises:
        InputError: if it is not a whole and unambiguous carboxylate of elements that GAFF knows.
    """
    chem = import_extra("rdkit.Chem")
    with import_extra("rdkit.rdBase").BlockLogs():
        molecule = chem.MolFromSmiles(smiles)
        if molecule is None or not smiles.strip():
            raise InputError(f"{smiles!r} is no SMILES that can be read")
        _check(molecule, repr(smiles))
        unspecified = chem.StereoSpecified.Unspecified
        if any(centre.specified == unspecified for centre in chem.FindPotentialStereo(molecule)):
            raise InputError(f"{smiles!r}: double bond or chiral centre without configuration; give it with /, \\ or @")
        molecule = chem.AddHs(molecule)
        if import_extra("rdkit.Chem.AllChem").EmbedMolecule(molecule, randomSeed=1) != 0:
            raise InputError(f"{smiles!r}: RDKit finds no geometry")
    molecule.SetProp("smiles", smiles)
    return molecule


def read_mol2(path: Path) -> tuple[Any, np.ndarray]:
    """Return the RDKit molecule and the charges, e, of a mol2 file (atom types of SYBYL or GAFF).

    Raises:
        InputError: if the file cannot be read, has no charges, or holds no carboxylate.
    """
    atoms, pairs = _mol2_records(path)
    elements = [_element(path, fields[5]) for fields in atoms]
    try:
        charges = np.array([float(fields[8]) for fields in atoms])
    except (IndexError, ValueError):
        charges = np.zeros(len(atoms))
    total = charges.sum()
    if not charges.any():
        raise InputError(f"{path}: has no charges; give a mol2 with charges, or the SMILES")
    if not (np.isfinite(total) and abs(total - round(total)) <= _WHOLE):
        raise InputError(
            f"{path}: the charges sum to {total:.4f} e, which is no whole number; some are missing or wrong"
        )
    chem = import_extra("rdkit.Chem")
    editable = chem.RWMol()
    for element in elements:
        atom = chem.Atom(element)
        atom.SetNoImplicit(True)
        editable.AddAtom(atom)
    for i, j in pairs:
        editable.AddBond(i, j, chem.BondType.SINGLE)
    conformer = chem.Conformer(len(elements))
    conformer.SetPositions(np.array([fields[2:5] for fields in atoms], dtype=float))
    editable.AddConformer(conformer)
    with import_extra("rdkit.rdBase").BlockLogs():
        try:
            import_extra("rdkit.Chem.rdDetermineBonds").DetermineBondOrders(editable, charge=round(total))
            molecule = editable.GetMol()
            chem.SanitizeMol(molecule)
        except ValueError:
            raise InputError(
                f"{path}: atoms and bonds make no molecule of charge {round(total)}; are hydrogens missing?"
            ) from None
        _check(molecule, str(path))
        chem.AssignStereochemistryFrom3D(molecule)
        molecule.SetProp("smiles", chem.MolToSmiles(chem.RemoveHs(molecule)))
    return molecule, charges


def potentials_of_conformers(molecule: Any, count: int, folder: Path, progress: Progress) -> list[Potential]:
    """Return the RHF/6-31G* potential around each of several optimised conformers.

    Args:
        molecule: of `read_smiles`.
        count: conformers wanted.
        folder: keeps what is finished.
        progress: told a line after each step.
    """
    elements, charge = _elements(molecule), _charge(molecule)
    conformers = spread_conformers(molecule, count)
    optimised: list[np.ndarray] = []
    found = []
    for k, conformer in enumerate(conformers, 1):
        start = changed_alike(molecule, conformer, conformers[0], optimised[0]) if optimised else conformer
        checkpoint, hessian = folder / f"conformer_{k}.npz", model_hessian(molecule, conformer)
        optimised.append(optimise(elements, start, charge, hessian, checkpoint, progress))
        kept = folder / f"potential_{k}.npz"
        if not kept.exists():
            progress(f"conformer_{k}: electrostatic potential")
            potential(elements, optimised[-1], charge).save(kept)
        found.append(Potential.load(kept))
    return found


def resp_charges(molecule: Any, potentials: Sequence[Potential]) -> np.ndarray:
    """Return the RESP charges (n,), e, that fit all potentials together."""
    with _scratch(molecule) as scratch:
        _antechamber(molecule, "gaff", scratch, "-fo", "ac", creates="molecule.ac")
        return _whole(molecule, fit(potentials, scratch))


def am1bcc_charges(molecule: Any, progress: Progress = lambda line: None) -> tuple[np.ndarray, np.ndarray]:
    """Return AM1-BCC charges (n,), e, renormalised to the whole charge, and the AM1 geometry (n, 3), Å."""
    start = spread_conformers(molecule, 1)[0]
    molecule.GetConformer().SetPositions(start)
    progress("AM1 geometry and charges (sqm)")
    with _scratch(molecule) as scratch:
        _antechamber(molecule, "gaff", scratch, "-fo", "mol2", "-c", "bcc", creates="molecule.mol2")
        charges = np.array([float(fields[8]) for fields in _mol2_records(scratch / "molecule.mol2")[0]])
        final = (scratch / "sqm.out").read_text().split("Final Structure")[-1]
    positions = re.findall(r"^ *QMMM: +\d+ +\d+ +\S+ +(\S+) +(\S+) +(\S+) *$", final, flags=re.MULTILINE)
    return _whole(molecule, charges), np.array(positions, dtype=float)


def ligand_of(
    molecule: Any,
    name: str,
    charges_e: np.ndarray,
    charge_model: str,
    force_field: str,
    progress: Progress = lambda line: None,
) -> Ligand:
    """Return a molecule with given charges and the parameters of GAFF or GAFF2.

    Args:
        molecule: of `read_smiles` or `read_mol2`; its geometry is the ligand's.
        name: of the ligand.
        charges_e: (n,), e; brought to a whole sum.
        charge_model: how they were derived.
        force_field: `gaff` or `gaff2`.
        progress: told which parameters are by analogy.

    Raises:
        InputError: if the force field has no parameters for the molecule.
    """
    with _scratch(molecule) as scratch:
        topology = read_prmtop(amber_topology(molecule, force_field, scratch))
        for line in by_analogy(scratch):
            progress(f"by analogy: {line}")
    elements, counts, names = _elements(molecule), Counter[str](), []
    for element in elements:
        counts[element] += 1
        names.append(f"{element}{counts[element]}")
    types, masses = topology["AMBER_ATOM_TYPE"], np.array(topology["MASS"], dtype=float)
    charges = _whole(molecule, charges_e)
    try:
        return Ligand(
            name=name,
            smiles=molecule.GetProp("smiles"),
            force_field=force_field_version(force_field),
            charge_model=charge_model,
            atoms=[
                Atom(name=n, element=e, type=t, charge_e=q, mass_g_per_mol=m)
                for n, e, t, q, m in zip(names, elements, types, charges.tolist(), masses.tolist(), strict=True)
            ],
            lennard_jones=_lennard_jones(topology),
            **_bonded(topology),
            positions_angstrom=molecule.GetConformer().GetPositions().round(6).tolist(),
        )
    except ValidationError as error:
        raise InputError(f"{name}: {error.errors()[0]['msg']}") from None


def force_field_version(force_field: str) -> str:
    """Return such as `GAFF 1.81`, the version that the parameter file of AmberTools states."""
    home = ambertools_program("tleap").parents[1]
    with (home / "dat" / "leap" / "parm" / f"{force_field}.dat").open(encoding="utf-8") as file:
        version = re.search(r"Version ([\d.]*\d)", file.readline())
    if version is None:
        raise SimscError(f"{force_field}.dat of AmberTools states no version")
    return f"{force_field.upper()} {version[1]}"


def amber_topology(molecule: Any, force_field: str, folder: Path) -> Path:
    """Return the prmtop (without charges) that antechamber, parmchk2 and tleap make in a folder."""
    _antechamber(molecule, force_field, folder, "-fo", "mol2", creates="molecule.mol2")
    words = ("-i", "molecule.mol2", "-f", "mol2", "-s", force_field, "-o", "molecule.frcmod")
    ambertools("parmchk2", *words, folder=folder, creates="molecule.frcmod")
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


def _check(molecule: Any, where: str) -> None:
    """Raise an error if a molecule is not one closed-shell carboxylate of elements that GAFF knows."""
    chem = import_extra("rdkit.Chem")
    if strange := sorted({atom.GetSymbol() for atom in molecule.GetAtoms()} - set(_ELEMENTS)):
        raise InputError(f"{where}: GAFF has no {', '.join(strange)}")
    if len(chem.GetMolFrags(molecule)) > 1:
        raise InputError(f"{where}: is more than one molecule; leave counter-ions out")
    if any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()):
        raise InputError(f"{where}: is a radical")
    if molecule.GetNumAtoms() > _MAX_ATOMS:
        raise InputError(f"{where}: more than {_MAX_ATOMS} atoms")
    found = len(molecule.GetSubstructMatches(chem.MolFromSmarts(_CARBOXYLATE)))
    if found != 1:
        acid = molecule.HasSubstructMatch(chem.MolFromSmarts(_ACID))
        advice = "; write the acid as its carboxylate, C(=O)[O-]" if acid and not found else ""
        raise InputError(f"{where}: has {found} carboxylate groups, needs exactly one{advice}")


def _mol2_records(path: Path) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """Return the fields of each atom, and the bonded pairs counted from 0."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text file") from None
    sections: defaultdict[str, list[list[str]]] = defaultdict(list)
    section = ""
    for line in text.splitlines():
        if line.startswith("@<TRIPOS>"):
            section = line.removeprefix("@<TRIPOS>").strip()
            if section == "MOLECULE" and section in sections:
                raise InputError(f"{path}: has more than one molecule")
            sections[section] = sections[section]
        elif line.strip() and not line.startswith("#"):
            sections[section].append(line.split())
    try:
        numbers = {fields[0]: k for k, fields in enumerate(sections["ATOM"])}
        pairs = [(numbers[fields[1]], numbers[fields[2]]) for fields in sections["BOND"]]
        if not pairs or not all(
            np.isfinite([float(x) for x in fields[2:5]]).all() and fields[5] for fields in sections["ATOM"]
        ):
            raise ValueError
    except (IndexError, KeyError, ValueError):
        raise InputError(f"{path}: is no mol2 file with atoms and bonds") from None
    return sections["ATOM"], pairs


def _element(path: Path, atom_type: str) -> str:
    """Return the element of an atom type of SYBYL (`C.3`, `O.co2`, `Cl`) or GAFF (`c3`, `o`, `cl`)."""
    stem = re.match(r"[A-Za-z]*", atom_type)[0]  # type: ignore[index]
    two_letters = stem.capitalize() if stem.lower() in ("cl", "br") or re.fullmatch("[A-Z][a-z]", stem) else ""
    element = two_letters or stem[:1].upper()
    if element not in _ELEMENTS:
        raise InputError(f"{path}: atom type {atom_type!r} is of no element that GAFF has")
    return element


def _elements(molecule: Any) -> list[str]:
    return [atom.GetSymbol() for atom in molecule.GetAtoms()]


def _charge(molecule: Any) -> int:
    return int(import_extra("rdkit.Chem").GetFormalCharge(molecule))


def _whole(molecule: Any, charges_e: np.ndarray) -> np.ndarray:
    """Spread what lacks to the whole charge over all atoms; six digits, their remainder on the carboxylate carbon."""
    chem = import_extra("rdkit.Chem")
    charge = _charge(molecule)
    charges = np.round(charges_e + (charge - charges_e.sum()) / len(charges_e), 6)
    (carbon, *_), *_ = molecule.GetSubstructMatches(chem.MolFromSmarts(_CARBOXYLATE))
    charges[carbon] = round(charges[carbon] + charge - charges.sum(), 6)
    return charges + 0.0  # no −0


def _antechamber(molecule: Any, force_field: str, folder: Path, *arguments: str, creates: str) -> None:
    """Run antechamber on the molecule that `_scratch` laid out."""
    words = ("-i", "molecule.sdf", "-fi", "mdl", "-o", creates, "-at", force_field, "-rn", "LIG", "-dr", "no")
    charge = ("-nc", str(_charge(molecule)), "-s", "0", "-pf", "y")
    ambertools("antechamber", *words, *charge, *arguments, folder=folder, creates=creates)


def _lennard_jones(topology: dict[str, list[str]]) -> dict[str, LennardJones]:
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


def _bonded(topology: dict[str, list[str]]) -> dict[str, Any]:
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


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """Give the folder, made if need be, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    yield folder


@contextmanager
def _scratch(molecule: Any) -> Iterator[Path]:
    """Give a temporary folder that holds `molecule.sdf`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        import_extra("rdkit.Chem").MolToMolFile(molecule, str(folder / "molecule.sdf"))
        yield folder

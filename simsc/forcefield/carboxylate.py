"""Carboxylates out of a SMILES or a mol2 file, as RDKit molecules with hydrogens and a geometry.

Needs the extra `parameterise` (RDKit).
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.forcefield.extra import import_extra

CARBOXYLATE = "[CX3](=[OX1])[OX1-]"
_ACID = "[CX3](=[OX1])[OX2H1]"
_ELEMENTS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")  # of GAFF
_MAX_ATOMS = 400
_WHOLE = 0.01  # e: how far the charges of a mol2, written with few digits, may be from a whole sum


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
    atoms, pairs = mol2_records(path)
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


def elements_of(molecule: Any) -> list[str]:
    """Return the elements of a molecule."""
    return [atom.GetSymbol() for atom in molecule.GetAtoms()]


def charge_of(molecule: Any) -> int:
    """Return the net charge of a molecule, e."""
    return int(import_extra("rdkit.Chem").GetFormalCharge(molecule))


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
    found = len(molecule.GetSubstructMatches(chem.MolFromSmarts(CARBOXYLATE)))
    if found != 1:
        acid = molecule.HasSubstructMatch(chem.MolFromSmarts(_ACID))
        advice = "; write the acid as its carboxylate, C(=O)[O-]" if acid and not found else ""
        raise InputError(f"{where}: has {found} carboxylate groups, needs exactly one{advice}")


def mol2_records(path: Path) -> tuple[list[list[str]], list[tuple[int, int]]]:
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

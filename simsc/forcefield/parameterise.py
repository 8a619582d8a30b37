"""From a SMILES or a mol2 file of a carboxylate to a ligand with all its parameters: GAFF or GAFF2, RESP or AM1-BCC.

Needs the extra `parameterise`. AM1-BCC: Jakalian, Jack, Bayly, J. Comput. Chem. 23, 1623 (2002), DOI 10.1002/jcc.10128.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from simsc.core.errors import InputError
from simsc.forcefield.amber import (
    amber_topology,
    antechamber,
    bonded_terms,
    by_analogy,
    force_field_version,
    lennard_jones,
    read_prmtop,
    scratch_folder,
)
from simsc.forcefield.carboxylate import CARBOXYLATE, charge_of, elements_of, mol2_records, read_mol2, read_smiles
from simsc.forcefield.extra import import_extra
from simsc.forcefield.geometries import changed_alike, model_hessian, spread_conformers
from simsc.forcefield.ligand import Atom, Ligand
from simsc.forcefield.resp import Potential, fit, optimise, potential

Progress = Callable[[str], None]

CHARGES = ("resp", "am1bcc")
FORCE_FIELDS = ("gaff", "gaff2")
CHARGE_MODELS = {"resp": "RESP, RHF/6-31G*, conformers: {}", "am1bcc": "AM1-BCC", "mol2": "as in the mol2 file"}
_MAX_CONFORMERS = 20


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
        progress: called with a line of text now and then.

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
    # What the force field lacks had better be known before hours of quantum chemistry.
    ligand_of(found, name, np.zeros(found.GetNumAtoms()), "none", force_field, progress)
    if charges == "am1bcc":
        values, positions = am1bcc_charges(found, progress)
        model = CHARGE_MODELS["am1bcc"]
    else:
        with _kept(folder) as kept:
            potentials = potentials_of_conformers(found, conformers, kept, progress)
        values, positions = resp_charges(found, potentials), potentials[0].positions_angstrom
        model = CHARGE_MODELS["resp"].format(len(potentials))
    found.GetConformer().SetPositions(positions)
    return ligand_of(found, name, values, model, force_field)


def potentials_of_conformers(molecule: Any, count: int, folder: Path, progress: Progress) -> list[Potential]:
    """Return the RHF/6-31G* potential around each of several optimised conformers.

    Args:
        molecule: of `read_smiles`.
        count: conformers wanted.
        folder: keeps what is finished.
        progress: called with a line of text after each step.
    """
    elements, charge = elements_of(molecule), charge_of(molecule)
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
    with scratch_folder(molecule) as scratch:
        antechamber(molecule, "gaff", scratch, "-fo", "ac", creates="molecule.ac")
        return _whole(molecule, fit(potentials, scratch))


def am1bcc_charges(molecule: Any, progress: Progress = lambda line: None) -> tuple[np.ndarray, np.ndarray]:
    """Return AM1-BCC charges (n,), e, renormalised to the whole charge, and the AM1 geometry (n, 3), Å."""
    start = spread_conformers(molecule, 1)[0]
    molecule.GetConformer().SetPositions(start)
    progress("AM1 geometry and charges (sqm)")
    with scratch_folder(molecule) as scratch:
        antechamber(molecule, "gaff", scratch, "-fo", "mol2", "-c", "bcc", creates="molecule.mol2")
        charges = np.array([float(fields[8]) for fields in mol2_records(scratch / "molecule.mol2")[0]])
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
        progress: called with a line of text that names the parameters by analogy.

    Raises:
        InputError: if the force field has no parameters for the molecule.
    """
    with scratch_folder(molecule) as scratch:
        topology = read_prmtop(amber_topology(molecule, force_field, scratch))
        for line in by_analogy(scratch):
            progress(f"by analogy: {line}")
    elements, counts, names = elements_of(molecule), Counter[str](), []
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
            lennard_jones=lennard_jones(topology),
            **bonded_terms(topology),
            positions_angstrom=molecule.GetConformer().GetPositions().round(6).tolist(),
        )
    except ValidationError as error:
        raise InputError(f"{name}: {error.errors()[0]['msg']}") from None


def _whole(molecule: Any, charges_e: np.ndarray) -> np.ndarray:
    """Spread what lacks to the whole charge over all atoms; six digits, their remainder on the carboxylate carbon."""
    chem = import_extra("rdkit.Chem")
    charge = charge_of(molecule)
    charges = np.round(charges_e + (charge - charges_e.sum()) / len(charges_e), 6)
    (carbon, *_), *_ = molecule.GetSubstructMatches(chem.MolFromSmarts(CARBOXYLATE))
    charges[carbon] = round(charges[carbon] + charge - charges.sum(), 6)
    return charges + 0.0  # no −0


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

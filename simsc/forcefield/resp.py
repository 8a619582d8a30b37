"""RESP charges of a molecule: geometries and electrostatic potentials from RHF/6-31G*, fitted by AmberTools' `resp`.

Needs the extra `parameterise` (PySCF, AmberTools). Method: Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 97, 10269
(1993), DOI 10.1021/j100142a004; several conformers are fitted together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscError
from simsc.forcefield.extra import ambertools, import_extra

BOHR_ANGSTROM = 0.529177210903
HARTREE_KCAL_PER_MOL = 627.509474
FORCE_TOLERANCE = 2e-3  # Eh/bohr, largest component of the gradient: bond lengths to about 0.003 Å
MAX_STEPS = 60
_MAX_MOVE = 0.3  # bohr a step and coordinate
_FLOOR = 0.005  # Eh/bohr² added to the model Hessian: its softest modes are not to be trusted further
_SAME = 0.02  # bohr: how far starts may differ that are taken for the same
_SHELLS = (1.4, 1.6, 1.8, 2.0)  # times the radii
_RADII = {"H": 1.20, "C": 1.50, "N": 1.50, "O": 1.40, "F": 1.35, "P": 1.80, "S": 1.75, "Cl": 1.70}  # Å
_POINTS_PER_ANGSTROM2 = 1.0
_BLOCK = 200  # points whose integrals are held at once
_FIT = ("-O", "-i", "resp.in", "-e", "resp.esp", "-o", "resp.out", "-t", "charges.out", "-p", "punch", "-s", "esout")


@dataclass(frozen=True)
class Potential:
    """The electrostatic potential of one conformer.

    Attributes:
        atoms_bohr: (n, 3).
        points_bohr: (m, 3), outside the molecule.
        potential_au: (m,), Eh/e.
    """

    atoms_bohr: np.ndarray
    points_bohr: np.ndarray
    potential_au: np.ndarray

    @property
    def positions_angstrom(self) -> np.ndarray:
        """Atoms (n, 3), Å."""
        return self.atoms_bohr * BOHR_ANGSTROM

    def save(self, path: Path) -> None:
        """Write to an `.npz` file."""
        np.savez(path, atoms_bohr=self.atoms_bohr, points_bohr=self.points_bohr, potential_au=self.potential_au)

    @classmethod
    def load(cls, path: Path) -> "Potential":
        """Read what `save` wrote."""
        return cls(**np.load(path))

    def relative_rms(self, charges_e: np.ndarray) -> float:
        """Return the root of Σ (V − V(charges))² / Σ V² over all points."""
        distances = np.linalg.norm(self.points_bohr[:, None] - self.atoms_bohr[None], axis=2)
        wrong = self.potential_au - (charges_e / distances).sum(axis=1)
        return float(np.sqrt((wrong**2).sum() / (self.potential_au**2).sum()))


def optimise(
    elements: Sequence[str],
    positions_angstrom: np.ndarray,
    charge_e: int,
    model_hessian: np.ndarray,
    checkpoint: Path,
    progress: Callable[[str], None],
) -> np.ndarray:
    """Optimise a geometry at RHF/6-31G* (density-fitted): quasi-Newton (BFGS) steps that start from a model Hessian.

    A stopped optimisation goes on from its checkpoint.

    Args:
        elements: element of each atom.
        positions_angstrom: start, (n, 3), Å.
        charge_e: net charge, e.
        model_hessian: second derivatives of a force field at the start, (3n, 3n), Eh/bohr².
        checkpoint: `.npz` file that is written after each step.
        progress: called with a line of text after each step.

    Returns:
        (n, 3), Å; no component of the gradient is above `FORCE_TOLERANCE`.

    Raises:
        SimscError: if that takes more than `MAX_STEPS` steps.
        InputError: if the checkpoint is of another molecule or conformer.
    """
    start = x = positions_angstrom.ravel() / BOHR_ANGSTROM
    curvatures, modes = np.linalg.eigh(model_hessian)
    inverse = modes / (np.maximum(curvatures, 0) + _FLOOR) @ modes.T
    first, before = 0, None
    if checkpoint.exists():
        saved = np.load(checkpoint)
        if saved["start"].shape != start.shape or np.abs(saved["start"] - start).max() > _SAME:
            raise InputError(f"{checkpoint}: is of another molecule or conformer; give another folder")
        if saved["done"]:
            return saved["x"].reshape(-1, 3) * BOHR_ANGSTROM
        x, inverse, first = saved["next_x"], saved["inverse"], int(saved["step"]) + 1
        before = saved["x"], saved["gradient"]
    scf = _scf(elements, x, charge_e)
    scf.conv_tol, scf.conv_tol_grad = 1e-6, 5e-4  # the gradient is good to a few hundredths of FORCE_TOLERANCE
    scanner = scf.nuc_grad_method().as_scanner()
    for step in range(first, MAX_STEPS):
        energy, gradient = scanner(_molecule(elements, x, charge_e))
        gradient = gradient.ravel()
        if before is not None:
            inverse = _bfgs(inverse, x - before[0], gradient - before[1])
        largest = np.abs(gradient).max()
        done = largest < FORCE_TOLERANCE
        move = -inverse @ gradient
        next_x = x + move * min(1, _MAX_MOVE / np.abs(move).max())
        state = {"start": start, "x": x, "next_x": next_x, "gradient": gradient, "inverse": inverse}
        np.savez(checkpoint, **state, step=step, done=done)
        progress(f"{checkpoint.stem}: step {step + 1}, {energy:.6f} Eh, largest gradient {largest:.1e} Eh/bohr")
        if done:
            return x.reshape(-1, 3) * BOHR_ANGSTROM
        before, x = (x, gradient), next_x
    raise SimscError(f"{checkpoint.stem}: geometry not optimised after {MAX_STEPS} steps")


def potential(elements: Sequence[str], positions_angstrom: np.ndarray, charge_e: int) -> Potential:
    """Return the RHF/6-31G* potential on Merz and Kollman's shells.

    Raises:
        InputError: if an element has no radius in that scheme.
    """
    atoms = positions_angstrom / BOHR_ANGSTROM
    points = shell_points(elements, positions_angstrom) / BOHR_ANGSTROM
    scf = _scf(elements, atoms, charge_e)
    scf.conv_tol = 1e-8
    scf.kernel()
    density, nuclei = scf.make_rdm1(), scf.mol.atom_charges()
    values = (nuclei / np.linalg.norm(points[:, None] - atoms[None], axis=2)).sum(axis=1)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        values[block] -= np.einsum("pij,ij->p", scf.mol.intor("int1e_grids", grids=points[block]), density)
    return Potential(atoms, points, values)


def shell_points(elements: Sequence[str], positions_angstrom: np.ndarray) -> np.ndarray:
    """Return points (m, 3), Å, on fused spheres of 1.4, 1.6, 1.8 and 2.0 van der Waals radii, about one an Å².

    Singh, Kollman, J. Comput. Chem. 5, 129 (1984), DOI 10.1002/jcc.540050204; Besler, Merz, Kollman, J. Comput. Chem.
    11, 431 (1990), DOI 10.1002/jcc.540110404.

    Raises:
        InputError: if an element has no radius in that scheme.
    """
    if missing := sorted(set(elements) - set(_RADII)):
        raise InputError(f"no radius for the potential around {', '.join(missing)}; use am1bcc charges instead")
    found = []
    for scale in _SHELLS:
        radii = scale * np.array([_RADII[element] for element in elements])
        for centre, radius in zip(positions_angstrom, radii, strict=True):
            sphere = centre + radius * _unit_sphere(round(4 * np.pi * radius**2 * _POINTS_PER_ANGSTROM2))
            distances = np.linalg.norm(sphere[:, None] - positions_angstrom[None], axis=2)
            found.append(sphere[(distances > radii - 1e-9).all(axis=1)])
    return np.concatenate(found)


def fit(potentials: Sequence[Potential], folder: Path) -> np.ndarray:
    """Fit RESP charges to the potentials of all conformers together, in two stages, by AmberTools' `resp`.

    Restraints and equivalences are those of AmberTools' `respgen`: weight 0.0005, then CH2 and CH3 once more with
    weight 0.001 and equal hydrogens.

    Args:
        potentials: of each conformer.
        folder: holds `molecule.ac`, antechamber's description of the molecule; the fit is laid out there.

    Returns:
        Charges (n,), e; equivalent atoms have equal charges.
    """
    text = "".join(_esp_lines(potential) for potential in potentials)
    (folder / "resp.esp").write_text(text, encoding="ascii")
    before: tuple[str, ...] = ()
    classes = np.arange(len(potentials[0].atoms_bohr))
    for stage in ("resp1", "resp2"):
        arguments = ("-i", "molecule.ac", "-o", "resp.in", "-f", stage, "-n", str(len(potentials)))
        ambertools("respgen", *arguments, folder=folder, creates="resp.in")
        classes = _equivalent((folder / "resp.in").read_text(), classes)
        ambertools("resp", *_FIT, *before, folder=folder, creates="charges.out")
        (folder / "charges.out").replace(folder / "charges.in")
        before = ("-q", "charges.in")
    charges = np.array((folder / "charges.in").read_text().split(), dtype=float)[: len(classes)]
    # Written with 6 digits, and equal only to about that.
    return np.array([charges[classes == label].mean() for label in classes])


def _bfgs(inverse: np.ndarray, moved: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the BFGS update of an inverse Hessian."""
    if (curvature := moved @ change) <= 1e-12:
        return inverse
    projector = np.eye(len(moved)) - np.outer(moved, change) / curvature
    return projector @ inverse @ projector.T + np.outer(moved, moved) / curvature


def _molecule(elements: Sequence[str], x_bohr: np.ndarray, charge_e: int) -> Any:
    # Cartesian d functions are part of the definition of 6-31G*.
    return import_extra("pyscf.gto").M(
        atom=list(zip(elements, x_bohr.reshape(-1, 3).tolist(), strict=True)),
        unit="Bohr", basis="6-31g*", cart=True, charge=charge_e, verbose=0,
    )  # fmt: skip


def _scf(elements: Sequence[str], x_bohr: np.ndarray, charge_e: int) -> Any:
    calculation = import_extra("pyscf.scf").RHF(_molecule(elements, x_bohr, charge_e))
    return calculation.density_fit(auxbasis="def2-universal-jkfit")


def _unit_sphere(n: int) -> np.ndarray:
    """Return n points (n, 3) spread evenly on the unit sphere (Fibonacci spiral)."""
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    rho = np.sqrt(1 - z**2)
    return np.stack([rho * np.cos(azimuth), rho * np.sin(azimuth), z], axis=1)


def _esp_lines(potential: Potential) -> str:
    """Return one conformer in the format that `resp` reads: atoms and points in bohr, potentials in Eh/e."""
    lines = [f"{len(potential.atoms_bohr):5d}{len(potential.points_bohr):5d}"]
    lines += [" " * 17 + "".join(f"{value:16.7E}" for value in atom) for atom in potential.atoms_bohr]
    for value, point in zip(potential.potential_au, potential.points_bohr, strict=True):
        lines.append(" " + "".join(f"{number:16.7E}" for number in (value, *point)))
    return "\n".join(lines) + "\n"


def _equivalent(text: str, classes: np.ndarray) -> np.ndarray:
    """Return the classes of atoms, merged where the first molecule of an input of `resp` has equivalences."""
    rows = text.split("&end")[1].splitlines()[4:]  # rest of line, weight, title, charge and number of atoms
    merged = classes.copy()
    for i in range(len(classes)):
        same_as = int(rows[i].split()[1])
        if same_as > 0:
            merged[merged == merged[i]] = merged[same_as - 1]
    return merged

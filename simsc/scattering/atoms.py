"""Atoms as X-rays see them: positions, and form factors of free atoms and ions."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np

from simsc.core.errors import InputError

_S_MAX_INV_ANGSTROM = 6.0  # sin θ / λ up to which the coefficients were fitted


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms at given positions, in vacuum: nothing is subtracted for a solvent.

    Args:
        positions_nm: (N, 3), nm.
        elements: (N,) chemical symbols, or ions such as "Fe3+" and "O2-" (see `form_factors`).

    Raises:
        InputError: if arrays do not fit together, or an element has no form factor.
    """

    positions_nm: np.ndarray
    elements: np.ndarray

    def __post_init__(self) -> None:
        positions = np.array(self.positions_nm, dtype=np.float64)
        elements = np.array(self.elements, dtype=str)
        if positions.ndim != 2 or positions.shape[1:] != (3,) or elements.shape != positions.shape[:1]:
            raise InputError(f"atoms need positions (N, 3) and N elements, got {positions.shape} and {elements.shape}")
        if len(positions) == 0 or not np.isfinite(positions).all():
            raise InputError("atoms need at least one position, and finite numbers")
        form_factors(np.unique(elements), np.zeros(1))
        object.__setattr__(self, "positions_nm", positions)
        object.__setattr__(self, "elements", elements)

    @property
    def n(self) -> int:
        """Number of atoms."""
        return len(self.positions_nm)

    @property
    def diameter_nm(self) -> float:
        """Diameter in nm of a ball about the mean position that holds all atoms."""
        return 2 * float(np.linalg.norm(self.positions_nm - self.positions_nm.mean(axis=0), axis=1).max())


@dataclass(frozen=True, eq=False)
class AtomicFormFactor:
    """F_j(q) = Σ_r u_r(q) c_rj with one term an element: u_r its form factor, c_rj 1 for its atoms and else 0."""

    isotropic: ClassVar[bool] = True

    coefficients: np.ndarray
    _elements: np.ndarray

    def functions(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """Return u_r (rank, …) at momentum transfers, nm⁻¹."""
        return form_factors(self._elements, q_inv_nm)

    def on_sphere(self, q_inv_nm: float, directions: np.ndarray) -> np.ndarray:
        """Return u_r (rank, 1) for all directions (P, 3) of one |q|, nm⁻¹."""
        return self.functions(np.array([q_inv_nm]))


def expand_atoms(atoms: Atoms) -> AtomicFormFactor:
    """Return the form factors of atoms, exactly."""
    elements, numbers = np.unique(atoms.elements, return_inverse=True)
    return AtomicFormFactor((np.arange(len(elements))[:, None] == numbers).astype(np.float64), elements)


def form_factors(elements: np.ndarray, q_inv_nm: np.ndarray) -> np.ndarray:
    """Return X-ray form factors f(q), electrons; without anomalous dispersion.

    f = Σ_i a_i exp(−b_i s²) + c with s = q / 4π (Waasmaier & Kirfel, Acta Cryst. A 51 (1995) 416,
    DOI 10.1107/S0108767394013292).

    Args:
        elements: (E,) chemical symbols or ions.
        q_inv_nm: momentum transfers, nm⁻¹, of any shape.

    Returns:
        (E, …).

    Raises:
        InputError: for an element that is not in the table, or q beyond its end, 754 nm⁻¹.

    Example:
        >>> form_factors(np.array(["Fe"]), np.zeros(1)).round(1)
        array([[26.]])
    """
    table = _table()
    if unknown := sorted(set(elements) - table.keys()):
        raise InputError(
            f"no X-ray form factor is known of {', '.join(unknown)}; there are, among others, H, C, O, Fe3+"
        )
    s2 = (np.asarray(q_inv_nm, dtype=np.float64) / 10 / (4 * np.pi)) ** 2
    if s2.size and s2.max() > _S_MAX_INV_ANGSTROM**2:
        raise InputError(f"X-ray form factors are known up to q = {_S_MAX_INV_ANGSTROM * 40 * np.pi:.0f} nm⁻¹")
    return np.array(
        [c + sum(a * np.exp(-b * s2) for a, b in zip(many_a, many_b, strict=True)) for c, many_a, many_b in
         (table[str(element)] for element in elements)]
    )  # fmt: skip


@cache
def _table() -> dict[str, tuple[float, list[float], list[float]]]:
    """Return c, a_1 … a_5 and b_1 … b_5 (Å²) of all atoms and ions."""
    lines = (files("simsc.scattering") / "waasmaier_kirfel.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {
        row["species"]: (
            float(row["c"]),
            [float(row[f"a{i}"]) for i in range(1, 6)],
            [float(row[f"b{i}"]) for i in range(1, 6)],
        )
        for row in rows
    }

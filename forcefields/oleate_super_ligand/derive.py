"""Derive the numbers of `parameters.json` that follow from chemistry and geometry, and compare them with the file.

Run `python forcefields/oleate_super_ligand/derive.py`; it exits with status 1 if a number of the file differs from the
one derived here by more than 1e-4 of its value. The README says where every other number comes from.

Sources:
    Atomic weights: IUPAC, abridged to five digits.
    Magnetite: a = 8.396 Å, 8 formula units a cell (NBS Monograph 25, Section 5, 31, 1967; 8.3963 Å at 18 °C in
    Basta, Mineral. Mag. 31, 431, 1957, DOI 10.1180/minmag.1957.031.237.02).
    Oleic acid: 0.8935 g/cm³ at 20 °C (CRC Handbook of Chemistry and Physics, Physical Constants of Organic Compounds).
    Its expansion: see `LINEAR_SLOPE` and `METHYL_OLEATE`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

PARAMETERS = Path(__file__).resolve().parent / "parameters.json"
TOLERANCE = 1e-4  # relative; atomic weights of other editions change the masses by 3e-5

ATOMIC_WEIGHT = {"H": 1.008, "C": 12.011, "O": 15.999, "Fe": 55.845}  # g/mol
AVOGADRO = 0.602214076  # molecules per Å³ for 1 mol/cm³

MAGNETITE_CELL = 8.396  # Å
MAGNETITE_UNITS = 8  # Fe3O4 a cell

CORE_RADIUS = 20.0  # Å: the 4 nm core of Lapkin et al., ACS Nano 2025, 19, 42881
OLEATES = 255  # a core; with its 3200 to 3500 atoms it gives the ≈ 17 000 atoms an NP of that paper
SUPER_LIGANDS = 96  # a core: the choice that makes the model coarse
HEAD_HEIGHT = 2.5  # Å above the core sphere
BEADS = 2  # tail beads a super-ligand

OLEIC_ACID_DENSITY = 0.8935  # g/cm³ at 293.15 K
REFERENCE_K = 293.15
# g/cm³/K. The density of vegetable oils (triglycerides mainly of C18 acids) falls by about this much a degree between
# 24 and 110 °C: Noureddini, Teoh, Clements, J. Am. Oil Chem. Soc. 69, 1184 (1992), DOI 10.1007/BF02637677, as quoted
# in J. Am. Oil Chem. Soc. 76, 1415 (1999). The constants of the former for oleic acid itself could not be checked.
LINEAR_SLOPE = -0.64e-3
# g/cm³ at 1 atm by temperature in K: methyl oleate, which shares its C17H33 chain and its critical temperature (782 and
# 781 K) with oleic acid. Equation of state of Huber et al., Energy Fuels 23, 3790 (2009), DOI 10.1021/ef900159g (formal
# range 253 to 1000 K), evaluated with CoolProp 8.0.0.
METHYL_OLEATE = {293.15: 0.873820, 300.0: 0.868820, 600.0: 0.644395}


def mass(**atoms: int) -> float:
    """Return the molar mass, g/mol, of a formula given as `C=18, H=34, O=2`."""
    return sum(ATOMIC_WEIGHT[element] * count for element, count in atoms.items())


def core_density() -> float:
    """Return the density of magnetite, g/mol/Å³."""
    return MAGNETITE_UNITS * mass(Fe=3, O=4) / MAGNETITE_CELL**3


def coverage_inv_nm2() -> float:
    """Return the number of oleates on an area of the core sphere, nm⁻²."""
    return OLEATES / (4 * np.pi * (CORE_RADIUS / 10) ** 2)


def area_per_head() -> float:
    """Return the area of the head sphere for one super-ligand, Å²."""
    return 4 * np.pi * (CORE_RADIUS + HEAD_HEIGHT) ** 2 / SUPER_LIGANDS


def head_mass() -> float:
    """Return the mass of the carboxylates (COO) of one super-ligand, g/mol."""
    return mass(C=1, O=2) * OLEATES / SUPER_LIGANDS


def tail_bead_mass() -> float:
    """Return the mass of one tail bead, g/mol: the chains (C17H33) of a super-ligand shared by its beads."""
    return mass(C=17, H=33) * OLEATES / (SUPER_LIGANDS * BEADS)


def derived() -> dict[str, float]:
    """Return every derived number, and one that derivations take as given, under its path in the file."""
    return {
        "core.density_g_per_mol_angstrom3": core_density(),
        "head.ligands_per_head": OLEATES / SUPER_LIGANDS,
        "head.height_above_core_angstrom": HEAD_HEIGHT,
        "head.area_per_head_angstrom2": area_per_head(),
        "head.mass_per_head_g_per_mol": head_mass(),
        "tail.mass_g_per_mol.tail": tail_bead_mass(),
    }


def oleic_acid_density(temperature_K: float) -> tuple[float, float]:
    """Estimate the density of liquid oleic acid, g/cm³, in two ways.

    At 600 K both are extrapolations: the measurements behind the slope end at 383 K, and methyl oleate is not the acid.

    Args:
        temperature_K: 300 or 600 K (where the equation of state was evaluated).

    Returns:
        The value at 20 °C carried on (1) with the constant slope of vegetable oils, which is too dense far above the
        measured range, since liquids expand faster the hotter they are, and (2) in proportion to methyl oleate.
    """
    linear = OLEIC_ACID_DENSITY + LINEAR_SLOPE * (temperature_K - REFERENCE_K)
    proportional = OLEIC_ACID_DENSITY * METHYL_OLEATE[temperature_K] / METHYL_OLEATE[REFERENCE_K]
    return linear, proportional


def close_packed_distance_nm(density: float) -> float:
    """Return d_NN, nm, if NPs fill space as a close packing: d = (√2 V)^(1/3) with V the volume of an NP.

    Args:
        density: of the ligand shell, g/cm³; the shell holds OLEATES molecules of oleic acid beside the core sphere.
    """
    ligand_volume = mass(C=18, H=34, O=2) / (density * AVOGADRO)
    volume = 4 / 3 * np.pi * CORE_RADIUS**3 + OLEATES * ligand_volume
    return float(np.cbrt(np.sqrt(2) * volume)) / 10


def target_nm(temperature_K: float) -> tuple[float, float]:
    """Return d_NN, nm, that the volumes call for at 300 or 600 K, and half the span of its two estimates, nm."""
    low, high = (close_packed_distance_nm(density) for density in oleic_acid_density(temperature_K))
    return (low + high) / 2, abs(high - low) / 2


def bond_period_steps(parameters: dict[str, Any]) -> float:
    """Return the period of the fastest bond, between two tail beads, in time steps."""
    stiffness = 2 * parameters["bonds"]["tail_tail"]["k_kcal_per_mol_angstrom2"] * 4.184e-4  # g/mol/fs²
    period_fs = 2 * np.pi * np.sqrt(parameters["tail"]["mass_g_per_mol"]["tail"] / 2 / stiffness)
    return float(period_fs / parameters["dynamics"]["timestep_fs"])


def shipped(parameters: dict[str, Any], path: str) -> float:
    """Return the number at a dotted path, such as `head.ligands_per_head`."""
    value: Any = parameters
    for name in path.split("."):
        value = value[name]
    return float(value)


def differences(parameters: dict[str, Any]) -> dict[str, float]:
    """Return, for each derived number, the relative difference of the shipped one."""
    return {path: abs(shipped(parameters, path) / value - 1) for path, value in derived().items()}


def main() -> int:
    """Print derived beside shipped numbers, and the target distances; return the exit status."""
    parameters = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    difference = differences(parameters)
    print(f"{'number':34} {'derived':>11} {'shipped':>11} {'rel. difference':>16}")
    for path, value in derived().items():
        print(f"{path:34} {value:11.6g} {shipped(parameters, path):11.6g} {difference[path]:16.1e}")
    print(f"\ncoverage of the core sphere {coverage_inv_nm2():.2f} nm⁻²")
    print(f"period of the fastest bond {bond_period_steps(parameters):.0f} time steps")
    for temperature in (300.0, 600.0):
        (target, span), (linear, ester) = target_nm(temperature), oleic_acid_density(temperature)
        print(
            f"{temperature:.0f} K: oleic acid {linear:.4f} (linear) or {ester:.4f} (as methyl oleate) g/cm³, "
            f"target d_NN {target:.3f} ± {span:.3f} nm"
        )
    wrong = [path for path, relative in difference.items() if relative > TOLERANCE]
    if wrong:
        print(f"differ by more than {TOLERANCE:g}: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

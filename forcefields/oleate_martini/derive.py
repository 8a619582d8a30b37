"""Derive the numbers of `parameters.json` from what is published, and compare them with the file.

    python forcefields/oleate_martini/derive.py [--write]

Exits with status 1 if a number of the file differs from the one derived here by more than 1e-5 of its value. The README
says where every other number comes from.

Sources:
    Oleate in Martini 3: bead types, bonds and angles of molecule OA, Pedersen et al., ACS Cent. Sci. 2025,
    DOI 10.1021/acscentsci.5c00755 (files martini_v3.0.0_fattyacids_v2.itp and martini_v3.0.0_ffbonded_v2.itp there).
    Lennard-Jones of pairs of bead types, masses: Martini 3.0.0, Souza et al., Nat. Methods 18, 382 (2021),
    DOI 10.1038/s41592-021-01098-3 (file martini_v3.0.0.itp).
    Magnetite, weight of atoms, oleates on a core: as in `forcefields/oleate_super_ligand/derive.py`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

PARAMETERS = Path(__file__).resolve().parent / "parameters.json"
TOLERANCE = 1e-5
KJ_PER_KCAL = 4.184

CORE_RADIUS = 20.0  # Å
OLEATES = 255  # on a core of that radius, as in oleate_super_ligand
HEAD_HEIGHT = 2.5  # Å above the core sphere, as there
MAGNETITE_DENSITY = 8 * (3 * 55.845 + 4 * 15.999) / 8.396**3  # g/mol/Å³: 8 Fe3O4 in a cube of 8.396 Å

# GROMACS units: nm, kJ/mol, degrees; energies are ½ k (r − r0)² and ½ k (θ − θ0)².
BEAD_TYPES = {"head": "SQ5n", "c1": "C1", "c4h": "C4h"}
BEADS = ("c1", "c4h", "c1", "c1")  # the second holds the double bond
MASSES = {"head": 54.0, "c1": 72.0, "c4h": 72.0}  # of small and regular beads
BONDS = {  # r0, k
    "head_c1": (0.400, 2800.0),  # b_COO_C1_fa_5long
    "c1_c4h": (0.505, 2800.0),  # b_C1_C4_mid_5long
    "c4h_c1": (0.475, 2800.0),  # b_C1_C4_mid
    "c1_c1": (0.500, 2800.0),  # b_C1_C1_end
}
ANGLES = {  # θ0, k
    "head_c1_c4h": (180.0, 13.5),  # a_COO_C1_C4_fa
    "c1_c4h_c1": (140.0, 10.0),  # a_C1_C4_C1_def
    "c4h_c1_c1": (180.0, 13.5),  # a_C1_C1_C1_def
}
LENNARD_JONES = {  # sigma, epsilon
    "head_c1": (0.552, 1.332),
    "head_c4h": (0.443, 2.944),
    "c1_c1": (0.470, 3.390),
    "c1_c4h": (0.470, 3.070),
    "c4h_c4h": (0.470, 3.520),
}
CUTOFF = 1.1  # with the potential shifted to zero there: the settings that Martini 3 was parameterised with


def rounded(value: float) -> float:
    """Return a number with seven digits."""
    return float(f"{value:.7g}")


def derived() -> dict[str, Any]:
    """Return the parameters that are derived, in the layout of the file, in the units of LAMMPS `real`."""
    area = 4 * np.pi * (CORE_RADIUS + HEAD_HEIGHT) ** 2 / OLEATES
    return {
        "core": {"density_g_per_mol_angstrom3": rounded(MAGNETITE_DENSITY)},
        "head": {
            "ligands_per_head": 1.0,
            "height_above_core_angstrom": HEAD_HEIGHT,
            "area_per_head_angstrom2": rounded(area),
            "mass_per_head_g_per_mol": MASSES["head"],
        },
        "tail": {
            "beads": list(BEADS),
            "mass_g_per_mol": {bead: MASSES[bead] for bead in dict.fromkeys(BEADS)},
        },
        "bonds": {
            name: {
                "k_kcal_per_mol_angstrom2": rounded(k / 2 / KJ_PER_KCAL / 100),
                "r0_angstrom": rounded(10 * r0),
            }
            for name, (r0, k) in BONDS.items()
        },
        "angle_style": "harmonic",
        "angles": {
            name: {"k_kcal_per_mol": rounded(k / 2 / KJ_PER_KCAL), "theta0_degree": theta0}
            for name, (theta0, k) in ANGLES.items()
        },
        "lennard_jones": {
            "cutoff_angstrom": rounded(10 * CUTOFF),
            "pairs": {
                name: {
                    "epsilon_kcal_per_mol": rounded(epsilon / KJ_PER_KCAL),
                    "sigma_angstrom": rounded(10 * sigma),
                }
                for name, (sigma, epsilon) in LENNARD_JONES.items()
            },
        },
    }


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Return every value below a node, under its dotted path."""
    if not isinstance(node, dict):
        return {path: node}
    return {k: v for key, value in node.items() for k, v in leaves(value, f"{path}.{key}" if path else key).items()}


def different(parameters: dict[str, Any]) -> list[str]:
    """Return the paths of derived numbers that the file has otherwise."""
    shipped = leaves(parameters)
    wrong = []
    for path, value in leaves(derived()).items():
        there = shipped.get(path)
        if isinstance(value, float):
            if not isinstance(there, int | float) or abs(there / value - 1) > TOLERANCE:
                wrong.append(path)
        elif there != value:
            wrong.append(path)
    return wrong


def main() -> int:
    """Compare, or write what is derived into the file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what is derived into parameters.json")
    write = parser.parse_args().write
    parameters = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    if write:
        PARAMETERS.write_text(json.dumps(parameters | derived(), indent=2) + "\n", encoding="utf-8")
        return 0
    if wrong := different(parameters):
        print(f"differ: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

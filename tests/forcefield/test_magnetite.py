"""Force field of the core: charges that add up, and the crystal that it gives under LAMMPS."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simsc.builders.nanoparticle import magnetite
from simsc.builders.oxidation import random_states
from simsc.core.errors import InputError
from simsc.forcefield.magnetite import CHARGE_QUANTUM_E, KINDS, QUANTA_PER_OXIDATION, load_magnetite
from simsc.io.resources import resource_folder

FOLDER = Path(__file__).resolve().parents[2] / "forcefields" / "magnetite"
OLEATE_QUANTA = -40


def test_charges_are_those_of_the_readme():
    expected = {
        "FeT2": 1.05,
        "FeT3": 1.575,
        "FeO2": 1.05,
        "FeO3": 1.575,
        "O": -1.05,
        "OH": -0.95,
        "OP": -1.0,
        "H": 0.425,
    }
    parameters = load_magnetite()
    assert tuple(parameters.species) == KINDS
    assert dict(zip(KINDS, parameters.charges_e(np.array(KINDS)), strict=True)) == pytest.approx(expected, abs=1e-15)
    assert load_magnetite(hydroxyl="2025").quanta["OH"] * CHARGE_QUANTUM_E == -1.0


def test_hydroxyl_and_ligand_each_turn_one_iron():
    quanta = load_magnetite().quanta
    assert quanta["FeO3"] - quanta["FeO2"] == QUANTA_PER_OXIDATION
    assert quanta["OH"] + quanta["H"] == -QUANTA_PER_OXIDATION
    # An acid leaves its proton on a lattice oxygen.
    assert OLEATE_QUANTA + quanta["OP"] + quanta["H"] - quanta["O"] == -QUANTA_PER_OXIDATION


def test_formula_unit_is_neutral():
    quanta = load_magnetite().quanta
    assert quanta["FeT3"] + quanta["FeO2"] + quanta["FeO3"] + 4 * quanta["O"] == 0


def test_sets_differ_in_iron_alone():
    first, second = load_magnetite("A"), load_magnetite("B")
    for kind in KINDS:
        assert (first.species[kind] != second.species[kind]) == kind.startswith("Fe")
    assert first.hydroxyl_bond == second.hydroxyl_bond
    # Fe2+ and Fe3+ have to differ in charge alone: swaps of the two rest on it.
    assert len({(s.epsilon_kcal_per_mol, s.sigma_angstrom) for k, s in first.species.items() if k[:2] == "Fe"}) == 1


def test_clayff_sizes_in_both_conventions():
    # ClayFF gives R0 of the minimum, LAMMPS wants sigma.
    species = load_magnetite().species
    assert species["O"].sigma_angstrom * 2 ** (1 / 6) == pytest.approx(3.5532, abs=1e-4)
    assert species["FeO3"].sigma_angstrom * 2 ** (1 / 6) == pytest.approx(5.5070, abs=1e-4)


@pytest.mark.parametrize("arguments", [{"iron_set": "C"}, {"hydroxyl": "2004"}])
def test_unknown_set_is_refused(arguments):
    with pytest.raises(InputError, match="not known; available"):
        load_magnetite(**arguments)


def test_every_number_has_its_line_in_the_readme():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    values = json.loads((FOLDER / "parameters.json").read_text(encoding="utf-8"))

    def leaves(node, prefix=""):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    assert [path for path in leaves(values) if f"`{path}`" not in readme] == []


def bulk_data(path, cells, iron_set, rng):
    """Write a LAMMPS data file of inverse spinel, `cells` cells wide, Fe2+ and Fe3+ at random on octahedral sites."""
    parameters = load_magnetite(iron_set)
    crystal = magnetite().repeat(cells)
    kinds = np.tile(np.array(["FeT3"] * 8 + ["FeO3"] * 16 + ["O"] * 32), cells**3)
    octahedral = np.flatnonzero(kinds == "FeO3")
    kinds[octahedral[~random_states(len(octahedral), len(octahedral) // 2, rng)]] = "FeO2"
    names = sorted(set(kinds))
    species = [parameters.species[name] for name in names]
    width = crystal.cell[0, 0]
    lines = ["magnetite", "", f"{len(kinds)} atoms", f"{len(names)} atom types", ""]
    lines += [f"0.0 {width} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", ""] + [f"{i} {s.mass_g_per_mol}" for i, s in enumerate(species, 1)]
    lines += ["", "Pair Coeffs", ""]
    lines += [f"{i} {s.epsilon_kcal_per_mol} {s.sigma_angstrom}" for i, s in enumerate(species, 1)]
    lines += ["", "Atoms # full", ""]
    rows = zip(kinds, parameters.charges_e(kinds), crystal.positions, strict=True)
    for i, (kind, charge, (x, y, z)) in enumerate(rows, 1):
        lines.append(f"{i} 1 {names.index(kind) + 1} {charge:.9f} {x:.9f} {y:.9f} {z:.9f}")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def lattice_constant(folder, cells, iron_set, rng, what, **variables):
    """Run `bulk.lmp`; return the lattice constant that it prints, Å."""
    bulk_data(folder / "bulk.data", cells, iron_set, rng)
    script = resource_folder("lammps_inputs/magnetite") / "bulk.lmp"
    command = [sys.prefix + "/bin/mpiexec", "-n", "1", sys.prefix + "/bin/lmp", "-in", str(script), "-screen", "none"]
    for name, value in variables.items():
        command += ["-var", name, str(value)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=3000)
    return float(re.search(rf"^{what} box ([\d.]+)$", (folder / "log.lammps").read_text(), re.MULTILINE)[1]) / cells


@pytest.mark.parametrize(("iron_set", "expected"), [("A", 8.493), ("B", 8.396)])
def test_relaxed_crystal_has_the_lattice_constant(iron_set, expected, tmp_path, rng):
    assert lattice_constant(tmp_path, 2, iron_set, rng, "relaxed") == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_crystal_at_room_temperature(tmp_path, rng):
    assert lattice_constant(tmp_path, 2, "A", rng, "mean", t=300, steps=20000) == pytest.approx(8.534, abs=0.03)

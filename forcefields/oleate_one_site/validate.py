"""Hold the one-site model against the super-ligand model that it is derived from.

    python forcefields/oleate_one_site/validate.py [--write]

Nearest-neighbour distance at 1 atm from the volume (that of super-ligands in `DISTANCES_NM` of `sample.py`), and
stability of fcc and hcp: 24 NPs, all of the cell free, 40 ns at each temperature. Elastic constants of fcc at 450 and
600 K: stress of strained cells at constant volume and shape, of both models. `validation.csv` is written beside this
script. (Barriers of sliding layers are compared by `simsc slide`; see README.md.)
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI
from sample import AT_PRESSURE, DISTANCES_NM, RADIUS_NM

from simsc.builders.close_packed import close_packed
from simsc.classify.labels import METHODS
from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom, steps_from_ns
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import CoarseGrained, coarse_grained
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import DATA

HERE = Path(__file__).parent
GPA_PER_ATM = 1.01325e-4
STRAIN = 0.015


def session_of(model: CoarseGrained, crystal: Superlattice, temperature_K: float, folder: Path) -> LammpsSession:
    """Return a LAMMPS with a crystal whose ligands are pushed apart; to be entered already."""
    model.check(RADIUS_NM, [temperature_K])
    system = model.dress(crystal, np.random.default_rng(1), SPHERES)
    prepare(system, folder)
    session = LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages)
    session.__enter__()
    session.set(**system.variables, data=DATA, thermostat=system.thermostat, seed=5, bath_seed=6, step=0)
    session.set(t_first=temperature_K, t_start=temperature_K, t_stop=temperature_K, coupling="tri", pressure=1.0)
    session.script("system.lmp")
    session.script("push_off.lmp")
    return session


def distance(stacking: str, temperature_K: float, d_nm: float) -> tuple[float, float, str]:
    """Return d_NN, nm, with its error, and the labels at the end, at 1 atm with the one-site model."""
    model = coarse_grained("oleate_one_site")
    crystal = close_packed(stacking, d_nm, (2, 1), RADIUS_NM)
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(model, crystal, temperature_K, Path(folder))
        try:
            session.script("npt.lmp")
            steps = steps_from_ns(10.0, model.timestep_fs)
            session.run(steps, 0, steps, first=True)
            found = []
            for _ in range(300):
                steps = steps_from_ns(0.1, model.timestep_fs)
                session.run(steps, session.step, session.step + steps, first=False)
                volume = abs(np.linalg.det(nm_from_angstrom(session.cell_angstrom()))) / crystal.n
                found.append((np.sqrt(2) * volume) ** (1 / 3))
            cell = Cell(nm_from_angstrom(session.cell_angstrom()))
            last = Superlattice(nm_from_angstrom(session.centres_angstrom()), crystal.radii_nm, cell)
        finally:
            session.__exit__()
    labels = METHODS["thermal"](last).labels
    blocks = np.array(found).reshape(10, -1).mean(axis=1)
    counts = ", ".join(f"{(labels == kind).sum()} {kind}" for kind in sorted(set(labels)))
    return float(np.mean(found)), float(blocks.std(ddof=1) / np.sqrt(10)), counts


def stress_atm(name: str, temperature_K: float, d_nm: float, strain: np.ndarray, ns: float) -> np.ndarray:
    """Return the mean stress, atm, xx, yy, zz (less the pressure), of fcc in a strained cell."""
    model = coarse_grained(name)
    crystal = close_packed("ABC", d_nm, (3, 2), RADIUS_NM)
    assert crystal.cell is not None
    shape = np.eye(3) + np.diag(strain)
    cell = Cell(crystal.cell.vectors_nm @ shape)
    strained = replace(crystal, positions_nm=crystal.positions_nm @ shape, cell=cell)
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(model, strained, temperature_K, Path(folder))
        try:
            session.script("nvt.lmp")
            steps = steps_from_ns(0.1 if name.endswith("ligand") else 2.0, model.timestep_fs)
            session.run(steps, 0, steps, first=True)
            (Path(folder) / "record.lmp").write_text(
                "fix press all ave/time 1 1 1 c_thermo_press[1] c_thermo_press[2] c_thermo_press[3] "
                'file pressure.txt format " %.10g"\n'
            )
            session.script("record.lmp")
            steps = steps_from_ns(ns, model.timestep_fs)
            session.run(steps, session.step, session.step + steps, first=True)
            pressure = np.loadtxt(Path(folder) / "pressure.txt")[1:, 1:]
        finally:
            session.__exit__()
    return -pressure.mean(axis=0)


def elastic_gpa(name: str, temperature_K: float, d_nm: float, ns: float) -> tuple[float, float]:
    """Return bulk modulus and C33 − C13 along ⟨111⟩ of fcc, GPa."""
    grown, shrunk = (stress_atm(name, temperature_K, d_nm, sign * STRAIN * np.ones(3) / 3, ns) for sign in (1, -1))
    bulk = (grown.mean() - shrunk.mean()) / (2 * STRAIN)
    # Along z longer, across it shorter, at the same volume to first order: σzz − σxx = (C33 − C13 + …) e
    shape = STRAIN * np.array([-0.5, -0.5, 1.0])
    longer, shorter = (stress_atm(name, temperature_K, d_nm, sign * shape, ns) for sign in (1, -1))
    apart = [stress[2] - stress[:2].mean() for stress in (longer, shorter)]
    return bulk * GPA_PER_ATM, (apart[0] - apart[1]) / (2 * STRAIN) * GPA_PER_ATM


def main() -> None:
    """Validate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write validation.csv")
    arguments = parser.parse_args()
    rows: list[dict[str, str]] = []
    for temperature, distances in DISTANCES_NM.items():
        expected = distances[AT_PRESSURE]
        for stacking in ("ABCABC", "ABABAB"):
            d_nm, error, labels = distance(stacking, temperature, expected)
            rows.append(
                {
                    "what": f"d_NN of {stacking} at 1 atm, nm; labels at the end",
                    "temperature_K": f"{temperature:g}",
                    "super_ligand": f"{expected:g}",
                    "one_site": f"{d_nm:.4f} ± {error:.4f}; {labels}",
                }
            )
            print(rows[-1], flush=True)
    for temperature in (450.0, 600.0):
        expected = DISTANCES_NM[temperature][AT_PRESSURE]
        theirs = elastic_gpa("oleate_super_ligand", temperature, expected, 0.25)
        ours = elastic_gpa("oleate_one_site", temperature, expected, 20.0)
        for k, what in enumerate(("bulk modulus of fcc, GPa", "stiffness along 111 at constant volume, GPa")):
            rows.append(
                {
                    "what": what,
                    "temperature_K": f"{temperature:g}",
                    "super_ligand": f"{theirs[k]:.3f}",
                    "one_site": f"{ours[k]:.3f}",
                }
            )
            print(rows[-1], flush=True)
    if arguments.write:
        with (HERE / "validation.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

"""How fast LAMMPS runs an all-atom crystal with different settings, and how wrong each is: the choice of defaults.

    python tests/benchmarks/all_atom_speed.py RUN_FOLDER/crystal [--ranks 2] [--steps 200] [--write]

RUN_FOLDER/crystal is the folder of the fcc crystal that `simsc run` left (nanoparticle_*.h5, superlattice.h5). All
settings start from its last state and run at a constant temperature, one after the other, in rounds; the fastest round
counts. Errors are of the same configuration, against 14 Å and a PPPM accuracy of 1e-7: the root mean square error of
the force, relative to its root mean square, and the pressure. A tail correction stands for what lies beyond the cutoff
of the dispersion, so its pressure without and with it tells what a cutoff does to the density.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.nanoparticle_file import read_nanoparticle
from simsc.forcefield.magnetite import load_magnetite
from simsc.io.native import read_superlattice
from simsc.md.files import prepare
from simsc.models.all_atom import HYDROGEN_MASS, dress_all_atom
from simsc.models.lammps_system import DATA

BIN = Path(sys.executable).parent
RESULT = table_of(__file__)
SCRIPT = """\
units real
atom_style full
processors {processors}
bond_style harmonic
angle_style harmonic
dihedral_style fourier
improper_style cvff
pair_style lj/cut/coul/long {lj} {coulomb}
pair_modify mix arithmetic tail {tail}
special_bonds amber
read_data system.data
kspace_style {kspace} {accuracy}
kspace_modify order {order}
neighbor {skin} bin
neigh_modify every 1 delay {delay} check yes
timestep 2.0
thermo_style custom step temp press pe lx
velocity all create 300.0 1 mom yes rot no dist gaussian
"""
ONCE = "thermo 1\nrun 0\nwrite_dump all custom forces.txt id fx fy fz modify sort id format float %.10g\n"
TIMED = f"""\
fix constrain all shake 1.0e-5 50 0 m {HYDROGEN_MASS}
fix move all {{ensemble}}
thermo 1000
run 20
run {{steps}}
"""
DEFAULT = {
    "lj": "9",
    "coulomb": "9",
    "tail": "yes",
    "kspace": "pppm",
    "accuracy": "1e-4",
    "order": "5",
    "skin": "3.0",
    "delay": "4",
    "ensemble": "npt temp 300 300 200 tri 1 1 2000",
    "style": "opt",
    "processors": "* * *",
}
VARIANTS = [
    {},
    {"style": ""},
    {"style": "omp"},
    {"style": "omp threads"},
    {"skin": "2.0"},
    {"skin": "4.0"},
    {"delay": "0"},
    {"ensemble": "nvt temp 300 300 200"},
    {"ensemble": "npt temp 300 300 200 aniso 1 1 2000"},
    {"tail": "no"},
    {"lj": "8", "coulomb": "8"},
    {"lj": "10", "coulomb": "10"},
    {"lj": "10", "coulomb": "10", "tail": "no"},
    {"lj": "12", "coulomb": "12"},
    {"lj": "12", "coulomb": "12", "tail": "no"},
    {"coulomb": "10"},
    {"accuracy": "1e-3"},
    {"accuracy": "3e-4"},
    {"accuracy": "5e-5"},
    {"accuracy": "1e-5"},
    {"accuracy": "1e-6", "lj": "12", "coulomb": "12"},
    {"order": "4"},
    {"order": "6"},
    {"order": "7"},
]


def lammps(folder: Path, text: str, ranks: int, style: str) -> str:
    """Run a script and return LAMMPS's log."""
    (folder / "speed.lmp").write_text(text)
    threads = ranks if style == "omp threads" else 1
    launcher = [str(BIN / "mpiexec"), "-n", str(ranks)] if threads == 1 else []
    suffix = [] if not style else ["-sf", style.split()[0]] + (["-pk", "omp", str(threads)] if "omp" in style else [])
    command = [*launcher, str(BIN / "lmp"), "-in", "speed.lmp", "-screen", "none", "-nocite", *suffix]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "log.lammps").read_text()


def once(folder: Path, settings: dict[str, str]) -> tuple[np.ndarray, float]:
    """Return the forces (n, 3), kcal/mol/Å, and the pressure, atm, of the start."""
    log = lammps(folder, SCRIPT.format(**settings) + ONCE, 1, "opt")
    row = re.search(r"\n *Step +Temp.*\n(.*)\n", log)
    assert row is not None
    return np.loadtxt(folder / "forces.txt", skiprows=9)[:, 1:], float(row[1].split()[2])


def timed(folder: Path, settings: dict[str, str], ranks: int, steps: int) -> float:
    """Return steps a second."""
    text = SCRIPT.format(**settings) + TIMED.format(steps=steps, **settings)
    loops = re.findall(r"Loop time of (\S+)", lammps(folder, text, ranks, settings["style"]))
    return steps / float(loops[-1])


def main() -> None:
    """Measure all variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystal", type=Path)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    lattice = read_superlattice(arguments.crystal / "superlattice.h5")
    nanoparticles = [read_nanoparticle(file) for file in sorted(arguments.crystal.glob("nanoparticle_*.h5"))]
    system = dress_all_atom(lattice, nanoparticles, Rotation.identity(lattice.n), load_magnetite())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(system, folder)
        assert (folder / DATA).exists()
        exact = {"lj": "14", "coulomb": "14", "tail": "yes", "accuracy": "1e-7", "order": "7"}
        forces, pressure = once(folder, DEFAULT | exact)
        speeds = np.zeros(len(VARIANTS))
        for _ in range(arguments.rounds):
            for k, variant in enumerate(VARIANTS):
                speeds[k] = max(speeds[k], timed(folder, DEFAULT | variant, arguments.ranks, arguments.steps))
        for variant, speed in zip(VARIANTS, speeds, strict=True):
            found, pressure_found = once(folder, DEFAULT | variant)
            error = np.sqrt(((found - forces) ** 2).sum() / (forces**2).sum())
            row = {
                "setting": " ".join(f"{key}={value or 'plain'}" for key, value in variant.items()) or "default",
                "speed_ratio": f"{speed / speeds[0]:.2f}",
                "force_error": f"{error:.1e}",
                "pressure_error_atm": f"{pressure_found - pressure:.0f}",
            }
            rows.append(row)
            print(*row.values(), f"({speed:.2f} steps/s)", sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()

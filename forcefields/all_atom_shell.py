"""Where the ligands of one nanoparticle with all its atoms are, in vacuum: what coarse-grained models are held against.

    simsc new --preset all_atom study.toml && simsc run study.toml --until nanoparticle --output RUN      (two minutes)
    python forcefields/all_atom_shell.py RUN [--ps 10]

For 300 and 600 K: equilibrated so long, then measured so long. `all_atom_shell.csv` is written beside this script: for
each group of carbons that is one bead of a coarse-grained model, the mean distance of its centre from that of the core,
its standard deviation over ligands and time, and the difference of the two halves of the measurement. Half an hour with
one thread.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from mpi4py import MPI

from simsc.builders.nanoparticle_file import read_nanoparticle
from simsc.core.units import steps_from_ns
from simsc.forcefield.magnetite import load_magnetite
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.relax import in_vacuum
from simsc.md.session import LammpsSession
from simsc.models.lammps_system import DATA

RESULT = Path(__file__).with_suffix(".csv")
TEMPERATURES_K = (300.0, 600.0)
SAMPLES = 50
# Carbons from the carboxylate (1) on, first and last, by model and bead.
GROUPS = {
    "oleate_martini": {"c1 (1)": (2, 6), "c4h (2)": (7, 10), "c1 (3)": (11, 14), "c1 (4)": (15, 18)},
    "oleate_super_ligand": {"tail (1)": (2, 9), "tail (2)": (10, 18)},
}


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--ps", type=float, default=10.0, help="to equilibrate, and to measure")
    arguments = parser.parse_args()
    nanoparticle = read_nanoparticle(arguments.run / "nanoparticle" / "nanoparticle_0.h5")
    parameters = load_magnetite("A")
    system = in_vacuum(nanoparticle, parameters)
    n_core = len(nanoparticle.core_kinds)
    # Carbons of a ligand in the order of its chain: the carboxylate's, and each one's neighbour that was not there yet.
    ligand = nanoparticle.ligand
    chain, last = [ligand.carboxylate[0]], None
    while True:
        here = chain[-1]
        onwards = [k for k in ligand.neighbours[here] if ligand.elements[k] == "C" and k != last]
        if not onwards:
            break
        last = here
        chain.append(onwards[0])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(**system.variables, data=DATA, seed=1, bath_seed=1, step=0, thermostat=system.thermostat)
            session.set(t_first=TEMPERATURES_K[0])
            session.script("system.lmp")
            session.script("push_off.lmp")
            for temperature in TEMPERATURES_K:
                session.set(t_start=temperature, t_stop=temperature)
                session.script("nvt.lmp")
                steps = steps_from_ns(arguments.ps / 1000, system.timestep_fs)
                session.run(steps, session.step, session.step + steps, first=True)
                found = []
                for _ in range(SAMPLES):
                    part = steps // SAMPLES
                    session.run(part, session.step, session.step + part, first=False)
                    positions = session.positions_angstrom()
                    positions -= positions[:n_core].mean(axis=0)
                    found.append(positions[n_core:].reshape(nanoparticle.n_ligands, ligand.n, 3)[:, chain])
                    print(f"{temperature:g} K, {len(found)} of {SAMPLES}", flush=True)
                session.script("phase_end.lmp")
                carbons = np.array(found)
                for model, groups in GROUPS.items():
                    for group, (first, final) in groups.items():
                        r = np.linalg.norm(carbons[:, :, first - 1 : final].mean(axis=2), axis=-1)
                        half = len(r) // 2
                        rows.append(
                            {
                                "model": model,
                                "bead": group,
                                "carbons": f"C{first} to C{final}",
                                "temperature_K": f"{temperature:g}",
                                "distance_angstrom": f"{r.mean():.2f}",
                                "deviation_angstrom": f"{r.std():.2f}",
                                "second_less_first_half_angstrom": f"{r[half:].mean() - r[:half].mean():.2f}",
                            }
                        )
                        print(*rows[-1].values(), flush=True)
    with RESULT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

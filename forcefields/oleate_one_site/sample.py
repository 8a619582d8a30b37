"""Sample the mean forces between super-ligand NPs whose cores are held: what the one-site model is derived from.

    python forcefields/oleate_one_site/sample.py FOLDER [--only 450] [--ns 0.2]

A core that is free stays within 1 Å of its site, where the mean force on it is a tenth of what fluctuates. So cores are
held where it is large; they turn freely. At each temperature, and at one or each of three distances, there are the
crystals of `KINDS`, with one file each, FOLDER/T_d_kind.npz: positions of the cores (N, 3), forces on them at every
step (n_steps, N, 3), the cell, and the pressure at every step (n_steps, 6): xx, yy, zz, xy, xz, yz. A file that is
there is not made again.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, steps_from_ns
from simsc.io.whole_files import write_error
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import coarse_grained
from simsc.models.heads import SPHERES

RADIUS_NM = 2.0
# d_NN, nm, by temperature, K: that of 1 atm (calibration.csv of oleate_super_ligand; 450 K in between) and about it.
DISTANCES_NM = {
    450.0: (6.32, 6.40, 6.48),
    600.0: (6.53, 6.62, 6.71),
}
AT_PRESSURE = 1  # which of the distances is that of 1 atm
KINDS = {  # how many at each distance, and how many more at that of 1 atm
    "perfect": (1, 0),
    "shaken": (1, 1),  # each NP displaced at random
    "layers": (1, 1),  # whole layers on their way from one hollow to the next
    "slip": (0, 4),  # all above one interface on its way; the cell leans
    "long": (0, 1),  # drawn out along the normal of the layers, at the same volume
    "flat": (0, 1),  # pressed flat along it
    "wide": (0, 1),  # drawn out along x, pressed together along y
    "pair": (0, 2),  # shaken, with two neighbours pushed together
}
STRAIN = (0.03, 0.1)
SHAKE_NM = (0.05, 0.2)  # standard deviation along each axis
CLOSEST_NM = 5.2
PUSH_STEPS = 2000
EQUILIBRATION_NS = 0.1

_HOLD = """
velocity core set 0.0 0.0 0.0
fix cores core rigid molecule force * off off off langevin {t} {t} 2000.0 {seed}
fix tails tail nvt temp {t} {t} 2000.0
"""
# Forces of rigid bodies are those on their atoms, added up.
_RECORD = """
compute body core chunk/atom molecule
compute force core property/atom fx fy fz
compute pull core reduce/chunk body sum c_force[*]
fix pulls all ave/time 1 1 1 c_pull[*] mode vector file forces.txt
fix press all ave/time 1 1 1 c_thermo_press[*] file pressure.txt format " %.10g"
"""


def crystal(d_nm: float, kind: str, rng: np.random.Generator) -> Superlattice:
    """Return the crystal of a distance and a kind."""
    if kind == "layers":
        layered = close_packed("ABAB", d_nm, (2, 2), radius_nm=RADIUS_NM)
        layers = layered.positions_nm.reshape(4, -1, 3).copy()
        # Between A and A, a layer B goes over a bridge to C: by d/√3 along y.
        to_c = np.array([0.0, d_nm / np.sqrt(3), 0.0])
        for k in (1, 3):
            layers[k] += rng.uniform(0, 1) * to_c
        layers[:, :, 2] += rng.normal(scale=0.05, size=(4, 1))
        return _shaken(replace(layered, positions_nm=layers.reshape(-1, 3)), 0.04, rng)
    fcc = close_packed("ABC", d_nm, (3, 2) if kind == "perfect" else (2, 2), radius_nm=RADIUS_NM)
    size = float(rng.uniform(*STRAIN))
    if kind == "perfect":
        return fcc
    if kind == "shaken":
        return _shaken(fcc, float(rng.uniform(0.5, 1)) * SHAKE_NM[1], rng)
    if kind == "pair":
        positions = fcc.positions_nm.copy()
        near = np.linalg.norm(positions - positions[0], axis=1)
        other = int(rng.choice(np.flatnonzero(np.abs(near - d_nm) < 1e-6)))
        apart = positions[other] - positions[0]
        closer = float(rng.uniform(CLOSEST_NM, d_nm - 0.4))
        positions[0] += apart * (1 - closer / d_nm) / 2
        positions[other] -= apart * (1 - closer / d_nm) / 2
        return _shaken(replace(fcc, positions_nm=positions), SHAKE_NM[0], rng)
    if kind == "slip":
        assert fcc.cell is not None
        # The first layer is that above the end of the cell: its interface with the last one slides as the cell leans.
        vectors = fcc.cell.vectors_nm.copy()
        vectors[2, 1] += float(rng.uniform(0.2, 0.8)) * d_nm / np.sqrt(3)
        vectors[2, 2] += 0.3 * float(rng.uniform(0, 1))
        return _shaken(replace(fcc, cell=Cell(vectors)), SHAKE_NM[0], rng)
    along = {"long": (-0.5, -0.5, 1.0), "flat": (0.5, 0.5, -1.0), "wide": (1.0, -1.0, 0.0)}[kind]
    return _shaken(_stretched(fcc, np.exp(size * np.array(along))), SHAKE_NM[0], rng)


def _shaken(crystal: Superlattice, sigma_nm: float, rng: np.random.Generator) -> Superlattice:
    return replace(crystal, positions_nm=crystal.positions_nm + rng.normal(scale=sigma_nm, size=(crystal.n, 3)))


def _stretched(crystal: Superlattice, factors: np.ndarray) -> Superlattice:
    assert crystal.cell is not None
    return replace(crystal, positions_nm=crystal.positions_nm * factors, cell=Cell(crystal.cell.vectors_nm * factors))


def record(session: LammpsSession, folder: Path, n: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run some steps and return forces (steps, N, 3), kcal/mol/Å, and pressures (steps, 6), atm."""
    (folder / "record.lmp").write_text(_RECORD, encoding="ascii")
    session.script("record.lmp")
    session.run(steps, session.step, session.step + steps, first=True)
    lines = (folder / "forces.txt").read_text(encoding="ascii").splitlines()
    rows = [line.split()[1:] for line in lines if not line.startswith("#") and len(line.split()) == 4]
    forces = np.array(rows, dtype=float).reshape(-1, n, 3)
    pressure = np.loadtxt(folder / "pressure.txt")[:, 1:]
    # The first of each is that of the set-up.
    return forces[1:], pressure[-len(forces) + 1 :]


def sample(temperature_K: float, d_nm: float, kind: str, number: int, duration_ns: float, path: Path) -> None:
    """Sample one crystal into a file."""
    rng = np.random.default_rng([round(temperature_K), round(1000 * d_nm), list(KINDS).index(kind), number])
    held = crystal(d_nm, kind, rng)
    assert held.cell is not None
    model = coarse_grained()
    model.check(RADIUS_NM, [temperature_K], SPHERES, d_nm)
    system = model.dress(held, rng, SPHERES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            chance = int(rng.integers(1, 10**6))
            session.set(
                **system.variables, data="system.data", thermostat=system.thermostat, bath_seed=chance, seed=chance
            )
            session.set(t_first=temperature_K, t_start=temperature_K, t_stop=temperature_K)
            session.set(push_steps=PUSH_STEPS)
            session.script("system.lmp")
            session.script("push_off.lmp")
            (folder / "hold.lmp").write_text(_HOLD.format(t=temperature_K, seed=chance), encoding="ascii")
            session.script("hold.lmp")
            steps = steps_from_ns(EQUILIBRATION_NS, system.timestep_fs)
            session.run(steps, 0, steps, first=True)
            positions, cell = session.centres_angstrom(), session.cell_angstrom()
            forces, pressure = record(session, folder, held.n, steps_from_ns(duration_ns, system.timestep_fs))
            if np.abs(session.centres_angstrom() - positions).max() > 0.1:
                raise RuntimeError("cores moved")
    # What holds a core counts in the virial of its rigid body.
    held_virial = np.stack([(positions[:, a] * forces[:, :, b]).sum(axis=1) for a, b in _COMPONENTS], axis=1)
    pressure = pressure + _VIRIAL_ATM * held_virial / np.linalg.det(cell)
    try:
        np.savez_compressed(
            path, temperature_K=temperature_K, d_nn_angstrom=angstrom_from_nm(d_nm), positions=positions, cell=cell,
            forces=forces.astype("f4"), pressure=pressure, interval_fs=system.timestep_fs,
        )  # fmt: skip
    except OSError as error:
        raise write_error(path, error) from None


_COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_VIRIAL_ATM = 68568.415  # atm from kcal/mol/Å³; as in LAMMPS (units real)


def main() -> None:
    """Sample every crystal that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", type=float, nargs="+", default=list(DISTANCES_NM), help="temperatures, K")
    parser.add_argument("--ns", type=float, default=0.2, help="of each crystal")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for kind, (each, more) in KINDS.items():
        for number in range(each + more):
            for temperature in arguments.only:
                distances = DISTANCES_NM[temperature]
                for distance in distances if number < each else distances[AT_PRESSURE : AT_PRESSURE + 1]:
                    path = arguments.folder / f"{temperature:g}_{distance:g}_{kind}_{number}.npz"
                    if not path.exists():
                        sample(temperature, distance, kind, number, arguments.ns, path)
                        print(path, flush=True)


if __name__ == "__main__":
    main()

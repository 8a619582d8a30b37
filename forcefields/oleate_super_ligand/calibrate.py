"""Measure the nearest-neighbour distance that the super-ligand model gives, beside neighbouring parameter values.

Run `python forcefields/oleate_super_ligand/calibrate.py`. Each row of `calibration.csv` is one NpT run of a small fcc
crystal (six NPs in the cell of `close_packed("ABC", d)`, 1 atm, all cell lengths and tilts free) at one temperature
and one set of Lennard-Jones values; two rows are the 24-NP cell of the paper. Rows already in the file are not run
again, so an interrupted calibration goes on where it stopped. `quality.csv` holds two checks of the time step on the
shipped values: do cores and tails keep the temperature that is asked for, and is energy conserved without a
thermostat. With one thread all takes some 20 minutes.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpi4py import MPI

from simsc.builders.close_packed import close_packed
from simsc.core.units import steps_from_ns
from simsc.forcefield.chains import ChainParameters, read_chains
from simsc.md.files import prepare
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import chain_model
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import LammpsSystem

FOLDER = Path(__file__).resolve().parent
CALIBRATION = FOLDER / "calibration.csv"
QUALITY = FOLDER / "quality.csv"

RADIUS_NM = 2.0
START_NM = {300.0: 6.2, 600.0: 6.65}  # d_NN of the crystal that is built, by temperature in K; near the end values
EQUILIBRATION_NS = 0.4
MEASUREMENT_NS = 0.8
FRAME_NS = 0.01
BLOCKS = 8

FCC, PAPER = "ABC", "ABCABCABABAB"
MIDDLE_OF_TARGET = (0.9, 0.98)  # scales of epsilon and sigma at which the measured grid, interpolated, meets the target

COLUMNS = (
    "stacking",
    "temperature_K",
    "epsilon_scale",
    "sigma_scale",
    "epsilon_tail_kcal_per_mol",
    "sigma_tail_angstrom",
    "epsilon_head_kcal_per_mol",
    "sigma_head_angstrom",
    "seed",
    "equilibration_ns",
    "measurement_ns",
    "d_nn_nm",
    "d_nn_error_nm",
    "d_volume_nm",
    "d_volume_error_nm",
    "drift_nm",
    "mean_temperature_K",
)
QUALITY_COLUMNS = ("ensemble", "target_K", "duration_ns", "tail_K", "core_K", "core_error_K", "drift_K_per_ns")
GAS_CONSTANT = 0.0019872067  # kcal/mol/K, as in LAMMPS `units real`


@dataclass(frozen=True)
class Point:
    """One run of the calibration.

    Args:
        stacking: layers of the crystal, two NPs each.
        temperature_K: temperature, K.
        epsilon_scale: factor on both Lennard-Jones epsilons (tail-tail and head-tail).
        sigma_scale: factor on both Lennard-Jones sigmas.
        seed: of the orientations and velocities.
    """

    stacking: str
    temperature_K: float
    epsilon_scale: float
    sigma_scale: float
    seed: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        """Text by which the row of this point is found in the file."""
        numbers = (self.temperature_K, self.epsilon_scale, self.sigma_scale, self.seed)
        return (self.stacking, *(f"{number:g}" for number in numbers))


def points() -> Iterator[Point]:
    """Yield the runs: shipped values with two seeds, the 3 × 3 grid around them, one more set, and the 24-NP cell."""
    for temperature in START_NM:
        yield Point(FCC, temperature, 1.0, 1.0)
        yield Point(FCC, temperature, 1.0, 1.0, seed=2)
    for temperature in START_NM:
        for epsilon_scale in (0.9, 1.0, 1.1):
            for sigma_scale in (0.97, 1.0, 1.03):
                if (epsilon_scale, sigma_scale) != (1.0, 1.0):
                    yield Point(FCC, temperature, epsilon_scale, sigma_scale)
        yield Point(FCC, temperature, *MIDDLE_OF_TARGET)
    for temperature in START_NM:
        yield Point(PAPER, temperature, 1.0, 1.0)


def scaled(parameters: ChainParameters, epsilon_scale: float, sigma_scale: float) -> ChainParameters:
    """Return a copy with both Lennard-Jones pairs scaled; the cutoff goes with sigma."""
    lj = parameters.lennard_jones
    pairs = {
        name: pair.model_copy(
            update={
                "epsilon_kcal_per_mol": pair.epsilon_kcal_per_mol * epsilon_scale,
                "sigma_angstrom": pair.sigma_angstrom * sigma_scale,
            }
        )
        for name, pair in lj.pairs.items()
    }
    cutoff = {"cutoff_angstrom": lj.cutoff_angstrom * sigma_scale}
    return parameters.model_copy(update={"lennard_jones": lj.model_copy(update={"pairs": pairs, **cutoff})})


def block_mean(series: np.ndarray, blocks: int = BLOCKS) -> tuple[float, float]:
    """Return the mean of a time series and its standard error from the scatter of the means of equal blocks."""
    means = np.array([block.mean() for block in np.array_split(np.asarray(series), blocks)])
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))


def measure(point: Point, parameters: ChainParameters) -> dict[str, object]:
    """Run one point and return its row.

    `d_nn_nm` is the mean over the 12 nearest neighbours in each frame; `d_volume_nm` is (√2 V/N)^(1/3), the distance
    of an ideal close packing of the same volume, with which the target is to be compared. The former is larger by
    the thermal motion of the NPs. `drift_nm` is the second half of the measurement less the first.
    """
    chosen = scaled(parameters, point.epsilon_scale, point.sigma_scale)
    d_nn_nm, hold = START_NM[point.temperature_K] * point.sigma_scale, point.temperature_K
    crystal = close_packed(point.stacking, d_nn_nm, radius_nm=RADIUS_NM)
    model = chain_model(chosen)
    model.check(RADIUS_NM, [hold], SPHERES, d_nn_nm)
    system = model.dress(crystal, np.random.default_rng(point.seed), SPHERES)
    phases = (Phase("equilibrate", hold, hold, EQUILIBRATION_NS), Phase("measure", hold, hold, MEASUREMENT_NS))
    protocol = Protocol(phases, output_every_ns=FRAME_NS)
    assert crystal.radii_nm is not None
    with tempfile.TemporaryDirectory() as name:
        prepare(system, Path(name))
        trajectory = anneal_system(system, crystal.radii_nm, protocol, Path(name), point.seed, MPI.COMM_SELF)
    assert trajectory is not None
    frames = trajectory.last_frames("measure", len(trajectory))
    d_nn = trajectory.thermo["d_nn_nm"][frames]
    d_volume = np.cbrt(np.sqrt(2) * trajectory.thermo["volume_nm3"][frames] / crystal.n)
    (mean, error), (mean_volume, error_volume) = block_mean(d_nn), block_mean(d_volume)
    lj = chosen.lennard_jones.pairs
    values = (
        *point.key[:4],
        f"{lj['tail_tail'].epsilon_kcal_per_mol:.6g}",
        f"{lj['tail_tail'].sigma_angstrom:.6g}",
        f"{lj['head_tail'].epsilon_kcal_per_mol:.6g}",
        f"{lj['head_tail'].sigma_angstrom:.6g}",
        point.seed,
        EQUILIBRATION_NS,
        MEASUREMENT_NS,
        f"{mean:.4f}",
        f"{error:.4f}",
        f"{mean_volume:.4f}",
        f"{error_volume:.4f}",
        f"{d_volume[len(frames) // 2 :].mean() - d_volume[: len(frames) // 2].mean():.4f}",
        f"{trajectory.thermo['temperature_K'][frames].mean():.1f}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def check_quality(temperature_K: float, parameters: ChainParameters) -> list[dict[str, object]]:
    """Measure the temperatures of cores and tails at constant pressure, and without any thermostat.

    Args:
        temperature_K: temperature of the run, K.
        parameters: the shipped values.

    Returns:
        Two rows. `npt`: the ensemble of `simsc`. `nve`: rigid cores and tails on their own, started from the end of
        the former; `drift_K_per_ns` is the slope of the total energy over the kinetic energy's heat capacity
        (degrees of freedom × R/2), that is, how fast the whole would heat up if all the gain stayed kinetic.
    """
    crystal = close_packed(FCC, START_NM[temperature_K], radius_nm=RADIUS_NM)
    model = chain_model(parameters)
    model.check(RADIUS_NM, [temperature_K], SPHERES, START_NM[temperature_K])
    system = model.dress(crystal, np.random.default_rng(1), SPHERES)
    protocol = Protocol((Phase("equilibrate", temperature_K, temperature_K, 0.3),), output_every_ns=0.05)
    assert crystal.radii_nm is not None
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(system, folder)
        anneal_system(system, crystal.radii_nm, protocol, folder, 1, MPI.COMM_SELF)
        for ensemble, duration_ns in (("npt", 1.0), ("nve", 0.3)):
            rows.append(_quality_row(ensemble, duration_ns, temperature_K, system, crystal.n, folder))
    return rows


# Core and tail apart, which LAMMPS's own thermodynamic output does not give; means of 20 samples every 100 steps.
_QUALITY_SCRIPT = """
compute slow core ke/rigid cores
compute spin core erotate/rigid cores
compute fast tail ke
variable kinetic equal c_slow+c_spin
fix record all ave/time 5 20 100 v_kinetic c_fast c_thermo_pe file record.txt
"""
_NVE_SCRIPT = """
fix cores core rigid/nve molecule
fix tails tail nve
"""


def _quality_row(
    ensemble: str, duration_ns: float, temperature_K: float, system: LammpsSystem, n: int, folder: Path
) -> dict[str, object]:
    (folder / "quality.lmp").write_text(_QUALITY_SCRIPT, encoding="ascii")
    (folder / "nve.lmp").write_text(_NVE_SCRIPT, encoding="ascii")
    steps = steps_from_ns(duration_ns, system.timestep_fs)
    with LammpsSession(folder, MPI.COMM_SELF) as session:
        session.set(**system.variables, data="annealed.data", pressure="1.0", coupling="tri")
        session.set(t_start=temperature_K, t_stop=temperature_K)
        session.script("system.lmp")
        session.script(f"{ensemble}.lmp")
        session.script("quality.lmp")
        session.run(steps, session.step, session.step + steps, first=True)
        if ensemble == "npt":
            session.write_data("annealed.data")
    # One bond leads to each tail bead; a rigid core has six degrees of freedom.
    n_tails = next(int(line.split()[0]) for line in system.data.splitlines() if line.endswith(" bonds"))
    degrees = np.array([6 * n, 3 * n_tails])
    step, core, tail, potential = np.loadtxt(folder / "record.txt").T
    core_K, error_K = block_mean(2 * core / (degrees[0] * GAS_CONSTANT))
    time_ns = (step - step[0]) * system.timestep_fs * 1e-6
    slope = np.polyfit(time_ns, core + tail + potential, 1)[0]
    values = (
        ensemble,
        f"{temperature_K:g}",
        duration_ns,
        f"{(2 * tail / (degrees[1] * GAS_CONSTANT)).mean():.1f}",
        f"{core_K:.1f}",
        f"{error_K:.1f}",
        f"{2 * slope / (degrees.sum() * GAS_CONSTANT):.1f}" if ensemble == "nve" else "",
    )
    return dict(zip(QUALITY_COLUMNS, values, strict=True))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table that this script wrote; empty if there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, columns: tuple[str, ...], row: dict[str, object]) -> None:
    """Append one row to a table, with its header if the table is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Run what the two tables lack."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    parameters = read_chains(FOLDER / "parameters.json")
    done = {tuple(row[name] for name in (*COLUMNS[:4], "seed")) for row in read_rows(CALIBRATION)}
    for point in points():
        if point.key not in done:
            row = measure(point, parameters)
            append_row(CALIBRATION, COLUMNS, row)
            print(*(f"{row[name]}" for name in (*COLUMNS[:4], "d_volume_nm", "d_volume_error_nm")), flush=True)
    done_quality = {row["target_K"] for row in read_rows(QUALITY)}
    for temperature in START_NM:
        if f"{temperature:g}" not in done_quality:
            for row in check_quality(temperature, parameters):
                append_row(QUALITY, QUALITY_COLUMNS, row)
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()

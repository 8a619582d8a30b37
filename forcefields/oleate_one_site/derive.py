"""Derive the one-site model from the mean forces that `sample.py` recorded.

    python forcefields/oleate_one_site/derive.py FOLDER [--write]

The energy of sites at r_i and temperature T has the form of the embedded-atom method (DOI 10.1103/PhysRevB.29.6443),

    U = Σ_pairs u(r_ij) + Σ_i F(ρ_i),   ρ_i = Σ_j φ(r_ij) / Φ,   φ(r) = (1 − r/c)³ (1 + 3 r/c) up to r = c,

where Φ makes ρ = 1 in the fcc crystal of 450 K and 1 atm. u = A(r) + (T − 450 K) B(r), with cubic splines that end with
zero slope and curvature, and F = Σ_p (a_p + (T − 450 K) b_p) (ρ − 1)^p. Ligands fill the space between the cores as a
liquid that can hardly be compressed, which no pair potential describes; the second term does (as local densities of
coarse-grained liquids do, DOI 10.1063/1.4958629). All coefficients are fitted to the mean forces on held cores and to
the pressure tensors of all crystals by least squares: force matching (DOI 10.1021/jp044629q, 10.1063/1.2938860), with
mean forces instead of fluctuating ones. The forces of a crystal count as much as its pressures. Where few pairs are
that close, u may not attract, and F may not be concave where densities were sampled: linear limits to the least
squares. A penalty on the third derivative of u keeps it smooth; its weight, and c, are those with which crystals that
were left out are predicted best. Errors come from refits of resampled crystals. The friction follows from how the
forces on held cores fluctuate, ζ = ∫⟨δF(0) δF(t)⟩ dt / kT (DOI 10.1063/1.1724117).
`parameters.json` and `derivation.csv` are written beside this script.
"""

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.units import KCAL_PER_MOL_K, angstrom_from_nm, nm_from_angstrom
from simsc.forcefield.chains import load_chains
from simsc.models.chains import nanoparticle_mass_g_per_mol

HERE = Path(__file__).parent
RADIUS_NM = 2.0
REFERENCE_K = 450.0
SPAN_K = 150.0
LOW, HIGH, KNOT_STEP = 50.0, 82.5, 1.25  # Å
START_MISFITS, LEAST_MISFITS = (1.0, 3.0), (0.1, 0.5)  # kcal/mol/Å, atm
Misfits = dict[float, tuple[float, float]]  # by temperature, K
COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
VIRIAL_ATM = 68568.415  # atm from kcal/mol/Å³
FORCE_UNIT = 4.184e-4  # g/mol Å/fs² in a kcal/mol/Å
BLOCK = 250  # steps over which forces are averaged for their errors
SMOOTHNESS = np.geomspace(1e-2, 1e5, 8)
RESAMPLES = 50
TABLE_STEP = 0.5  # Å
REACHES = (75.0, 77.5, 80.0, 82.5)  # Å, tried as c
POWERS = (2, 3)  # of ρ − 1; a linear term would be one of the pair potential
LARGEST_DENSITY, DENSITY_STEP = 2.0, 0.02
TEMPERATURES = (450.0, 600.0)
CLOSE = np.arange(50.0, 60.0)  # Å, where u may not attract
DENSITIES = np.linspace(0.4, 1.8, 8)  # where F may not be concave

KNOTS = np.concatenate([[LOW] * 3, np.linspace(LOW, HIGH, round((HIGH - LOW) / KNOT_STEP) + 1), [HIGH] * 3])
N = len(KNOTS) - 4
FREE = N - 3  # the last three make the end smooth
BASIS = BSpline(KNOTS, np.eye(N), 3)
ALL = FREE + len(POWERS)


@dataclass(frozen=True, eq=False)
class Crystal:
    """Mean forces and pressures of one file."""

    name: str
    temperature_K: float
    d_nn_angstrom: float
    positions: np.ndarray  # (N, 3)
    cell: np.ndarray  # (3, 3)
    force: np.ndarray  # (3 N,)
    force_error: float
    pressure: np.ndarray  # (6,) in the order of COMPONENTS
    pressure_error: np.ndarray
    friction: float  # kcal/mol/Å² fs

    @property
    def scale(self) -> np.ndarray:
        """(2,) what the coefficients at 450 K and their slopes are multiplied with."""
        return np.array([1.0, (self.temperature_K - REFERENCE_K) / SPAN_K])


@dataclass(frozen=True, eq=False)
class Design:
    """What each coefficient adds to the forces (3 N, ALL) and pressures (6, ALL) of a crystal."""

    crystal: Crystal
    force: np.ndarray
    pressure: np.ndarray
    least_angstrom: float
    densities: np.ndarray  # (N,)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit of all crystals: coefficients (2, ALL), by how much forces and pressures miss beyond their errors."""

    reach: float
    norm: float
    designs: list[Design]
    coefficients: np.ndarray
    smoothness: float
    misfits: Misfits  # that set the weights
    missed: Misfits
    left_out: float  # χ² of crystals that were left out, with fixed misfits


def read(path: Path) -> Crystal:
    """Read a file of `sample.py`."""
    with np.load(path) as file:
        temperature, positions, cell = float(file["temperature_K"]), file["positions"], file["cell"]
        forces, pressure = file["forces"].astype(float), file["pressure"]
        interval_fs, d_nn = float(file["interval_fs"]), float(file["d_nn_angstrom"])
    blocks = forces[: len(forces) // BLOCK * BLOCK].reshape(-1, BLOCK, len(positions), 3).mean(axis=1)
    pressures = pressure[: len(pressure) // BLOCK * BLOCK].reshape(-1, BLOCK, 6).mean(axis=1)
    variance = blocks.var(axis=0, ddof=1).mean()
    return Crystal(
        name=path.stem,
        temperature_K=temperature,
        d_nn_angstrom=d_nn,
        positions=positions,
        cell=cell,
        force=forces.mean(axis=0).ravel(),
        force_error=float(np.sqrt(variance / len(blocks))),
        pressure=pressure.mean(axis=0),
        pressure_error=pressures.std(axis=0, ddof=1) / np.sqrt(len(pressures)),
        friction=float(variance * BLOCK * interval_fs / 2 / (KCAL_PER_MOL_K * temperature)),
    )


def pairs(positions: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs within reach, each twice: numbers, vectors from i to j, distances, Å."""
    counts = np.ceil(HIGH / Cell(cell).perpendicular_widths_nm).astype(int)
    shifts = np.array(list(np.ndindex(*(2 * counts + 1)))) - counts
    vectors = positions[None, :, None] - positions[:, None, None] + shifts @ cell
    r = np.linalg.norm(vectors, axis=-1)
    i, j, k = np.nonzero((r < HIGH) & (r > 1.0))
    return i, j, vectors[i, j, k], r[i, j, k]


def phi(r: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return φ and its derivative."""
    x = np.minimum(r / reach, 1.0)
    return (1 - x) ** 3 * (1 + 3 * x), -12 * x * (1 - x) ** 2 / reach


def norm_of(d_nn_angstrom: float, reach: float) -> float:
    """Return Φ: the sum of φ over the neighbours in fcc."""
    perfect = close_packed("ABC", nm_from_angstrom(d_nn_angstrom))
    assert perfect.cell is not None
    i, _, _, r = pairs(angstrom_from_nm(perfect.positions_nm), angstrom_from_nm(perfect.cell.vectors_nm))
    return float(phi(r[i == 0], reach)[0].sum())


def design(one: Crystal, reach: float, norm: float) -> Design:
    """Return what each coefficient adds to a crystal."""
    n = len(one.positions)
    i, j, vectors, r = pairs(one.positions, one.cell)
    value, slope = phi(r, reach)
    densities = np.bincount(i, value, n) / norm
    columns = [BASIS.derivative()(r)[:, :FREE]]
    for power in POWERS:
        pull = power * (densities - 1) ** (power - 1)
        columns.append(((pull[i] + pull[j]) * slope / norm)[:, None])
    slopes = np.concatenate(columns, axis=1)  # of the energy with the distance of each pair
    force = np.zeros((n, 3, ALL))
    for axis in range(3):
        np.add.at(force[:, axis], i, slopes * (vectors[:, axis] / r)[:, None])
    both = np.stack([vectors[:, a] * vectors[:, b] for a, b in COMPONENTS], axis=1)
    virial = -0.5 * np.einsum("pc,pk->ck", both / r[:, None], slopes)
    pressure = VIRIAL_ATM * virial / np.linalg.det(one.cell)
    return Design(one, force.reshape(3 * n, ALL), pressure, float(r.min()), densities)


def normal_equations(one: Design, misfits: Misfits) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and right side of the least squares of a crystal."""
    crystal = one.crystal
    misfit, pressure_misfit = misfits[crystal.temperature_K]
    # What forces miss is one and the same all over a crystal: together they count as much as its pressures.
    share = len(crystal.pressure) / len(crystal.force)
    weights = np.concatenate(
        [
            np.full(len(crystal.force), share / (crystal.force_error**2 + misfit**2)),
            1 / (crystal.pressure_error**2 + pressure_misfit**2),
        ]
    )
    both = np.vstack([one.force, one.pressure])
    values = np.concatenate([crystal.force, crystal.pressure])
    scale = crystal.scale
    return np.kron(np.outer(scale, scale), both.T * weights @ both), np.kron(scale, both.T @ (weights * values))


def penalty() -> np.ndarray:
    """Return the integral of the squared third derivative of u, for both coefficients of temperature alike."""
    third = BASIS.derivative(3)(np.linspace(LOW, HIGH, 2000, endpoint=False))[:, :FREE]
    one = np.zeros((ALL, ALL))
    one[:FREE, :FREE] = third.T @ third * (HIGH - LOW) / 2000
    return np.kron(np.eye(2), one)


PENALTY = penalty()


def limits() -> np.ndarray:
    """Return rows whose products with the coefficients must not be positive: slopes of u up close, and −F"."""
    slopes = np.zeros((len(CLOSE), ALL))
    slopes[:, :FREE] = BASIS.derivative()(CLOSE)[:, :FREE]
    bends = np.zeros((len(DENSITIES), ALL))
    bends[:, FREE:] = np.transpose([-power * (power - 1) * (DENSITIES - 1) ** (power - 2) for power in POWERS])
    one = np.vstack([slopes, bends])
    return np.vstack([np.kron([1.0, (temperature - REFERENCE_K) / SPAN_K], one) for temperature in TEMPERATURES])


LIMITS = limits()


def solve(matrix: np.ndarray, side: np.ndarray, smoothness: float) -> np.ndarray:
    """Return the coefficients (2, ALL) at 450 K, and their slopes for 150 K: least squares within the limits."""
    # What nothing depends on (distances that do not occur) stays small.
    lower = np.linalg.cholesky(matrix + smoothness * PENALTY + 1e-6 * np.eye(2 * ALL))
    # The multipliers of the limits solve the dual problem, which is one of non-negative least squares.
    pulls, aim = (np.linalg.solve(lower, part) for part in (LIMITS.T, side))
    multipliers = nnls(pulls, aim)[0]
    return np.linalg.solve(lower.T, aim - pulls @ multipliers).reshape(2, ALL)


def predicted(one: Design, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the forces and pressures of a crystal by the model."""
    now = one.crystal.scale @ coefficients
    return one.force @ now, one.pressure @ now


def score(one: Design, coefficients: np.ndarray, misfits: Misfits) -> float:
    """Return χ² of one crystal."""
    crystal, (force, pressure) = one.crystal, predicted(one, coefficients)
    misfit, pressure_misfit = misfits[crystal.temperature_K]
    share = len(crystal.pressure) / len(crystal.force)
    return float(
        share * ((force - crystal.force) ** 2).sum() / (crystal.force_error**2 + misfit**2)
        + ((pressure - crystal.pressure) ** 2 / (crystal.pressure_error**2 + pressure_misfit**2)).sum()
    )


def left_out(designs: list[Design], smoothness: float, misfits: Misfits) -> float:
    """Return χ² of all crystals, each predicted from the others."""
    each = [normal_equations(one, misfits) for one in designs]
    matrix, side = (sum(part) for part in zip(*each, strict=True))
    found = (solve(matrix - m, side - s, smoothness) for m, s in each)
    return sum(score(one, c, misfits) for one, c in zip(designs, found, strict=True))


def fit(crystals: list[Crystal], reach: float) -> Fit:
    """Fit all crystals, with the smoothness that predicts left out ones best."""
    reference = float(np.median([one.d_nn_angstrom for one in crystals if one.temperature_K == REFERENCE_K]))
    norm = norm_of(reference, reach)
    designs = [design(one, reach, norm) for one in crystals]
    start = {one.temperature_K: START_MISFITS for one in crystals}
    misfits = start
    for _ in range(4):
        smoothness = float(min(SMOOTHNESS, key=lambda weight: left_out(designs, weight, misfits)))
        each = [normal_equations(one, misfits) for one in designs]
        coefficients = solve(*(sum(part) for part in zip(*each, strict=True)), smoothness)
        missed = beyond_errors(designs, coefficients)
        # Stresses, which the elastic constants and barriers hang on, keep their weight though they are missed by more.
        misfits = {temperature: (force, LEAST_MISFITS[1]) for temperature, (force, _) in missed.items()}
    return Fit(reach, norm, designs, coefficients, smoothness, misfits, missed, left_out(designs, smoothness, start))


def beyond_errors(designs: list[Design], coefficients: np.ndarray) -> Misfits:
    """Return by how much forces (kcal/mol/Å) and pressures (atm) miss beyond their errors, root mean square."""
    result = {}
    for temperature in {one.crystal.temperature_K for one in designs}:
        force, pressure = [], []
        for one in designs:
            if one.crystal.temperature_K == temperature:
                crystal, (f, p) = one.crystal, predicted(one, coefficients)
                force.append((f - crystal.force) ** 2 - crystal.force_error**2)
                pressure.append((p - crystal.pressure) ** 2 - crystal.pressure_error**2)
        both = zip((force, pressure), LEAST_MISFITS, strict=True)
        result[temperature] = tuple(float(np.sqrt(max(least**2, np.concatenate(part).mean()))) for part, least in both)
    return result


def pair_table(coefficients: np.ndarray, low: float) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (n,) and u (2, n); below `low`, where nothing was sampled, with the curvature there."""
    r = np.arange(np.ceil(LOW / TABLE_STEP), HIGH / TABLE_STEP + 1) * TABLE_STEP
    values = []
    for row in coefficients[:, :FREE]:
        spline = BSpline(KNOTS, np.append(row, np.zeros(3)), 3)
        x = r - low
        inner = spline(low) + spline.derivative()(low) * x + spline.derivative(2)(low) * x**2 / 2
        values.append(np.where(r < low, inner, spline(np.minimum(r, HIGH - 1e-9))))
    found = np.array(values)
    found[:, -1] = 0.0
    return r, found


def embedding_table(coefficients: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return densities (n,) and F (2, n); beyond the sampled ones, `low` to `high`, with the curvature there."""
    densities = np.arange(round(LARGEST_DENSITY / DENSITY_STEP) + 1) * DENSITY_STEP
    inside = np.clip(densities, low, high)
    values = []
    for row in coefficients[:, FREE:]:
        polynomial = np.polynomial.Polynomial(np.concatenate([np.zeros(POWERS[0]), row]))
        x, beyond = inside - 1, densities - inside
        values.append(polynomial(x) + polynomial.deriv()(x) * beyond + polynomial.deriv(2)(x) * beyond**2 / 2)
    return densities, np.array(values)


def rows(found: Fit) -> list[dict[str, object]]:
    """Return how well the model meets the crystals of each temperature and distance."""
    result = []
    for state in sorted({(one.crystal.temperature_K, one.crystal.d_nn_angstrom) for one in found.designs}):
        chosen = [one for one in found.designs if (one.crystal.temperature_K, one.crystal.d_nn_angstrom) == state]
        both = [predicted(one, found.coefficients) for one in chosen]
        force = np.concatenate([one.crystal.force for one in chosen])
        residual = np.concatenate([part[0] for part in both]) - force
        error2 = float(np.mean([one.crystal.force_error**2 for one in chosen]))
        pressure = np.array([one.crystal.pressure for one in chosen])
        pressure_squares = (np.array([part[1] for part in both]) - pressure) ** 2
        perfect = next(k for k, one in enumerate(chosen) if one.crystal.name.endswith("_perfect_0"))
        result.append(
            {
                "temperature_K": f"{state[0]:g}",
                "d_nn_nm": f"{nm_from_angstrom(state[1]):.3g}",
                "crystals": len(chosen),
                "rms_mean_force_kcal_per_mol_angstrom": f"{np.sqrt((force**2).mean() - error2):.3f}",
                "rms_error_of_it": f"{np.sqrt(error2):.3f}",
                "rms_misfit_beyond_it": f"{np.sqrt(max(0.0, (residual**2).mean() - error2)):.3f}",
                "pressure_of_perfect_crystal_atm": f"{pressure[perfect][:3].mean():.1f}",
                "model_atm": f"{both[perfect][1][:3].mean():.1f}",
                "rms_misfit_of_pressures_atm": f"{np.sqrt(pressure_squares.mean()):.1f}",
                "damping_fs": f"{damping_fs([one.crystal for one in chosen]):.0f}",
            }
        )
        print(result[-1], flush=True)
    return result


def damping_fs(crystals: list[Crystal]) -> float:
    """Return the relaxation time m/ζ of the velocity of a NP, fs."""
    return nanoparticle_mass() / (float(np.mean([one.friction for one in crystals])) * FORCE_UNIT)


def nanoparticle_mass() -> float:
    """Return the mass of a core with all its ligands, g/mol."""
    return nanoparticle_mass_g_per_mol(RADIUS_NM, load_chains())


def main() -> None:
    """Derive everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="write parameters.json and derivation.csv")
    arguments = parser.parse_args()
    crystals = [read(path) for path in sorted(arguments.folder.glob("*.npz"))]
    tried = [fit(crystals, reach) for reach in REACHES]
    for one in tried:
        missed = "; ".join(f"{t:g} K {m:.2f} kcal/mol/Å, {p:.1f} atm" for t, (m, p) in sorted(one.missed.items()))
        print(
            f"c {one.reach:g} Å: χ² of left out crystals {one.left_out:.0f}, smoothness {one.smoothness:.3g}, {missed}"
        )
    found = min(tried, key=lambda one: one.left_out)
    result = rows(found)
    low = min(one.least_angstrom for one in found.designs)
    densities = np.concatenate([one.densities for one in found.designs])
    sampled = float(densities.min()), float(densities.max())
    r, pair = pair_table(found.coefficients, low)
    density, embedding = embedding_table(found.coefficients, *sampled)
    each = [normal_equations(one, found.misfits) for one in found.designs]
    rng, resampled = np.random.default_rng(1), []
    for _ in range(RESAMPLES):
        chosen = [each[k] for k in rng.integers(len(each), size=len(each))]
        resampled.append(solve(*(sum(part) for part in zip(*chosen, strict=True)), found.smoothness))
    errors = np.std([pair_table(one, low)[1] for one in resampled], axis=0, ddof=1)
    for k in range(0, len(r), 4):
        print(
            f"{r[k]:6.1f} Å  u {pair[0, k]:9.3f} ± {errors[0, k]:.3f}  for 150 K {pair[1, k]:9.3f} ± {errors[1, k]:.3f}"
        )
    print(f"distances from {low:.2f} Å, densities {sampled[0]:.3f} to {sampled[1]:.3f}, "
          f"F: {found.coefficients[:, FREE:].round(2).tolist()}")  # fmt: skip
    temperatures = sorted({one.temperature_K for one in crystals})
    parameters = {
        "name": "oleate_one_site",
        "units": "LAMMPS real: angstrom, fs, kcal/mol, g/mol",
        "mass_g_per_mol": round(nanoparticle_mass(), 1),
        "potential": {
            "reference_K": REFERENCE_K,
            "r_angstrom": r.round(6).tolist(),
            "energy_kcal_per_mol": pair[0].round(5).tolist(),
            "slope_kcal_per_mol_K": (pair[1] / SPAN_K).round(8).tolist(),
        },
        "embedding": {
            "reach_angstrom": found.reach,
            "norm": round(found.norm, 8),
            "density": density.round(6).tolist(),
            "energy_kcal_per_mol": embedding[0].round(5).tolist(),
            "slope_kcal_per_mol_K": (embedding[1] / SPAN_K).round(8).tolist(),
        },
        "friction": {
            "temperature_K": temperatures,
            "damping_fs": [
                round(damping_fs([one for one in crystals if one.temperature_K == t]), -1) for t in temperatures
            ],
        },
        "dynamics": {"timestep_fs": 500.0, "pressure_damping_fs": 200000.0},
        "validity": {
            "core_radius_nm": RADIUS_NM,
            "temperature_K": [temperatures[0], temperatures[-1]],
            "d_nn_nm": [round(nm_from_angstrom(f(one.d_nn_angstrom for one in crystals)), 4) for f in (min, max)],
        },
    }
    if arguments.write:
        (HERE / "parameters.json").write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
        with (HERE / "derivation.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(result[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(result)


if __name__ == "__main__":
    main()

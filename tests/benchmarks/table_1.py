"""The cells of Table 1 of Lapkin et al. (ACS Nano 2025, 19, 42881) from simulated scans: forward model and mean CCF.

    python tests/benchmarks/table_1.py [--size 1000] [--rows 1,2,3,4] [--photons 1e6,1e5] [--seed 1] [--write]

For each row of the table a pillar of its primitive cell is cut (a cube in any orientation of the lattice, cores of
7.4 ± 0.8 nm), and its intensity computed on spheres. Photons are counted: so many on the brightest sphere, others in
proportion to their mean intensity. Measured is what an EIGER X 4M sees 5 m behind the sample at 10 keV (|q_z| ≤ 0.823,
horizontally up to 0.786 nm⁻¹) in a rotation of 180 degrees about z. There are maps at the q1 of all four 111
reflections; fits to one map and the mean CCF take the one at 100. The cell is fitted without knowing it, except for the
mean CCF, which starts from the true one.

`score` is the part of the map that the forward model explains, or the mean CCF. A pillar of 1 µm has 2.6·10⁵ NPs; its
spheres take 1.5 GB of disk. The seed is that of radii, orientation and noise: one draw of each a row of the result.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_tables import merge_rows, read_table, table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.pillar import pillar
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import ShellIntensity, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate_several
from simsc.correlation.peaks import cell_reflections
from simsc.io.native import read_map, write_map
from simsc.io.provenance import provenance
from simsc.refine.cell import CellFit, refine_cell
from simsc.refine.lattice import nearest_basis
from simsc.scattering.amplitude import intensity_on_shells

RESULT = table_of(__file__)
RADIUS_NM, RADIUS_STD_NM = 7.4, 0.8
Q2_INV_NM = (0.4, 0.9)
REACH_INV_NM = (0.786, 0.823)  # of the detector, horizontal and vertical
TOLERANCE = 1e-4  # of the amplitude at q = 0; fluctuations of the radii alone make 6e-4 at 1 µm
TABLE_1 = {
    "Pillar 1 (HT)": (16.8, 17.0, 17.8, 58.7, 60.8, 68.5),
    "Pillar 2 (HT)": (17.1, 17.4, 17.8, 57.0, 63.5, 60.9),
    "Pillar 3 (before HT)": (18.2, 16.9, 17.0, 61.3, 58.1, 61.3),
    "Pillar 3 (after HT)": (18.0, 16.8, 16.9, 61.5, 58.4, 61.6),
}
PARAMETERS = ["a", "b", "c", "alpha", "beta", "gamma"]
CASE = ["size_nm", "n", "photons", "seed", "pillar", "method"]
FIELDS = [*CASE, *PARAMETERS]
FIELDS += [f"{what}_{name}" for what in ("error", "sigma") for name in PARAMETERS]
FIELDS += ["score", "largest_pull"]


def first_spheres(truth: Cell) -> tuple[np.ndarray, int]:
    """Return the |g| (4,) of the 111 reflections, nm⁻¹, and which of them is that of 100."""
    lengths = np.sort(np.linalg.norm(cell_reflections(truth, np.zeros((1, 3)), 0.5)[0], axis=1))[:8:2]
    g100 = 2 * np.pi * np.linalg.norm(np.linalg.inv(truth.vectors_nm)[:, 0])
    return lengths, int(np.abs(lengths - g100).argmin())


@dataclass(frozen=True)
class Scan:
    """Intensity of a pillar on spheres, kept on disk: the first spheres, then the second ones."""

    folder: Path
    q_inv_nm: np.ndarray
    grids: list[tuple[int, int]]
    brightest: float

    @classmethod
    def of(cls, crystal: Superlattice, size_nm: float, q1_inv_nm: np.ndarray, folder: Path) -> "Scan":
        # Peaks are 2.4 / size wide.
        step = min(0.005, 3.0 / size_nm)
        q = np.append(q1_inv_nm, np.linspace(*Q2_INV_NM, int(np.ceil((Q2_INV_NM[1] - Q2_INV_NM[0]) / step)) + 1))
        # Only degrees up to the limit of the first spheres meet.
        first, *limits = (band_limit(value * crystal.diameter_nm, TOLERANCE) for value in [q1_inv_nm[-1], *q])
        grids = [(total // 2 + 1, 2 * (total // 2 + 1)) for total in (first + limit for limit in limits)]
        means = []
        for k, shell in enumerate(intensity_on_shells([crystal], q, grids, TOLERANCE, threads=1)):
            means.append(float(shell_grid(len(shell.intensity), 1)[1] @ shell.intensity.mean(axis=1)))
            np.save(folder / f"{k}.npy", shell.intensity.astype(np.float32))
        return cls(folder, q, grids, max(means))

    def counted(self, k: int, photons: float, seed: int) -> ShellIntensity:
        """Return a sphere of counted photons, per solid angle, where the detector sees it."""
        directions, weights = shell_grid(*self.grids[k])
        exposure = (weights / self.grids[k][1])[:, None] * photons / self.brightest
        counts = np.random.default_rng([7, seed, k]).poisson(np.load(self.folder / f"{k}.npy") * exposure)
        cosine = directions[:, :1, 2]
        seen = self.q_inv_nm[k] * np.abs(cosine) <= REACH_INV_NM[1]
        seen &= self.q_inv_nm[k] * np.sqrt(1 - cosine**2) <= REACH_INV_NM[0]
        return ShellIntensity(float(self.q_inv_nm[k]), counts / exposure, np.broadcast_to(seen, counts.shape))

    def maps(self, photons: float, firsts: Sequence[int], delta_deg: np.ndarray, seed: int) -> list[CorrelationMap]:
        """Return the map at each of some first spheres."""
        second = (self.counted(j, photons, seed) for j in range(len(self.q_inv_nm))[4:])
        return correlate_several([self.counted(k, photons, seed) for k in firsts], second, delta_deg, threads=1)


def maps_of_row(
    number: int, size_nm: float, photons: Sequence[float], seed: int, folder: Path
) -> tuple[int, list[list[CorrelationMap]]]:
    """Return the number of NPs of a pillar and its four maps for each number of photons.

    They are computed unless they are in the folder.
    """
    truth = Cell.from_parameters(*list(TABLE_1.values())[number])
    rng = np.random.default_rng([seed, number])
    lattice = pillar(truth, (size_nm,) * 3, radius_nm=RADIUS_NM, rotation=Rotation.random(rng=rng))
    crystal = with_normal_radii(lattice, RADIUS_NM, RADIUS_STD_NM, rng)
    paths = [[folder / f"{size_nm:g}_{number}_{seed}_{some:g}_{k}.h5" for k in range(4)] for some in photons]
    if not all(path.exists() for row in paths for path in row):
        delta = np.linspace(0, 180, 720 * int(np.ceil(size_nm / 500)) + 1)
        with tempfile.TemporaryDirectory(dir=folder) as spheres:
            scan = Scan.of(crystal, size_nm, first_spheres(truth)[0], Path(spheres))
            for some, row in zip(photons, paths, strict=True):
                facts = provenance(pillar=number, size_nm=size_nm, photons=some, seed=seed)
                for path, one in zip(row, scan.maps(some, range(4), delta, seed), strict=True):
                    write_map(path, one, facts)
    return crystal.n, [[read_map(path) for path in row] for row in paths]


def row(fit: CellFit, truth: Cell, facts: dict[str, object]) -> dict[str, object]:
    """Return the row of the table for a fit."""
    parameters, sigma = fit.in_basis(nearest_basis(fit.cell, truth))
    error = parameters - truth.parameters
    result = facts | {"score": f"{fit.score:.3f}"}
    result |= {name: f"{value:.4f}" for name, value in zip(PARAMETERS, parameters, strict=True)}
    result |= {f"error_{name}": f"{value:.4f}" for name, value in zip(PARAMETERS, error, strict=True)}
    known = not np.isnan(sigma).any()
    result |= {f"sigma_{name}": f"{value:.4f}" if known else "" for name, value in zip(PARAMETERS, sigma, strict=True)}
    result["largest_pull"] = f"{np.abs(error / sigma).max():.2f}" if known else ""
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=1000.0, help="edge of the pillar, nm")
    parser.add_argument("--rows", default="1,2,3,4", help="of the table")
    parser.add_argument("--photons", default="1e6,1e5", help="on the brightest sphere")
    parser.add_argument("--seed", type=int, default=1, help="of orientation, radii and noise")
    parser.add_argument("--maps", type=Path, help="folder to keep maps in, and to take them from if they are there")
    parser.add_argument("--write", action="store_true", help=f"put the rows into {RESULT.name}")
    arguments = parser.parse_args()
    photons = [float(word) for word in arguments.photons.split(",")]
    for number in (int(word) - 1 for word in arguments.rows.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if arguments.maps is None else arguments.maps
            n, maps = maps_of_row(number, arguments.size, photons, arguments.seed, folder)
        for some, four in zip(photons, maps, strict=True):
            facts = {"size_nm": f"{arguments.size:g}", "n": n, "photons": f"{some:g}", "seed": arguments.seed}
            rows = fitted(four, number, facts)
            for result in rows:
                print({key: result[key] for key in FIELDS if not key.startswith("sigma")}, flush=True)
            if arguments.write:
                write_table(RESULT, merge_rows(read_table(RESULT), rows, CASE), arguments, FIELDS)


def fitted(maps: list[CorrelationMap], number: int, facts: dict[str, object]) -> list[dict[str, object]]:
    """Return the rows of the table for the four maps of a pillar: both metrics, and all maps together."""
    name = list(TABLE_1)[number]
    truth, core = Cell.from_parameters(*TABLE_1[name]), {"radius_nm": RADIUS_NM, "radius_std_nm": RADIUS_STD_NM}
    at_100 = maps[first_spheres(truth)[1]]
    one = refine_cell(at_100, **core)
    fits = {
        "forward": one,
        # Other minima are the business of the fit to one map.
        "forward at four q1": refine_cell(maps, reference=one.cell, starts=1, **core),
        "mean CCF": refine_cell(at_100, method="mean", reference=truth),
    }
    return [row(fit, truth, facts | {"pillar": name, "method": method}) for method, fit in fits.items()]


if __name__ == "__main__":
    main()

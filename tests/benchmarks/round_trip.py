"""From a superlattice to frames, and back to its cell: what gaps, beam stop, noise and a missing wedge change.

    python tests/benchmarks/round_trip.py [--folder round_trip] [--size 300] [--angles 541] [--jobs 2] [--write]

A pillar (the first cell of Table 1 of Lapkin et al., ACS Nano 2025, 19, 42881; cores of 7.4 ± 0.8 nm) is measured
virtually once, with 2·10⁷ photons a frame on a detector without gaps. Photons are then thinned at random, and pixels
and angles left out; each variant is merged into spheres, correlated at the 100 reflection, and the cell is refined
without knowing it. The last variant has everything at once, as simsc import finds it in files of 541 × 5 frames.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.pillar import pillar
from simsc.core.cell import Cell
from simsc.core.detector import eiger_x_4m, eiger_x_4m_gaps
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_spheres
from simsc.experiment.frames import FrameReader
from simsc.experiment.merge import Scan, merge
from simsc.experiment.series import read_series
from simsc.experiment.targets import ShellTarget
from simsc.io.native import write_shells
from simsc.refine.cell import refine_cell
from simsc.refine.lattice import nearest_basis
from simsc.scattering.beamline import Background, Beamline
from simsc.scattering.eiger_scan import write_scan

RESULT = Path(__file__).with_suffix(".csv")
CELL = Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5)
DETECTOR = eiger_x_4m(beam_centre_px=(1115.3, 990.7))
PHOTONS = 2e7
SPHERES = ShellTarget(np.arange(0.4, 0.8801, 0.005), 0.005)
NAMES = ("a", "b", "c", "alpha", "beta", "gamma")


@dataclass(frozen=True)
class Thinned:
    """Frames of which each photon is kept with some probability."""

    read: FrameReader
    kept: float

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Read frames."""
        for number, frame in zip(numbers, self.read(numbers), strict=True):
            if self.kept == 1:
                yield frame
                continue
            invalid = frame == np.iinfo(frame.dtype).max
            counts = np.random.default_rng([11, number]).binomial(
                np.where(invalid, 0, frame).astype(np.int64), self.kept
            )
            yield np.where(invalid, np.iinfo(frame.dtype).max, counts).astype(frame.dtype)


def variants() -> Iterator[tuple[str, float, np.ndarray, tuple[float, float]]]:
    """Yield a name, photons of an angle, bad pixels and angles that are left out."""
    none = np.zeros(DETECTOR.shape, dtype=bool)
    stop = np.linalg.norm(DETECTOR.q_inv_nm, axis=-1) < 0.45
    gaps, whole = eiger_x_4m_gaps(), (1e3, 1e3)
    yield "no noise to speak of, no gaps", PHOTONS, none, whole
    yield "gaps", PHOTONS, gaps, whole
    yield "a beam stop that hides |q| < 0.45", PHOTONS, stop, whole
    for photons in (5e6, 5e5, 5e4):
        yield f"{photons:.0e} photons an angle", photons, none, whole
    for wedge in (20.0, 40.0):
        yield f"a wedge of {wedge:g} degrees is missing", PHOTONS, none, (70.0, 70.0 + wedge)
    yield "gaps, 5e+06 photons an angle, 20 degrees missing", 5e6, gaps, (70.0, 90.0)


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("round_trip"), help="for the frames, which are kept")
    parser.add_argument("--size", type=float, default=300.0, help="edge of the pillar, nm")
    parser.add_argument("--angles", type=int, default=541)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    crystal = pillar(CELL, (arguments.size,) * 3, radius_nm=7.4)
    crystal = with_normal_radii(crystal, 7.4, 0.8, np.random.default_rng(0))
    nothing = np.zeros(DETECTOR.shape, dtype=bool)
    beamline = Beamline(
        PHOTONS, DETECTOR, nothing, beamstop_inv_nm=0.0, angles_deg=np.arange(arguments.angles) / 3, repeats=1,
        blur_inv_nm=0.002, background=Background(0.01 * PHOTONS / 1e6, 0.1 * PHOTONS / 1e6, 5.0 * PHOTONS / 1e6),
    )  # fmt: skip
    series = read_series(write_scan(crystal, beamline, arguments.folder, jobs=arguments.jobs))
    assert series.angles_deg is not None
    g1 = float(2 * np.pi * np.linalg.norm(np.linalg.inv(CELL.vectors_nm)[:, 0]))
    rows = []
    for name, photons, bad, (begin, end) in variants():
        kept = np.flatnonzero((series.angles_deg < begin) | (series.angles_deg > end))
        some = replace(series, read=Chosen(Thinned(series.read, photons / PHOTONS), tuple(kept.tolist())), n=len(kept))
        scan = Scan(some, DETECTOR, series.angles_deg[kept], bad)
        with tempfile.TemporaryDirectory() as folder:
            merged = merge(scan, SPHERES, Path(folder) / "work", jobs=arguments.jobs)
            write_shells(Path(folder) / "spheres.h5", merged.shells(), {})
            q2 = np.array([shell.q_inv_nm for shell, _ in merged.shells()])
            # With the beam stop, the nearest reflection that is left.
            first, second = shells_of_spheres(Path(folder) / "spheres.h5", max(g1, float(q2[0])), q2)
            seen = correlate(first, second, np.linspace(0, 180, 721))
        fit = refine_cell(seen, radius_nm=7.4, radius_std_nm=0.8)
        found, errors = fit.in_basis(nearest_basis(fit.cell, CELL))
        off = found - CELL.parameters
        rows.append(
            {"what": name, "n": crystal.n, "smallest_coverage": f"{seen.coverage.min():.3f}"}
            | {f"error_{key}": f"{value:.4f}" for key, value in zip(NAMES, off, strict=True)}
            | {f"sigma_{key}": f"{value:.4f}" for key, value in zip(NAMES, errors, strict=True)}
        )
        print(
            f"{name}: {off.round(4)}, at most {np.abs(off[:3]).max():.3f} nm, {np.abs(off[3:]).max():.3f}°", flush=True
        )
    if arguments.write:
        with open(RESULT, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@dataclass(frozen=True)
class Chosen:
    """Some of the frames."""

    read: FrameReader
    kept: tuple[int, ...]

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Read frames."""
        return self.read([self.kept[number] for number in numbers])


if __name__ == "__main__":
    main()

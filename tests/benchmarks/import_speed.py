"""Merging of frames beside the bare decompression of the same files, and beside the gridder of xrayutilities.

    python tests/benchmarks/import_speed.py [--scan scan/scan_master.h5] [--angles 541] [--jobs 2] [--write]

Without `--scan` a pillar (the cell of Pillar 1 of Lapkin et al., 300 nm) is measured virtually first, into a temporary
folder. Bare decompression is that of all frames, on as many processes. xrayutilities (1.8, of the package index; it is
no dependency) gets frames that are summed over the repeats already, every 30th angle, and its own geometry; the
volumes of those angles are compared voxel by voxel.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.pillar import pillar
from simsc.core.cell import Cell
from simsc.core.detector import eiger_x_4m
from simsc.experiment.frames import FrameSeries
from simsc.experiment.geometry import GeometryOverrides, detector_of
from simsc.experiment.merge import Corrections, Scan, merge
from simsc.experiment.series import read_series
from simsc.experiment.targets import ShellTarget, VoxelTarget
from simsc.scattering.beamline import Background, Beamline
from simsc.scattering.eiger_scan import write_scan

RESULT = table_of(__file__)
CELL = (16.8, 17.0, 17.8, 58.7, 60.8, 68.5)
VOXELS = VoxelTarget(0.9, 256)
SPHERES = ShellTarget(np.arange(0.4, 0.9001, 0.005), 0.005)
EVERY = 30


def simulate(folder: Path, n_angles: int, jobs: int) -> Path:
    """Measure a pillar virtually."""
    rng = np.random.default_rng(0)
    crystal = pillar(Cell.from_parameters(*CELL), (300, 300, 300), radius_nm=7.4)
    crystal = with_normal_radii(crystal, 7.4, 0.8, rng)
    detector = eiger_x_4m(beam_centre_px=(1115.3, 990.7))
    beamline = Beamline(
        1e6, detector, dead=rng.random(detector.shape) < 2e-4, angles_deg=np.arange(n_angles) / 3, blur_inv_nm=0.002,
        background=Background(0.01, 0.1, 5.0),
    )  # fmt: skip
    return write_scan(crystal, beamline, folder, jobs=jobs)


def decompress(master: Path, numbers: list[int]) -> int:
    """Read frames, and do nothing with them."""
    return sum(1 for _ in read_series(master).read(numbers))


def bare_s(master: Path, n: int, jobs: int) -> float:
    """Return the wall time of decompressing all frames on some processes, s."""
    parts = [part.tolist() for part in np.array_split(np.arange(n), jobs)]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(decompress, [master] * jobs, [[0]] * jobs))  # until all have loaded what they need
        begin_s = time.monotonic()
        assert sum(pool.map(decompress, [master] * jobs, parts)) == n
        return time.monotonic() - begin_s


def merged_s(scan: Scan, target: VoxelTarget | ShellTarget, folder: Path, jobs: int) -> float:
    """Return the wall time of merging, with everything that belongs to it, s."""
    begin_s = time.monotonic()
    merge(scan, target, folder / "work", jobs=jobs)
    (folder / "work").unlink()
    return time.monotonic() - begin_s


def beside_xrayutilities(scan: Scan, folder: Path) -> tuple[float, float, float, float]:
    """Merge some angles with both; return seconds an angle, and how far the volumes agree.

    The latter are the part of the voxels that both filled, of those that either did, and the largest difference in
    those that got the same number of pixels, relative to the largest intensity.
    """
    import xrayutilities

    series, detector = scan.series, scan.detector
    groups = scan.groups[::EVERY]
    numbers = np.concatenate(groups)
    some = FrameSeries(
        series.name, len(numbers), series.shape, series.dtype, Chosen(series, numbers.tolist()), series.bad,
        series.invalid,
    )  # fmt: skip
    begin_s = time.monotonic()
    own = merge(
        Scan(some, detector, scan.angles_deg[numbers]), VOXELS, folder / "some", Corrections(False, None), jobs=1
    )
    own_s = (time.monotonic() - begin_s) / len(groups)
    summed = [sum(frame.astype(float) for frame in series.read(group.tolist())) for group in groups]
    conversion = xrayutilities.QConversion(["z+"], [], [0, 1, 0])
    row, column = detector.beam_centre_px
    conversion.init_area(
        "z-", "x+", row, column, *detector.shape, distance=detector.distance_m, pwidth1=detector.pixel_m[0],
        pwidth2=detector.pixel_m[1],
    )  # fmt: skip
    gridder = xrayutilities.Gridder3D(VOXELS.n, VOXELS.n, VOXELS.n)
    gridder.KeepData(True)
    q_max = VOXELS.q_max_inv_nm / 10
    gridder.dataRange(*([-q_max, q_max] * 3), fixed=True)
    good = scan.good
    begin_s = time.monotonic()
    for frame, group in zip(summed, groups, strict=True):
        # The sample's own frame: an angle of the sample turns q the other way.
        q = conversion.area(scan.angles_deg[group[0]], wl=10 * detector.wavelength_nm, deg=True)
        gridder(*(part.reshape(detector.shape)[good] for part in q), frame[good])
    other_s = (time.monotonic() - begin_s) / len(groups)
    repeats = len(groups[0])
    theirs, counts = gridder.data / repeats, gridder._gnorm
    volume = own.volume()
    mine, weight = np.nan_to_num(volume.intensity), own.weight.reshape(counts.shape) / repeats
    both, either = (weight > 0) & (counts > 0), (weight > 0) | (counts > 0)
    same = both & (np.abs(weight - counts) < 0.5)
    difference = float(np.abs(mine - theirs)[same].max() / mine.max())
    (folder / "some").unlink()
    print(f"voxels with the same pixels: {same.sum() / either.sum():.4f}")
    return own_s, other_s, float(both.sum() / either.sum()), difference


class Chosen:
    """Some frames of a series."""

    def __init__(self, series: FrameSeries, numbers: list[int]) -> None:
        self.read, self.numbers = series.read, numbers

    def __call__(self, wanted):
        """Read them."""
        return self.read([self.numbers[k] for k in wanted])

    def file(self, number):
        """Return which file a frame is in."""
        return self.read.file(self.numbers[number])


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, help="master file of an EIGER X 4M")
    parser.add_argument("--angles", type=int, default=541)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        master = arguments.scan or simulate(folder / "scan", arguments.angles, arguments.jobs)
        series = read_series(master)
        assert series.angles_deg is not None
        scan = Scan(series, detector_of(series, GeometryOverrides()), series.angles_deg)
        n, jobs = series.n, arguments.jobs
        bare = [bare_s(master, n, jobs)]
        voxels = merged_s(scan, VOXELS, folder, jobs)
        bare.append(bare_s(master, n, jobs))
        spheres = merged_s(scan, SPHERES, folder, jobs)
        bare.append(bare_s(master, n, jobs))
        own_s, other_s, both, difference = beside_xrayutilities(scan, folder)
    peak = [resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    rows = [
        ("frames", f"{n}"),
        ("processes", f"{jobs}"),
        ("bare decompression, frames/s", ", ".join(f"{n / s:.0f}" for s in bare)),
        ("into 256³ voxels, frames/s", f"{n / voxels:.0f}"),
        ("into 101 spheres, frames/s", f"{n / spheres:.0f}"),
        ("voxels over bare decompression", f"{np.median(bare) / voxels:.2f}"),
        ("spheres over bare decompression", f"{np.median(bare) / spheres:.2f}"),
        ("xrayutilities, s an angle, one process, without reading", f"{other_s:.2f}"),
        ("simsc, s an angle, one process, with reading", f"{own_s:.2f}"),
        ("voxels that both fill, of those that either does", f"{both:.4f}"),
        ("largest difference where both have the same pixels, of the largest intensity", f"{difference:.1e}"),
        ("peak memory of this process, and of the largest child, GB", ", ".join(f"{value:.2f}" for value in peak)),
    ]
    for what, value in rows:
        print(f"{what}: {value}", flush=True)
    if arguments.write:
        write_table(RESULT, [{"what": what, "value": value} for what, value in rows], arguments)


if __name__ == "__main__":
    main()

"""Merging of frames against binning pixel by pixel, and against itself after stops."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from simsc.core.detector import Detector
from simsc.core.errors import InputError, ResourceError, StoppedEarly
from simsc.core.units import wavelength_nm
from simsc.correlation.shells import shells_of_spheres
from simsc.experiment.frames import FrameSeries
from simsc.experiment.merge import Corrections, Scan, merge
from simsc.experiment.series import read_series
from simsc.experiment.targets import ShellTarget, VoxelTarget
from simsc.io.native import read_shells, write_shells

DETECTOR = Detector((60, 50), (2.6e-3, 2.7e-3), 5.0, wavelength_nm(10.0), (28.7, 22.4))
ANGLES = np.repeat(np.linspace(0, 180, 19), 2)
VOXELS = VoxelTarget(0.7, 32)
SHELLS = ShellTarget(np.array([0.4, 0.45, 0.5]), 0.05, 40, 80)


@dataclass(frozen=True)
class Made:
    """Frames made when they are asked for."""

    dtype: str = "u4"
    rate: float = 1.5
    pause_s: float = 0.0

    def __call__(self, numbers):
        for number in numbers:
            time.sleep(self.pause_s)
            rng = np.random.default_rng([7, number])
            frame = rng.poisson(self.rate, DETECTOR.shape).astype(self.dtype)
            frame[3, 5:9] = -1 if frame.dtype.kind == "i" else np.iinfo(frame.dtype).max
            # Some pixels fail in some frames only.
            frame[rng.integers(60, size=3), rng.integers(50, size=3)] = frame[3, 5]
            if number == 4:
                frame[30, 11] = 100 if frame.dtype.itemsize == 1 else 60_000
            yield frame


@dataclass(frozen=True, eq=False)
class Kept:
    """Frames in memory."""

    frames: np.ndarray

    def __call__(self, numbers):
        return iter(self.frames[list(numbers)])


def series(dtype: str = "u4", **options) -> FrameSeries:
    bad = np.zeros(DETECTOR.shape, dtype=bool)
    bad[20:22] = True
    unsigned = dtype.startswith("u")
    invalid = np.iinfo(dtype).max if unsigned else None
    return FrameSeries("made", len(ANGLES), DETECTOR.shape, np.dtype(dtype), Made(dtype, **options), bad, invalid)


def by_hand(scan: Scan, cell_of, n_cells: int, efficiency: np.ndarray):
    """Return photons, weights and background of each cell, pixel by pixel."""
    photons, weight, background = np.zeros(n_cells), np.zeros(n_cells), np.zeros(n_cells)
    flux = np.ones(scan.series.n) if scan.flux is None else scan.flux / scan.flux.mean()
    for number, frame in enumerate(scan.series.read(range(scan.series.n))):
        counts = frame.astype(float)
        wrong = counts < 0 if scan.series.invalid is None else counts >= scan.series.invalid
        cells = cell_of(scan.angles_deg[number])
        used = scan.good & ~wrong & (cells >= 0)
        np.add.at(photons, cells[used], counts[used])
        np.add.at(weight, cells[used], efficiency[used] * flux[number])
        if scan.background is not None:
            np.add.at(background, cells[used], scan.background[used] * flux[number])
    return photons, weight, background


def laboratory_to_sample(angle_deg):
    turn = np.radians(-angle_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return DETECTOR.q_inv_nm @ matrix.T


def nearest_voxel(angle_deg):
    q = laboratory_to_sample(angle_deg)
    index = np.rint((q + 0.7) / (1.4 / 31)).astype(int)
    inside = ((index >= 0) & (index < 32)).all(axis=-1)
    return np.where(inside, (index[..., 0] * 32 + index[..., 1]) * 32 + index[..., 2], -1)


def nearest_point(angle_deg):
    """Of three spheres, Gauss–Legendre rings and even longitudes, by comparing with all of them."""
    q = laboratory_to_sample(angle_deg)
    length = np.linalg.norm(q, axis=-1)
    sphere = np.abs(length[..., None] - SHELLS.q_inv_nm).argmin(axis=-1)
    nodes = np.degrees(np.arccos(np.polynomial.legendre.leggauss(40)[0][::-1]))
    theta = np.degrees(np.arccos(q[..., 2] / length))
    ring = np.abs(theta[..., None] - nodes).argmin(axis=-1)
    longitude = np.rint(np.degrees(np.arctan2(q[..., 1], q[..., 0])) / 4.5).astype(int) % 80
    outside = np.abs(length - SHELLS.q_inv_nm[sphere]) > 0.025
    return np.where(outside, -1, (sphere * 40 + ring) * 80 + longitude)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4"])
@pytest.mark.parametrize(("target", "cell_of"), [(VOXELS, nearest_voxel), (SHELLS, nearest_point)])
def test_merging_is_binning_pixel_by_pixel(target, cell_of, dtype, tmp_path):
    scan = Scan(series(dtype), DETECTOR, ANGLES)
    merged = merge(scan, target, tmp_path / "work", Corrections(False, None, False))
    photons, weight, _ = by_hand(scan, cell_of, target.n_cells, np.ones(DETECTOR.shape))
    assert photons.sum() > 1e4
    assert (merged.photons == photons).all()
    assert merged.weight == pytest.approx(weight, abs=1e-9)


@pytest.mark.parametrize("n", [9, 32, 255, 256])
def test_voxels_of_segments_are_those_of_their_pixels(n):
    """Also where a column lies in a face between voxels, and where voxels are smaller than pixels."""
    tall = replace(DETECTOR, shape=(700, 41), pixel_m=(0.15e-3, 2.7e-3), beam_centre_px=(350.0, 20.0))
    target = VoxelTarget(0.55, n)
    q, good = tall.q_inv_nm.reshape(-1, 3), np.random.default_rng(3).random(tall.shape) < 0.97
    binning = target.binning(tall, good)
    begins, m = binning.begins, len(binning.pixels)
    ends = np.append(begins[1:], m)
    assert (ends - begins).max() <= 128
    assert sorted(set(binning.pixels)) == sorted(binning.pixels)
    step = 1.1 / (n - 1)
    for angle_deg in (0.0, 90.0, 180.0, -45.0, 1 / 3, 33.1, 271.7):
        turn = np.radians(angle_deg)
        x, y = q[:, 0] * np.cos(turn) + q[:, 1] * np.sin(turn), q[:, 1] * np.cos(turn) - q[:, 0] * np.sin(turn)
        place = np.stack([x, y, q[:, 2]]) / step + (n - 1) / 2
        index = np.rint(place).astype(int)
        inside = (index >= 0).all(axis=0) & (index < n).all(axis=0)
        expected = np.where(inside, (index[0] * n + index[1]) * n + index[2], -1)
        in_face = (np.abs(place - np.floor(place) - 0.5) < 1e-9).any(axis=0)
        cells, divided = binning.cells(angle_deg)
        of_pixels = binning.cells_at(angle_deg, np.arange(m))
        assert ((of_pixels == expected[binning.pixels]) | in_face[binning.pixels]).all()
        own = np.repeat(np.where(divided, -2, cells), ends - begins)
        assert ((own == of_pixels) | (own == -2)).all()
        assert divided.mean() < 0.6
        left_out = np.setdiff1d(np.flatnonzero(good), binning.pixels)
        assert (expected[left_out] == -1).all()


def test_many_photons_and_long_segments_are_counted_exactly(tmp_path):
    """Up to the largest counts that are added in 32 bits, and beyond; 40 frames at an angle; segments that are cut."""
    tall = replace(DETECTOR, shape=(700, 3), pixel_m=(0.15e-3, 2.7e-3), beam_centre_px=(350.0, -20.0))
    frames = np.full((40, *tall.shape), (1 << 20) - 1, dtype="u4")
    frames[5, 10, 1], frames[17, 300:500] = 2**32 - 2, 1 << 20
    frames[33, 60] = 2**32 - 1
    made = FrameSeries("made", 40, tall.shape, np.dtype("u4"), Kept(frames), None, 2**32 - 1)
    merged = merge(Scan(made, tall, np.zeros(40)), VoxelTarget(0.55, 4), tmp_path / "work", Corrections(False, None))
    valid = frames < 2**32 - 1
    assert int(merged.photons.sum()) == int(frames[valid].sum(dtype=np.int64))
    assert merged.weight.sum() == pytest.approx(valid.sum(), rel=1e-9)


def test_corrections_flux_and_background(tmp_path):
    rng = np.random.default_rng(5)
    background = rng.uniform(0, 0.5, DETECTOR.shape)
    flux = rng.uniform(0.5, 2, len(ANGLES))
    scan = Scan(series(), DETECTOR, ANGLES, None, flux, background, 3.0)
    merged = merge(scan, VOXELS, tmp_path / "work", Corrections(True, 0.9, True))
    rows, columns = np.indices(DETECTOR.shape)
    x, z = (columns - 22.4) * 2.7e-3, (28.7 - rows) * 2.6e-3
    distance = np.sqrt(x**2 + z**2 + 25)
    efficiency = (5 / distance) ** 3 * (0.9 * (1 - (x / distance) ** 2) + 0.1 * (1 - (z / distance) ** 2))
    efficiency /= np.abs(x) / distance
    photons, weight, shade = by_hand(scan, nearest_voxel, VOXELS.n_cells, efficiency)
    assert (merged.photons == photons).all()
    assert merged.weight == pytest.approx(weight, rel=1e-4)
    volume = merged.volume()
    seen = weight.reshape(32, 32, 32) > 0
    assert (volume.measured == seen).all()
    assert np.isnan(volume.intensity[~seen]).all()
    net = ((photons - shade) / weight)[weight > 0]
    assert volume.intensity[seen] == pytest.approx(net, rel=1e-4, abs=1e-4)
    noise = ((np.maximum(photons, 1) + shade / 3) / weight**2)[weight > 0]
    assert volume.variance[seen] == pytest.approx(noise, rel=1e-3)


def test_flat_intensity_comes_back_flat_with_its_variance(tmp_path):
    """Counts of an efficient detector under a constant intensity: mean and scatter are as stated."""
    merged = merge(Scan(series(rate=9.0), DETECTOR, ANGLES), VOXELS, tmp_path / "work", Corrections(False, None))
    volume = merged.volume()
    seen = volume.measured & np.isfinite(volume.intensity)
    seen[volume.intensity > 100] = False  # the bright pixel
    pulls = (volume.intensity[seen] - 9.0) / np.sqrt(9.0 / merged.weight.reshape(32, 32, 32)[seen])
    assert pulls.mean() == pytest.approx(0, abs=4 / np.sqrt(seen.sum()))
    assert pulls.std() == pytest.approx(1, abs=0.05)
    assert (volume.variance[seen] * merged.weight.reshape(32, 32, 32)[seen]).mean() == pytest.approx(9.0, rel=0.02)


def test_the_same_bits_after_stops_and_on_other_numbers_of_processes(tmp_path, monkeypatch):
    scan = Scan(series(), DETECTOR, ANGLES, flux=np.random.default_rng(1).uniform(0.5, 2, len(ANGLES)))
    once = merge(scan, VOXELS, tmp_path / "once", jobs=3)
    told = []
    stops = iter([False, True])
    with pytest.raises(StoppedEarly):
        merge(scan, VOXELS, tmp_path / "again", progress=lambda *k: told.append(k), stop=lambda: next(stops, True))
    assert 0 < told[-1][0] < 19
    again = merge(scan, VOXELS, tmp_path / "again", jobs=2)
    assert (again.photons == once.photons).all()
    assert (again.weight == once.weight).all()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_killed_and_begun_again(tmp_path):
    """kill -9 in the middle, after a checkpoint: the same volume, bit for bit."""
    script = (
        "import sys, pathlib; import simsc.experiment.merge as m; from test_merge import *; m._CHECKPOINT_S = 0.2\n"
        "if __name__ == '__main__':\n"
        "    merge(Scan(series(pause_s=0.1), DETECTOR, ANGLES), VOXELS, pathlib.Path(sys.argv[1]), jobs=2)\n"
    )
    work = tmp_path / "work"
    (tmp_path / "driver.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, str(tmp_path / "driver.py"), str(work)], env=environment)
    deadline = time.monotonic() + 60
    while not work.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert work.exists()
    told = []
    after = merge(Scan(series(), DETECTOR, ANGLES), VOXELS, work, progress=lambda *k: told.append(k))
    assert told[0][0] > 0
    undisturbed = merge(Scan(series(), DETECTOR, ANGLES), VOXELS, tmp_path / "once")
    assert (after.photons == undisturbed.photons).all()
    assert (after.weight == undisturbed.weight).all()


def test_what_outlives_a_killed_merge_adds_nothing_to_the_next_one(tmp_path):
    scan = Scan(series(), DETECTOR, ANGLES)
    once = merge(scan, VOXELS, tmp_path / "once")
    left = np.memmap(tmp_path / ".work.sums", np.int64, "w+", shape=(2, VOXELS.n_cells))

    def add(done, n):
        left[:] += 1

    after = merge(scan, VOXELS, tmp_path / "work", progress=add)
    assert left.min() > 0
    assert (after.photons == once.photons).all()
    assert (after.weight == once.weight).all()


def test_two_merges_into_one_file_do_not_meet(tmp_path):
    scan = Scan(series(), DETECTOR, ANGLES)

    def other(done, n):
        with pytest.raises(ResourceError, match="another process"):
            merge(scan, VOXELS, tmp_path / "work")

    merge(scan, VOXELS, tmp_path / "work", progress=other)


def test_a_checkpoint_of_other_work_is_refused(tmp_path):
    merge(Scan(series(), DETECTOR, ANGLES), VOXELS, tmp_path / "work")
    for other in (
        (Scan(series(), DETECTOR, ANGLES), VoxelTarget(0.7, 30)),
        (Scan(series(), DETECTOR.centred_at(20, 20), ANGLES), VOXELS),
        (Scan(series(rate=2.0), DETECTOR, ANGLES), VOXELS),
        (Scan(series(), DETECTOR, -ANGLES), VOXELS),
    ):
        with pytest.raises(InputError, match="other frames or settings"):
            merge(*other, tmp_path / "work")


def test_spheres_to_a_file_and_to_a_correlation(tmp_path):
    merged = merge(Scan(series(rate=9.0), DETECTOR, ANGLES), SHELLS, tmp_path / "work")
    write_shells(tmp_path / "shells.h5", merged.shells(), {})
    with read_shells(tmp_path / "shells.h5") as (q, read):
        assert q.tolist() == [0.4, 0.45, 0.5]
        for k, (shell, variance) in enumerate(merged.shells()):
            again, noise = read(k)
            assert (again.measured == shell.measured).all()
            assert again.intensity == pytest.approx(shell.intensity, rel=1e-6, nan_ok=True)
            assert noise == pytest.approx(variance, rel=1e-6, nan_ok=True)
    first, second = shells_of_spheres(tmp_path / "shells.h5", 0.41, np.array([0.44, 0.5]))
    assert first.q_inv_nm == 0.4
    assert [shell.q_inv_nm for shell in second] == [0.45, 0.5]
    deviation = np.sqrt(next(iter(merged.shells()))[1])
    assert (first.noise / deviation)[:, first.measured].std() == pytest.approx(1, abs=0.02)
    with pytest.raises(InputError, match="none at"):
        shells_of_spheres(tmp_path / "shells.h5", 0.6, np.array([0.44]))


class Killed(Made):
    """The same, but frame 21 kills the process that merges it."""

    def __call__(self, numbers):
        for number, frame in zip(numbers, super().__call__(numbers), strict=True):
            if number == 20 and multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            yield frame

    def file(self, number):
        return Path("made")


def test_a_process_that_is_killed_had_these_frames(tmp_path):
    scan = Scan(replace(series(), read=Killed()), DETECTOR, ANGLES)
    with pytest.raises(ResourceError, match=r"killed while at work on frames \d+ to \d+ of made: for want of") as told:
        merge(scan, VOXELS, tmp_path / "work", jobs=2)
    first, last = (int(text) for text in re.findall(r"frames (\d+) to (\d+)", str(told.value))[0])
    assert first <= 21 <= last < first + 24
    assert "a library crashed" in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_frame_that_crashes_its_reader_is_named(tmp_path):
    """Compression whose sizes nobody can look at beforehand, as another filter comes before it."""
    path = tmp_path / "scan.h5"
    counts = np.stack(list(Made()(range(len(ANGLES)))))
    with h5py.File(path, "w") as file:
        file.create_group("entry/instrument/detector")["pixel_mask"] = np.zeros(DETECTOR.shape, "u4")
        data = file.create_dataset(
            "entry/data/data", data=counts, chunks=(1, *DETECTOR.shape), shuffle=True,
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )  # fmt: skip
        place = data.id.get_chunk_info(17).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 12 : place + 16] = b"\x7f\xff\xff\xf0"
    path.write_bytes(content)
    scan = Scan(read_series(path), DETECTOR, ANGLES)
    with pytest.raises(InputError, match=rf"{path}: frame 18 of {len(ANGLES)} is damaged, reading it crashes"):
        merge(scan, VOXELS, tmp_path / "work", jobs=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"angles_deg": ANGLES[:-1]}, "as many angles"),
        ({"angles_deg": np.where(ANGLES > 90, np.nan, ANGLES)}, "as many angles"),
        ({"bad": np.ones(DETECTOR.shape, dtype=bool)}, "no good pixel"),
        ({"bad": np.zeros((50, 60), dtype=bool)}, "shape"),
        ({"flux": np.zeros(len(ANGLES))}, "positive"),
        ({"background": np.full(DETECTOR.shape, -1.0)}, "not negative"),
        ({"detector": replace(DETECTOR, shape=(50, 60))}, "pixels"),
    ],
)
def test_bad_scans(change, says):
    with pytest.raises(InputError, match=says):
        Scan(**({"series": series(), "detector": DETECTOR, "angles_deg": ANGLES} | change))


def test_nothing_in_the_range(tmp_path):
    with pytest.raises(InputError, match="no good pixel reaches"):
        merge(Scan(series(), DETECTOR, ANGLES), ShellTarget(np.array([3.0]), 0.1, 10, 20), tmp_path / "work")

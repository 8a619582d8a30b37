"""Detector frames merged into voxels or points of spheres, in parallel, in bounded memory, and so that it can go on.

A cell collects the photons N of all pixels and frames that see it, and what they should have seen of unit intensity:
w = Σ efficiency × flux. Its intensity is N / w, the estimate of maximum likelihood for Poisson counts, less the
background; the variance is N / w², with N at least 1. Sums are kept in whole numbers, so that they do not depend on the
order in which frames come: the same bits come out on any number of processes, and after any number of stops.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.sparse import csr_matrix

from simsc.core.detector import Detector
from simsc.core.errors import InputError, ResourceError, StoppedEarly
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.core.processes import lost, pool
from simsc.experiment.frames import FrameSeries
from simsc.experiment.targets import ShellTarget, Target, VoxelTarget
from simsc.io.hdf5 import kind_of_open, new_hdf5, open_hdf5
from simsc.io.kinds import MERGE_CHECKPOINT
from simsc.io.probe import check_readable
from simsc.io.whole_files import write_error

_EFFICIENCY, _FLUX = 1 << 20, 1 << 16  # units of the fixed-point numbers
_LARGE, _SAFE = 1 << 20, 32  # so many frames of counts below that are added up in 32 bits, over a segment
_ANGLES_A_TASK = 2
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_ROWS = 32
_CHECKPOINT_S = 60.0


@dataclass(frozen=True)
class Corrections:
    """What counts are corrected for.

    Args:
        solid_angle: pixels far from the foot of the normal see less.
        polarisation: horizontally polarised part of the beam, 0 … 1; None corrects nothing.
        lorentz: multiply the intensity by |s·x| / |s|, s the direction of a pixel and x the horizontal one: how fast a
            point of reciprocal space passes through the Ewald sphere. Means over samples, as they are merged here, need
            it not; sums of intensity over a scan do.
    """

    solid_angle: bool = True
    polarisation: float | None = 1.0
    lorentz: bool = False

    def efficiency(self, detector: Detector) -> np.ndarray:
        """Return (rows, columns) what a pixel counts of unit intensity."""
        efficiency = np.ones(detector.shape)
        if self.solid_angle:
            efficiency *= detector.solid_angle
        if self.polarisation is not None:
            efficiency *= detector.polarisation(self.polarisation)
        if self.lorentz:
            with np.errstate(divide="ignore"):
                efficiency /= np.abs(detector.directions[..., 0])
        return efficiency


@dataclass(frozen=True, eq=False)
class Scan:
    """A rotation scan to merge.

    Args:
        series: its frames.
        detector: where they were taken.
        angles_deg: (n,) of the sample at each frame, degrees; frames at one angle that follow one another are repeats.
        bad: (rows, columns) bool, pixels to leave out, besides what the files exclude.
        flux: (n,) relative flux or exposure of each frame.
        background: (rows, columns) counts of a frame at unit flux that do not come from the sample; None for none.
        background_frames: how many frames the background is the mean of, which tells its noise.

    Raises:
        InputError: for arrays that do not fit, a flux that is not positive, or no good pixel.
    """

    series: FrameSeries
    detector: Detector
    angles_deg: np.ndarray
    bad: np.ndarray | None = None
    flux: np.ndarray | None = None
    background: np.ndarray | None = None
    background_frames: float = 1.0

    def __post_init__(self) -> None:
        series = self.series
        if self.detector.shape != series.shape:
            raise InputError(
                f"{series.name}: frames have {series.shape[0]} × {series.shape[1]} pixels, the detector "
                f"{self.detector.shape[0]} × {self.detector.shape[1]} (rows × columns)"
            )
        if self.angles_deg.shape != (series.n,) or not np.isfinite(self.angles_deg).all():
            raise InputError(f"{series.name}: {series.n} frames need as many angles, got {self.angles_deg.shape}")
        for name, mask in (("mask", self.bad), ("background", self.background)):
            if mask is not None and mask.shape != series.shape:
                raise InputError(f"{series.name}: the {name} has shape {mask.shape}, frames {series.shape}")
        if self.flux is not None:
            flux = np.asarray(self.flux, dtype=float)
            if flux.shape != (series.n,) or not (np.isfinite(flux).all() and (flux > 0).all()):
                raise InputError(f"{series.name}: the flux must be {series.n} positive numbers, one a frame")
            if flux.max() > 1000 * flux.mean():
                raise InputError(f"{series.name}: the flux of a frame is more than 1000 times that of the mean")
        if self.background is not None:
            good = self.background[self.good]
            if not (np.isfinite(good).all() and (good >= 0).all() and self.background_frames > 0):
                raise InputError("the background must be numbers of counts that are not negative, in all good pixels")
        if not self.good.any():
            raise InputError(f"{series.name}: masks leave no good pixel")

    @property
    def good(self) -> np.ndarray:
        """(rows, columns) bool: pixels that are used."""
        good = np.ones(self.series.shape, dtype=bool)
        for mask in (self.series.bad, self.bad):
            if mask is not None:
                good &= ~mask
        return good

    @property
    def relative_flux(self) -> np.ndarray:
        """(n,) flux of each frame over the mean."""
        flux = np.ones(self.series.n) if self.flux is None else np.asarray(self.flux, dtype=float)
        return flux / flux.mean()

    @property
    def groups(self) -> list[np.ndarray]:
        """Numbers of the frames at each angle."""
        return np.split(np.arange(self.series.n), np.flatnonzero(np.diff(self.angles_deg)) + 1)


@dataclass(frozen=True, eq=False)
class Merged:
    """Cells of a target, filled.

    Args:
        target: what was filled.
        photons: (n_cells,) counts.
        weight: (n_cells,) counts of unit intensity; 0 where nothing was measured.
        background: (n_cells,) counts that do not come from the sample; None if none was subtracted.
        background_frames: how many frames the background is the mean of.
        n_frames: frames merged.
    """

    target: Target
    photons: np.ndarray
    weight: np.ndarray
    background: np.ndarray | None
    background_frames: float
    n_frames: int

    def volume(self) -> IntensityVolume:
        """Return the intensity of voxels, counts of a pixel and frame, with its variance.

        A voxel without a photon has a variance of that of one: its intensity is below about one, not exactly 0.
        """
        assert isinstance(self.target, VoxelTarget)
        axis = self.target.axis_inv_nm
        shape = (self.target.n,) * 3
        intensity, variance, measured = (part.reshape(shape) for part in self._values(slice(None)))
        return IntensityVolume(intensity, (axis, axis, axis), None if measured.all() else measured, None, variance)

    def shells(self) -> Iterator[tuple[ShellIntensity, np.ndarray]]:
        """Yield the spheres on which something was measured, each with its variance (n_theta, n_phi)."""
        assert isinstance(self.target, ShellTarget)
        shape = (self.target.n_theta, self.target.n_phi)
        size = shape[0] * shape[1]
        for k, q in enumerate(self.target.q_inv_nm):
            intensity, variance, measured = (
                part.reshape(shape) for part in self._values(slice(k * size, (k + 1) * size))
            )
            if measured.any():
                yield ShellIntensity(float(q), intensity, None if measured.all() else measured), variance

    def _values(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        photons, weight = self.photons[part].astype(float), self.weight[part]
        measured = weight > 0
        net, noise = photons, np.maximum(photons, 1.0)
        if self.background is not None:
            net = photons - self.background[part]
            noise = noise + self.background[part] / self.background_frames
        with np.errstate(divide="ignore", invalid="ignore"):
            intensity = np.where(measured, net / weight, np.nan)
            variance = np.where(measured, noise / weight**2, np.nan)
        return intensity, variance, measured


def merge(
    scan: Scan,
    target: Target,
    checkpoint: Path,
    corrections: Corrections | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Merged:
    """Merge the frames of a scan.

    Args:
        scan: what to merge.
        target: voxels or points to fill.
        checkpoint: file that holds what is done so far while the work lasts; the same call goes on from it. It is left
            for the caller to remove, once the result is safe.
        corrections: what to correct for; default `Corrections()`.
        jobs: processes.
        progress: called with how many angles are done, and of how many.
        stop: is asked now and then whether to stop at a checkpoint.

    Raises:
        InputError: if a frame cannot be read, or crashes what reads it, if nothing reaches the target, or the
            checkpoint belongs to other work.
        ResourceError: if the disk is full, another process works on the same checkpoint, or a process was killed.
        StoppedEarly: after `stop` said so.
    """
    corrections = corrections or Corrections()
    groups = scan.groups
    digest = _digest(scan, target, corrections)
    layers = 3 if scan.background is not None else 2
    with _sums(checkpoint, (layers, target.n_cells)) as (path, sums):
        done = _resume(checkpoint, digest, sums, len(groups))
        todo = np.flatnonzero(~done)
        tasks = [todo[k : k + _ANGLES_A_TASK] for k in range(0, len(todo), _ANGLES_A_TASK)]
        lock = multiprocessing.get_context("spawn").Lock()
        arguments = (scan, target, corrections, path, sums.shape, lock)
        running: dict[Future[None], np.ndarray] = {}

        def at_work() -> str:
            return _frames(scan.series, [n for task in lost(running, jobs) for k in task for n in groups[k].tolist()])

        with pool(max(1, min(jobs, len(tasks))), at_work, _set_up, arguments) as processes:
            saved_s = time.monotonic()
            while tasks or running:
                if stop is not None and stop():
                    tasks.clear()
                while tasks and len(running) < 2 * jobs:
                    running[processes.submit(_work, [groups[k] for k in tasks[0]])] = tasks[0]
                    del tasks[0]
                ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                    done[running.pop(future)] = True
                if progress is not None:
                    progress(int(done.sum()), len(groups))
                # Sums and what is done agree only while nobody works.
                if time.monotonic() - saved_s > _CHECKPOINT_S and not done.all():
                    for future, task in running.items():
                        future.result()
                        done[task] = True
                    running.clear()
                    _save(checkpoint, digest, sums, done)
                    saved_s = time.monotonic()
        if not done.all():
            _save(checkpoint, digest, sums, done)
            raise StoppedEarly(
                f"stopped after {done.sum()} of {len(groups)} angles; the same command goes on from there"
            )
        unit = _EFFICIENCY * _FLUX
        weight = sums[1] / unit
        if not weight.any():
            checkpoint.unlink(missing_ok=True)
            raise InputError(f"{scan.series.name}: no good pixel reaches the range of q that is asked for")
        _save(checkpoint, digest, sums, done)
        background = sums[2] / unit if layers == 3 else None
        return Merged(target, np.array(sums[0]), weight, background, scan.background_frames, scan.series.n)


def _frames(series: FrameSeries, numbers: list[int]) -> str:
    """Return what frames of some numbers are called.

    Raises:
        InputError: if one of them crashes what reads it.
    """
    for number in numbers:
        name = f"frame {number + 1} of {series.n}"
        check_readable(series.read.file(number), partial(_read_one, series, number), name)
    return f"frames {min(numbers) + 1} to {max(numbers) + 1} of {series.name}" if numbers else ""


def _read_one(series: FrameSeries, number: int) -> None:
    list(series.read([number]))


class _Worker:
    """What a process needs to merge frames."""

    def __init__(
        self, scan: Scan, target: Target, corrections: Corrections, path: Path, shape: tuple[int, int], lock: Any
    ) -> None:
        good = scan.good
        self._scan, self._lock = scan, lock
        self._binning = target.binning(scan.detector, good)
        pixels, begins = self._binning.pixels, self._binning.begins
        self._sums = np.memmap(path, np.int64, "r+", shape=shape)
        # As a matrix: adds up the pixels of each segment.
        indices, ends = pixels.astype(np.int32), np.append(begins, len(pixels)).astype(np.int32)
        self._adding_up = csr_matrix((np.ones(len(pixels), np.uint32), indices, ends), (len(begins), good.size))
        self._quick = np.empty(scan.series.shape, dtype=np.uint32)
        self._flux = _whole(scan.relative_flux, _FLUX)
        weights = [_whole(corrections.efficiency(scan.detector).ravel()[pixels], _EFFICIENCY)]
        if scan.background is not None:
            weights.append(_whole(scan.background.ravel()[pixels], _EFFICIENCY))
        self._weights = [(self._of_segments(weight), weight) for weight in weights]
        self._used = np.zeros(scan.series.shape, dtype=bool)
        self._used.ravel()[pixels] = True
        dtype = scan.series.dtype
        if dtype.kind not in "ui":
            raise InputError(f"{scan.series.name}: counts must be whole numbers, not {dtype}")
        largest = np.iinfo(dtype).max if scan.series.invalid is None else scan.series.invalid - 1
        self._largest = int(largest)

    def __call__(self, groups: Sequence[np.ndarray]) -> None:
        """Add the frames of some numbers, each group at one angle."""
        if len(self._binning.pixels):
            frames = self._scan.series.read(np.concatenate(groups).tolist())
            for numbers in groups:
                self._add(numbers, islice(frames, len(numbers)))

    def _add(self, numbers: np.ndarray, frames: Iterable[np.ndarray]) -> None:
        pixels = self._binning.pixels
        counted: np.ndarray | None = None
        flux: np.ndarray | int = 0
        quick, quick_n = self._quick.ravel(), 0
        for number, frame in zip(numbers.tolist(), frames, strict=True):
            if quick_n < _SAFE and self._add_plain(frame, quick_n == 0):
                quick_n += 1
                flux = flux + self._flux[number]
                continue
            counts = frame.ravel()[pixels].astype(np.int64)
            valid = (counts >= 0) & (counts <= self._largest)
            counts = np.where(valid, counts, 0)
            counted = counts if counted is None else counted + counts
            flux = flux + self._flux[number] * valid
        angle_deg = float(self._scan.angles_deg[numbers[0]])
        cells, divided = self._binning.cells(angle_deg)
        # Of segments that may have several cells, pixels go one by one.
        whole, places = ~divided, self._places(divided)
        layers = []
        if quick_n:
            layers.append((self._adding_up @ quick, quick[pixels[places]]))
        if counted is not None:
            layers.append((self._of_segments(counted), counted[places]))
        photons = [sum(parts) for parts in zip(*layers, strict=True)]
        # One flux for all pixels is multiplied last, which is exact too.
        same = np.ndim(flux) == 0
        weights = [
            (of_segments, weight[places]) if same else (self._of_segments(weight * flux), (weight * flux)[places])
            for of_segments, weight in self._weights
        ]
        begins = np.flatnonzero(np.diff(cells, prepend=cells[:1] - 1))
        own = np.concatenate([cells[begins], self._binning.cells_at(angle_deg, places)])
        kept = own >= 0
        sums = [
            np.concatenate([np.add.reduceat(of_segments * whole, begins, dtype=np.int64), of_pixels])[kept]
            for of_segments, of_pixels in [photons, *weights]
        ]
        with self._lock:
            for k, values in enumerate(sums):
                np.add.at(self._sums[k], own[kept], values * flux if same and k else values)

    def _of_segments(self, values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, self._binning.begins, dtype=np.int64)

    def _places(self, divided: np.ndarray) -> np.ndarray:
        """Return where among the pixels those of some segments are."""
        begins = self._binning.begins
        lengths = np.diff(begins, append=len(self._binning.pixels))[divided]
        ends = np.cumsum(lengths)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins[divided] - (ends - lengths), lengths)

    def _add_plain(self, frame: np.ndarray, first: bool) -> bool:
        """Add a frame in 32 bits, if all pixels that are used have counts that are small enough for it."""
        if frame.dtype.itemsize > 4 or self._largest < 0:
            return False
        limit = min(self._largest + 1, _LARGE)
        unsigned = frame.view(f"u{frame.dtype.itemsize}")
        for start in range(0, len(frame), _ROWS):
            rows = slice(start, start + _ROWS)
            own, total = unsigned[rows], self._quick[rows]
            # What is looked at and added in pieces comes from memory once.
            if ((own >= limit) & self._used[rows]).any():
                if not first:
                    self._quick[:start] -= unsigned[:start]
                return False
            if first:
                total[...] = own
            else:
                total += own
        return True


_worker: _Worker


def _set_up(*arguments: Any) -> None:
    global _worker
    _keep_memory()
    _worker = _Worker(*arguments)


def _keep_memory() -> None:
    """Let memory that is freed stay with this process, up to 256 MB.

    By default glibc gives back large arrays at once, such as a frame of 18 MB and what it is decompressed into, and
    gets them anew page by page for the next frame, which takes a third of the time of merging.
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have other ways
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, size in ((_M_TRIM_THRESHOLD, 1 << 28), (_M_MMAP_THRESHOLD, 1 << 26)):
            mallopt(parameter, size)


def _work(groups: Sequence[np.ndarray]) -> None:
    _worker(groups)


def _whole(values: np.ndarray, unit: int) -> np.ndarray:
    return np.rint(np.nan_to_num(values, posinf=0.0) * unit).astype(np.int64)


@contextlib.contextmanager
def _sums(checkpoint: Path, shape: tuple[int, int]) -> Iterator[tuple[Path, np.ndarray]]:
    """Give a file of zeros that processes share as memory, and its content; it is gone at the end."""
    path, fresh = (checkpoint.with_name(f".{checkpoint.name}.{kind}") for kind in ("sums", "fresh"))
    busy = ResourceError(f"{checkpoint}: another process is merging into it; wait for it, or end it")
    try:
        with contextlib.ExitStack() as stack:
            with open(path, "a+b") as old:
                _lock(old, busy)
                if not (path.exists() and os.path.samestat(os.fstat(old.fileno()), path.stat())):
                    raise busy
                # Processes of a merge that was killed may outlive it a little, and still add to the old file.
                stack.callback(fresh.unlink, missing_ok=True)
                file = stack.enter_context(open(fresh, "wb"))
                _lock(file, busy)
                # With a hole in it, a full disk would kill the process.
                os.posix_fallocate(file.fileno(), 0, 8 * shape[0] * shape[1])
                os.replace(fresh, path)
                stack.callback(path.unlink, missing_ok=True)
            yield path, np.memmap(path, np.int64, "r+", shape=shape)
    except OSError as error:
        raise write_error(path, error) from None


def _lock(file: BinaryIO, busy: ResourceError) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None


def _save(checkpoint: Path, digest: str, sums: np.ndarray, done: np.ndarray) -> None:
    with new_hdf5(checkpoint, MERGE_CHECKPOINT, {}) as file:
        file.attrs["work"] = digest
        file["done"] = done
        file.create_dataset("sums", data=sums, chunks=(1, min(1 << 20, sums.shape[1])), compression="lzf", shuffle=True)


def _resume(checkpoint: Path, digest: str, sums: np.ndarray, n: int) -> np.ndarray:
    if not checkpoint.exists():
        return np.zeros(n, dtype=bool)
    with open_hdf5(checkpoint) as file:
        if kind_of_open(file) is not MERGE_CHECKPOINT or file.attrs.get("work") != digest:
            raise InputError(
                f"{checkpoint}: belongs to other frames or settings; remove it, or give another name with -o"
            )
        file["sums"].read_direct(sums)
        return file["done"][:].astype(bool)


def _digest(scan: Scan, target: Target, corrections: Corrections) -> str:
    """Return what tells one piece of work from another."""
    detector, sha = scan.detector, hashlib.sha256()
    facts = [
        scan.series.name, scan.series.n, str(scan.series.dtype), scan.series.invalid, *detector.shape,
        *detector.pixel_m, detector.distance_m, detector.wavelength_nm, *detector.beam_centre_px,
        asdict(corrections), type(target).__name__, scan.background_frames,
    ]  # fmt: skip
    sha.update(json.dumps(facts, default=repr).encode())
    # Other files may have taken the place of those of the same names.
    sha.update(np.ascontiguousarray(next(iter(scan.series.read([0])))).tobytes())
    arrays = [scan.angles_deg, scan.good, scan.flux, scan.background, *vars(target).values()]
    for array in arrays:
        sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()

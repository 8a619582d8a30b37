"""Detector frames merged into voxels or points of spheres, in parallel, in bounded memory, and so that it can go on.

A cell collects the photons N of all pixels and frames that see it, and what they should have seen of unit intensity:
w = Σ efficiency × flux. Its intensity is N / w, the estimate of maximum likelihood for Poisson counts, less the
background; the variance is N / w², with N at least 1. Sums are kept in whole numbers, so that they do not depend on the
order in which frames come: the same bits come out on any number of processes, and after any number of stops.
"""

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.detector import Detector
from simsc.core.errors import InputError, ResourceError, StoppedEarly
from simsc.core.files import new_hdf5, open_hdf5, write_error
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.experiment.frames import FrameSeries
from simsc.experiment.targets import ShellTarget, Target, VoxelTarget

_EFFICIENCY, _FLUX = 1 << 20, 1 << 16  # units of the fixed-point numbers
_LARGE = 1 << 27  # counts below it are added up in 32 bits, up to _SAFE frames
_SAFE = 32
_ANGLES_A_TASK = 2
_CHECKPOINT_S = 60.0
_CHECKPOINT = "simsc merging 1"


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
        progress: is told how many angles are done, and of how many.
        stop: is asked now and then whether to stop at a checkpoint.

    Raises:
        InputError: if a frame cannot be read, nothing reaches the target, or the checkpoint belongs to other work.
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
        context = multiprocessing.get_context("spawn")
        lock = context.Lock()
        arguments = (scan, target, corrections, path, sums.shape, lock)
        pool = ProcessPoolExecutor(max(1, min(jobs, len(tasks))), context, _begin, arguments)
        try:
            saved_s = time.monotonic()
            running: dict[Future[None], np.ndarray] = {}
            while tasks or running:
                if stop is not None and stop():
                    tasks.clear()
                while tasks and len(running) < 2 * jobs:
                    running[pool.submit(_work, [groups[k] for k in tasks[0]])] = tasks[0]
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
        except BrokenProcessPool:
            raise ResourceError(
                "a process that merged frames was killed, perhaps for want of memory; start again with fewer --jobs"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
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


class _Worker:
    """What a process needs to merge frames."""

    def __init__(
        self, scan: Scan, target: Target, corrections: Corrections, path: Path, shape: tuple[int, int], lock: Any
    ) -> None:
        good = scan.good
        self._scan, self._lock = scan, lock
        self._binning = target.binning(scan.detector, good)
        pixels = self._binning.pixels
        self._sums = np.memmap(path, np.int64, "r+", shape=shape)
        self._quick = np.empty(scan.series.shape, dtype=np.uint32)
        self._efficiency = _whole(corrections.efficiency(scan.detector).ravel()[pixels], _EFFICIENCY)
        self._flux = _whole(scan.relative_flux, _FLUX)
        self._background = None
        if scan.background is not None:
            self._background = _whole(scan.background.ravel()[pixels], _EFFICIENCY)
        self._unused = np.flatnonzero(~np.isin(np.arange(good.size), pixels, kind="table"))
        dtype = scan.series.dtype
        if dtype.kind not in "ui":
            raise InputError(f"{scan.series.name}: counts must be whole numbers, not {dtype}")
        largest = np.iinfo(dtype).max if scan.series.invalid is None else scan.series.invalid - 1
        self._largest = int(largest)

    def __call__(self, numbers: np.ndarray) -> None:
        """Add the frames of some numbers, all at one angle."""
        pixels = self._binning.pixels
        if len(pixels) == 0:
            return
        photons: np.ndarray | None = None
        flux: np.ndarray | int = 0
        quick, quick_n = self._quick, 0
        for number, frame in zip(numbers.tolist(), self._scan.series.read(numbers.tolist()), strict=True):
            if quick_n < _SAFE and self._is_plain(frame):
                counted = frame.view(f"u{frame.dtype.itemsize}")
                if quick_n == 0:
                    quick[...] = counted
                else:
                    quick += counted
                quick_n += 1
                flux = flux + self._flux[number]
                continue
            counts = frame.ravel()[pixels].astype(np.int64)
            valid = (counts >= 0) & (counts <= self._largest)
            counts = np.where(valid, counts, 0)
            photons = counts if photons is None else photons + counts
            flux = flux + self._flux[number] * valid
        if quick_n:
            plain = quick.ravel().take(pixels)
            photons = plain if photons is None else photons + plain
        assert photons is not None
        cells = self._binning.cells(float(self._scan.angles_deg[numbers[0]]))
        begins = np.concatenate([[0], np.flatnonzero(cells[1:] != cells[:-1]) + 1])
        own = cells[begins]
        kept = own >= 0
        # One number for all pixels is multiplied last, which is exact too.
        same = np.ndim(flux) == 0
        layers = [photons, self._efficiency if same else self._efficiency * flux]
        if self._background is not None:
            layers.append(self._background if same else self._background * flux)
        runs = [np.add.reduceat(layer, begins, dtype=np.int64)[kept] for layer in layers]
        with self._lock:
            for k, run in enumerate(runs):
                np.add.at(self._sums[k], own[kept], run * flux if same and k else run)

    def _is_plain(self, frame: np.ndarray) -> bool:
        """Tell whether all pixels that are used have counts, and so small ones that they can be added in 32 bits."""
        if frame.dtype.itemsize > 4 or self._largest < 0:
            return False
        unsigned = frame.view(f"u{frame.dtype.itemsize}")
        limit = min(self._largest + 1, _LARGE)
        return np.count_nonzero(unsigned >= limit) == np.count_nonzero(unsigned.ravel()[self._unused] >= limit)


_worker: _Worker


def _begin(*arguments: Any) -> None:
    global _worker
    _worker = _Worker(*arguments)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent does, however it ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(groups: Sequence[np.ndarray]) -> None:
    for numbers in groups:
        _worker(numbers)


def _whole(values: np.ndarray, unit: int) -> np.ndarray:
    return np.rint(np.nan_to_num(values, posinf=0.0) * unit).astype(np.int64)


@contextlib.contextmanager
def _sums(checkpoint: Path, shape: tuple[int, int]) -> Iterator[tuple[Path, np.ndarray]]:
    """Give a file of zeros that processes share as memory, and its content; it is gone at the end."""
    path = checkpoint.with_name(f".{checkpoint.name}.sums")
    try:
        file = open(path, "a+b")  # noqa: SIM115, closed by the with below
    except OSError as error:
        raise write_error(path, error) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(f"{checkpoint}: another process is merging into it; wait for it, or end it") from None
        try:
            file.truncate(0)
            # With a hole in it, a full disk would kill the process.
            os.posix_fallocate(file.fileno(), 0, 8 * shape[0] * shape[1])
            yield path, np.memmap(path, np.int64, "r+", shape=shape)
        except OSError as error:
            raise write_error(path, error) from None
        finally:
            path.unlink(missing_ok=True)


def _save(checkpoint: Path, digest: str, sums: np.ndarray, done: np.ndarray) -> None:
    with new_hdf5(checkpoint, _CHECKPOINT, {}) as file:
        file.attrs["work"] = digest
        file["done"] = done
        file.create_dataset("sums", data=sums, chunks=(1, min(1 << 20, sums.shape[1])), compression="lzf", shuffle=True)


def _resume(checkpoint: Path, digest: str, sums: np.ndarray, n: int) -> np.ndarray:
    if not checkpoint.exists():
        return np.zeros(n, dtype=bool)
    with open_hdf5(checkpoint) as file:
        if file.attrs.get("format") != _CHECKPOINT or file.attrs.get("work") != digest:
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

"""A virtual scan as files, laid out as an EIGER's own: a master file, and files of frames that it links to.

The layout is that of the HDF5 files of DECTRIS EIGER detectors: `entry/data/data_000001` … in files of their own,
bitshuffle and LZ4 compressed, the largest number of the type in pixels that do not count, geometry in
`entry/instrument/detector`, and the angles in `entry/sample/goniometer/omega`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from simsc.core.errors import InputError
from simsc.core.processes import lost, pool
from simsc.core.superlattice import Superlattice
from simsc.core.units import photon_energy_kev
from simsc.io.hdf5 import new_hdf5, open_hdf5, streamed_hdf5
from simsc.io.kinds import SIMULATED_FRAMES, SIMULATED_SCAN
from simsc.scattering.beamline import Beamline, VirtualScan
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel

ANGLES_A_FILE = 20
GAP, DEAD = 1, 2  # bits of the pixel mask


def write_scan(
    frames: Superlattice | Iterable[Superlattice],
    beamline: Beamline,
    folder: Path,
    name: str = "scan",
    seed: int = 1,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    *,
    scattering: ScatteringModel = SHARP_SPHERES,
    bits: int = 32,
) -> Path:
    """Simulate a rotation scan and write its frames.

    A call that was stopped goes on where it was: files of frames are whole or absent, and those that are there stay.
    The same seed gives the same photons, however often the work was stopped and on however many processes.

    Args:
        frames: NPs with radii, one crystal or several, whose mean is seen.
        beamline: what is measured, and how.
        folder: where the files go; it is made if need be.
        name: what the names of the files begin with.
        seed: of the photons.
        jobs: processes.
        progress: called with how many angles are done, and of how many.
        scattering: form and thermal motion; the resolution is the blur of the beamline. Default spheres that stand
            still.
        bits: 16 or 32 of a count; counts are cut at the largest but one.

    Returns:
        The master file, which is written last.

    Raises:
        InputError: for a name with a slash, bits that an EIGER has not, or if the folder holds another such scan.
        ResourceError: if the disk is full, or a process was killed.
    """
    several = [frames] if isinstance(frames, Superlattice) else list(frames)
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"the name of a scan must be one of a file, got {name!r}")
    if bits not in (16, 32):
        raise InputError(f"an EIGER counts in 16 or 32 bits, got {bits}")
    if folder.is_file():
        raise InputError(f"{folder}: is a file; frames need a folder of their own")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from None
    digest = _digest(several, beamline, seed, scattering, bits)
    n = len(beamline.angles_deg)
    blocks = [range(k, min(k + ANGLES_A_FILE, n)) for k in range(0, n, ANGLES_A_FILE)]
    paths = [folder / f"{name}_data_{k + 1:06d}.h5" for k in range(len(blocks))]
    missing = [k for k, path in enumerate(paths) if not _is_there(path, digest)]
    done = n - sum(len(blocks[k]) for k in missing)
    task = (several, beamline, scattering, seed, bits, digest)
    running: dict[Future[None], int] = {}

    def at_work() -> str:
        angles_deg = [float(beamline.angles_deg[k]) for block in lost(running, jobs) for k in blocks[block]]
        return f"frames at {angles_deg[0]:g}° to {angles_deg[-1]:g}°" if angles_deg else ""

    with pool(max(1, min(jobs, len(missing))), at_work, _set_up, task) as processes:
        for k in missing:
            running[processes.submit(_write_block, paths[k], blocks[k])] = k
        while running:
            if progress is not None:
                progress(done, n)
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                done += len(blocks[running.pop(future)])
    if progress is not None:
        progress(n, n)
    master = folder / f"{name}_master.h5"
    _write_master(master, paths, blocks, beamline, bits, digest)
    return master


_own: tuple[VirtualScan, int, int, str]  # of a process of the pool


def _set_up(
    frames: list[Superlattice], beamline: Beamline, scattering: ScatteringModel, seed: int, bits: int, digest: str
) -> None:
    global _own
    _own = (VirtualScan(frames, beamline, scattering), seed, bits, digest)


def _write_block(path: Path, angles: range) -> None:
    scan, seed, bits, digest = _own
    beamline = scan.beamline
    shape = beamline.detector.shape
    dtype = np.dtype(f"u{bits // 8}")
    invalid = np.iinfo(dtype).max
    assert beamline.gaps is not None
    assert beamline.dead is not None
    absent = beamline.gaps | beamline.dead
    with streamed_hdf5(path, SIMULATED_FRAMES, {}) as file:
        data = file.create_dataset(
            "entry/data/data",
            (len(angles) * beamline.repeats, *shape),
            dtype,
            chunks=(1, *shape),
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for k, angle in enumerate(angles):
            counts = scan.counted(float(beamline.angles_deg[angle]), np.random.default_rng([seed, angle]))
            counts = np.minimum(counts, invalid - 1).astype(dtype)
            counts[:, absent] = invalid
            for repeat, frame in enumerate(counts):
                data[k * beamline.repeats + repeat] = frame
        first = angles[0] * beamline.repeats + 1
        data.attrs["image_nr_low"], data.attrs["image_nr_high"] = first, first + len(data) - 1
        file.attrs["scan"] = digest


def _write_master(
    path: Path, paths: list[Path], blocks: list[range], beamline: Beamline, bits: int, digest: str
) -> None:
    detector, repeats = beamline.detector, beamline.repeats
    assert beamline.gaps is not None
    assert beamline.dead is not None
    with new_hdf5(path, SIMULATED_SCAN, {"scan": digest}) as file:
        entry = _group(file, "entry", "NXentry")
        data = _group(entry, "data", "NXdata")
        for k, link in enumerate(paths):
            data[f"data_{k + 1:06d}"] = h5py.ExternalLink(link.name, "entry/data/data")
        instrument = _group(entry, "instrument", "NXinstrument")
        device = _group(instrument, "detector", "NXdetector")
        special = _group(device, "detectorSpecific", "NXcollection")
        _put(_group(instrument, "beam", "NXbeam"), "incident_wavelength", 10 * detector.wavelength_nm, "angstrom")
        row, column = detector.beam_centre_px
        for name, value, unit in (
            ("beam_center_x", column, "pixel"),
            ("beam_center_y", row, "pixel"),
            ("detector_distance", detector.distance_m, "m"),
            ("x_pixel_size", detector.pixel_m[1], "m"),
            ("y_pixel_size", detector.pixel_m[0], "m"),
            ("count_time", 1.0, "s"),
            ("frame_time", 1.0, "s"),
        ):
            _put(device, name, value, unit)
        device["bit_depth_image"] = bits
        device["description"] = "simsc virtual EIGER"
        _put(special, "photon_energy", 1e3 * photon_energy_kev(detector.wavelength_nm), "eV")
        special["nimages"], special["ntrigger"] = repeats, sum(len(block) for block in blocks)
        special["y_pixels_in_detector"], special["x_pixels_in_detector"] = detector.shape
        mask = np.where(beamline.gaps, GAP, 0) | np.where(beamline.dead, DEAD, 0)
        special.create_dataset("pixel_mask", data=mask.astype(np.uint32), compression="gzip")
        goniometer = _group(_group(entry, "sample", "NXsample"), "goniometer", "NXcollection")
        _put(goniometer, "omega", np.repeat(beamline.angles_deg, repeats), "degree")


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _put(group: h5py.Group, name: str, value: Any, unit: str) -> None:
    group[name] = value
    group[name].attrs["units"] = unit


def _is_there(path: Path, digest: str) -> bool:
    if not path.exists():
        return False
    with open_hdf5(path) as file:
        if file.attrs.get("scan") != digest:
            raise InputError(f"{path}: holds frames of another scan; give another folder or name, or remove them")
    return True


def _digest(frames: list[Superlattice], beamline: Beamline, seed: int, scattering: ScatteringModel, bits: int) -> str:
    """Return what tells one scan from another."""
    sha = hashlib.sha256()
    detector = beamline.detector
    facts = {
        "detector": [*detector.shape, *detector.pixel_m, detector.distance_m, detector.wavelength_nm],
        "beam": [
            *detector.beam_centre_px,
            beamline.photons,
            beamline.beamstop_inv_nm,
            beamline.blur_inv_nm,
            beamline.repeats,
        ],
        "background": asdict(beamline.background),
        "rest": [seed, repr(scattering.form), scattering.sigma_nm, bits],
    }
    sha.update(json.dumps(facts, sort_keys=True).encode())
    arrays = [beamline.gaps, beamline.dead, beamline.angles_deg]
    for frame in frames:
        arrays += [frame.positions_nm, frame.radii_nm, frame.orientations]
    for array in arrays:
        sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()

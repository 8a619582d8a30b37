"""Small files of detector frames: an EIGER master with its data files, CBF of a PILATUS, the log of a scan."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from fabio.cbfimage import CbfImage

SHAPE = (7, 5)
SPECIFIC = "entry/instrument/detector/detectorSpecific/"
FIO = """!
! Comments
%c
scan on m_omega
%p
exposure = 1.0
%d
 Col 1 omega DOUBLE
 Col 2 current DOUBLE
 0.0 99.1
 0.5 99.9
 1.0 98.7
"""
HEADER = """# Detector: PILATUS 300K
# Pixel_size 172e-6 m x 175e-6 m
# Exposure_time 0.997 s
# Wavelength 1.24 A
# Detector_distance 4.987 m
# Beam_xy (2.40, 3.10) pixels
# Start_angle {start:.4f} deg.
# Angle_increment 0.5000 deg."""


def frames(n: int, dtype="u4", seed: int = 0) -> np.ndarray:
    """Return n frames of small counts (n, 7, 5)."""
    return np.random.default_rng(seed).integers(0, 100, (n, *SHAPE)).astype(dtype)


def write_eiger(folder: Path, dtype: str = "u4", counts: tuple[int, ...] = (4, 2), mask: bool = True) -> Path:
    """Write a master and data files in the layout of the detector, one fact after the other."""
    master = folder / "run_master.h5"
    data = frames(sum(counts), dtype)
    if np.dtype(dtype).kind == "u":
        data[:, 2] = np.iinfo(dtype).max
    with h5py.File(master, "w") as file:
        begin = 0
        for k, n in enumerate(counts, 1):
            name = f"run_data_{k:06d}.h5"
            with h5py.File(folder / name, "w") as part:
                part.create_dataset(
                    "entry/data/data", data=data[begin : begin + n], chunks=(1, *SHAPE),
                    compression=hdf5plugin.Bitshuffle(cname="lz4"),
                )  # fmt: skip
            file[f"entry/data/data_{k:06d}"] = h5py.ExternalLink(name, "entry/data/data")
            begin += n
        detector = file.create_group("entry/instrument/detector")
        for key, value in {
            "beam_center_x": 2.25, "beam_center_y": 3.5, "detector_distance": 5.0, "x_pixel_size": 75e-6,
            "y_pixel_size": 80e-6, "count_time": 0.99, "detectorSpecific/nimages": 2,
            "detectorSpecific/ntrigger": sum(counts) // 2, "detectorSpecific/photon_energy": 10000.0,
            "detectorSpecific/x_pixels_in_detector": SHAPE[1], "detectorSpecific/y_pixels_in_detector": SHAPE[0],
        }.items():  # fmt: skip
            detector[key] = value
        if mask:
            pixels = np.zeros(SHAPE, dtype="u4")
            pixels[2] = 1
            detector["detectorSpecific/pixel_mask"] = pixels
        file["entry/instrument/beam/incident_wavelength"] = 1.24
        file["entry/sample/goniometer/omega"] = np.arange(sum(counts) // 2) * 0.5
        file["entry/sample/goniometer/omega_end"] = np.arange(sum(counts) // 2) * 0.5 + 0.2
        file["entry/sample/goniometer/chi"] = np.zeros(sum(counts) // 2)
    return master


def change(master: Path, key: str, value=None, **attributes) -> None:
    """Set a value or attributes in a master."""
    with h5py.File(master, "r+") as file:
        if value is not None:
            if key in file:
                del file[key]
            file[key] = value
        file[key].attrs.update(attributes)


def every_frame(series) -> np.ndarray:
    """Return all frames of a series (n, rows, columns)."""
    return np.array(list(series.read(list(range(series.n)))))


def write_cbf(folder: Path, n: int = 3) -> np.ndarray:
    """Write frames as a PILATUS does, ball_8.cbf and on, and return them."""
    data = frames(n, "i4")
    data[:, 1, 1] = -1
    for k, frame in enumerate(data):
        image = CbfImage(data=frame)
        image.header["_array_data.header_contents"] = HEADER.format(start=0.5 * k).replace("\n", "\r\n")
        image.header["_array_data.header_convention"] = "SLS_1.0"
        image.write(str(folder / f"ball_{k + 8}.cbf"))
    return data

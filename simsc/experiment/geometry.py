"""Where the detector stood and which pixels count: from the files of a scan, and from what the user adds."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.detector import Detector
from simsc.core.errors import InputError, SimscWarning
from simsc.core.units import wavelength_nm
from simsc.experiment.angles import angles_of_frames, read_angles
from simsc.experiment.bragg import CentreShift, centre_shift, find_peaks
from simsc.experiment.frames import FrameSeries
from simsc.experiment.image_frames import read_image
from simsc.experiment.merge import Merged, Scan

_FAR_PX = 50.0  # between beam centres: farther than anybody refines by hand, nearer than rows and columns exchanged
_MANY, _NEARLY = 20, 0.03  # angles; of half a turn or a whole one
_AGREE = 1e-3  # relative difference between a file and the user that is worth a word


@dataclass(frozen=True)
class GeometryOverrides:
    """What the user says of the geometry instead of the files; None leaves it to them.

    Args:
        distance_m: from sample to detector, m.
        energy_kev: photon energy, keV.
        pixel_m: height and width of a pixel, m.
        beam_centre_px: row and column.
    """

    distance_m: float | None = None
    energy_kev: float | None = None
    pixel_m: tuple[float, float] | None = None
    beam_centre_px: tuple[float, float] | None = None


def detector_of(series: FrameSeries, overrides: GeometryOverrides) -> Detector:
    """Return the detector; what the user gives goes before what the files state.

    Raises:
        InputError: if something that is needed is neither given nor stated.

    Warns:
        SimscWarning: where the two differ.
    """
    if overrides.energy_kev is not None and not 0 < overrides.energy_kev < np.inf:
        raise InputError(f"--energy {overrides.energy_kev:g}: the photon energy must be positive (keV)")
    energy = None if overrides.energy_kev is None else wavelength_nm(overrides.energy_kev)
    values: dict[str, Any] = {}
    differing = []
    for name, option, own, user in (
        ("the distance of the detector", "--distance", series.distance_m, overrides.distance_m),
        ("the wavelength", "--energy", series.wavelength_nm, energy),
        ("the size of pixels", "--pixel", series.pixel_m, overrides.pixel_m),
        ("the beam centre", "--beam-centre", series.beam_centre_px, overrides.beam_centre_px),
    ):
        if own is None and user is None:
            raise InputError(f"{series.name}: does not tell {name}; give it with {option}")
        if own is not None and user is not None:
            mine, theirs = np.atleast_1d(np.array(user)), np.atleast_1d(np.array(own))
            # The beam centre is often refined by hand, but by pixels and not by hundreds.
            relative, absolute = (0.0, _FAR_PX) if option == "--beam-centre" else (_AGREE, 0.0)
            if not np.allclose(mine, theirs, relative, absolute):
                differing.append(
                    f"{series.name}: has {name} as {_shown(theirs, option)}, {option} says {_shown(mine, option)}"
                )
        values[option] = own if user is None else user
    detector = Detector(
        series.shape, values["--pixel"], values["--distance"], values["--energy"], values["--beam-centre"]
    )
    for text in differing:
        warnings.warn(text, SimscWarning, stacklevel=2)
    return detector


def _shown(values: np.ndarray, option: str) -> str:
    """Return what an option stands for, with its unit: wavelengths in nm, sizes of pixels in µm."""
    factor, unit = {"--distance": (1, "m"), "--energy": (1, "nm"), "--pixel": (1e6, "µm"), "--beam-centre": (1, "px")}[
        option
    ]
    return " ".join(f"{factor * value:.5g}" for value in values) + f" {unit}"


def angles_of(series: FrameSeries, given_deg: np.ndarray | None) -> np.ndarray:
    """Return the angle of each frame (n,), degrees; those that the user gives go before those of the files.

    Raises:
        InputError: if they are neither given nor stated, or their number does not fit.
    """
    if given_deg is not None:
        span = float(np.ptp(given_deg))
        if len(given_deg) > _MANY and any(abs(span / turn - 1) < _NEARLY for turn in (np.pi, 2 * np.pi)):
            warnings.warn(
                f"{series.name}: {len(given_deg)} angles span {span:.4g}°, as if they were radians; "
                "--angles are degrees",
                SimscWarning,
                stacklevel=2,
            )
        return angles_of_frames(given_deg, series.n, series.name)
    if series.angles_deg is None:
        raise InputError(
            f"{series.name}: does not tell the angles of the sample; give --angles FILE, or --angles START:STEP"
        )
    return series.angles_deg


def flux_of(series: FrameSeries, file: Path | None) -> np.ndarray | None:
    """Return the relative flux of each frame (n,): of a file, one number a frame or angle, else the exposure times.

    None where all frames had the same, as far as anybody knows.

    Raises:
        InputError: if the file cannot be read, or its numbers do not fit.
    """
    if file is not None:
        return angles_of_frames(read_angles(file), series.n, str(file))
    exposure = series.exposure_s
    return None if exposure is None or np.ptp(exposure) == 0 else exposure


def bad_pixels(series: FrameSeries, detector: Detector, mask: Path | None, beamstop_inv_nm: float) -> np.ndarray:
    """Return (rows, columns) bool, what the user excludes: a disc, and what a mask file has other than 0.

    Raises:
        InputError: for a mask of another shape.
    """
    bad = np.linalg.norm(detector.q_inv_nm, axis=-1) < beamstop_inv_nm
    if mask is not None:
        pixels = read_image(mask)
        if pixels.shape != series.shape:
            raise InputError(f"{mask}: has {pixels.shape} pixels, frames have {series.shape} (rows, columns)")
        bad |= pixels != 0
    return bad


def refined_centre(
    merged: Merged, scan: Scan, q_range_inv_nm: tuple[float, float], width_inv_nm: float
) -> tuple[Detector, CentreShift]:
    """Return the detector with a better beam centre, from Friedel pairs of Bragg peaks in a merged volume.

    Raises:
        InputError: if there are too few of them.
    """
    peaks = find_peaks(merged.volume(), q_range_inv_nm, width_inv_nm)
    angles = scan.angles_deg
    shift = centre_shift(peaks, scan.detector, float(angles.min()), float(angles.max()))
    row, column = np.array(scan.detector.beam_centre_px) + shift.shift_px
    return scan.detector.centred_at(float(row), float(column)), shift

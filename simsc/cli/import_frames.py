"""The command `simsc import`: detector frames of a rotation scan, merged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from simsc.cli.console import StageProgress, StopRequest, counting
from simsc.cli.options import (
    JOBS,
    JSON,
    KEV,
    METRES,
    MICROMETRES,
    OUTPUT,
    PATH,
    example,
    gathered,
    origin,
    print_result,
)
from simsc.cli.scattering_options import Q1, asking_for, axis_inv_nm, lines_of_q1, q1_inv_nm, save_map
from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.correlation.maps import FirstSphere, correlation_map, first_sphere
from simsc.experiment.angles import read_angles
from simsc.experiment.bragg import CentreShift
from simsc.experiment.frames import FrameSeries
from simsc.experiment.geometry import GeometryOverrides, angles_of, bad_pixels, detector_of, flux_of, refined_centre
from simsc.experiment.merge import Corrections, Merged, Scan, merge
from simsc.experiment.series import ORIENTATIONS, read_series
from simsc.experiment.targets import ShellTarget, Target, VoxelTarget
from simsc.io.native import write_intensity, write_shells

_CENTRED_PX, _ROUNDS = 0.1, 4
_MOST_RINGS, _PEAK_WIDTH_INV_NM = 540, 0.01
_LITTLE = 0.01  # part of the voxels


@dataclass(frozen=True)
class _Wanted:
    """What frames are merged into: voxels, or spheres and a map of them."""

    q_max_inv_nm: float
    grid: int
    spheres: str | None
    rings: int | None
    map_file: Path | None
    q1: str


@dataclass(frozen=True)
class _Recorded:
    """What was recorded besides the frames: their angles, fluxes and background, and pixels to leave out."""

    angles: str | None
    column: str | None
    turn: str
    mask: Path | None
    beamstop: float
    flux: Path | None
    background: Path | None


@dataclass(frozen=True)
class _Centring:
    """Whether the beam centre is refined, and by peaks of which width."""

    find_centre: bool
    peak_width: float | None


def _geometry(
    distance_m: float | None,
    energy_kev: float | None,
    pixel_um: tuple[float, float] | None,
    beam_centre: tuple[float, float] | None,
) -> GeometryOverrides:
    pixel_m = None if pixel_um is None else (1e-6 * pixel_um[0], 1e-6 * pixel_um[1])
    return GeometryOverrides(distance_m, energy_kev, pixel_m, beam_centre)


def _corrections(solid_angle: bool, polarisation: str, lorentz: bool) -> Corrections:
    return Corrections(solid_angle, _polarisation(polarisation), lorentz)


@click.command(
    "import",
    epilog=example(
        "simsc import scan/scan_master.h5 -o intensity.h5",
        "simsc import scan/scan_master.h5 --spheres 0.4:0.9:0.005 --q1 auto --map map.h5 -o spheres.h5",
        "simsc import 'frames/ball_*.cbf' --angles scan.fio --energy 10 --distance 5 --pixel 172 172 "
        "--beam-centre 1083 1034.5 -o intensity.h5",
    ),
)
@click.argument("frames", type=PATH)
@click.option("--q-max", "q_max_inv_nm", type=float, default=0.9, show_default=True, help="Grid from −q to q, nm⁻¹.")
@click.option("--grid", type=click.IntRange(4, 1024), default=256, show_default=True, help="Voxels an axis.")
@click.option("--spheres", help="first:last:step of |q|, nm⁻¹: merge into spheres instead of voxels.")
@click.option(
    "--rings",
    type=click.IntRange(min=8),
    help="Rings of points on each sphere; the default is 180° over the step of angles, at most 540.",
)
@click.option(
    "--map",
    "map_file",
    type=PATH,
    help="Compute the correlation map of the spheres into this file; without --spheres, of 0.4:0.9:0.005.",
)
@Q1
@click.option("--angles", help="File with the angle of each frame (text or .fio), or START:STEP, degrees.")
@click.option("--column", help="Name of the column in that file; the default is its last, or the one with even steps.")
@click.option("--orientation", "turn", type=click.Choice(ORIENTATIONS), default="right-down", show_default=True,
              help="Where columns and rows of the files go, seen along the beam.")  # fmt: skip
@click.option("--distance", "distance_m", type=METRES, help="From sample to detector, m; default: as in the files.")
@click.option("--energy", "energy_kev", type=KEV, help="Photon energy, keV; default: as in the files.")
@click.option(
    "--pixel",
    "pixel_um",
    type=MICROMETRES,
    nargs=2,
    metavar="HEIGHT WIDTH",
    help="Size of a pixel, µm; default: as in the files.",
)
@click.option(
    "--beam-centre",
    type=float,
    nargs=2,
    metavar="ROW COLUMN",
    help="Where the direct beam falls, pixels; 0 0 is the middle of the first one. Default: as in the files.",
)
@click.option("--find-centre", is_flag=True, help="Refine the beam centre first, by Friedel pairs of Bragg peaks.")
@click.option(
    "--peak-width",
    type=float,
    help="Standard deviation of these peaks, nm⁻¹; the default is 0.01, or more for coarse steps.",
)
@click.option("--mask", type=PATH, help="Image or .npy, not 0 where a pixel is to be left out.")
@click.option("--beamstop", type=float, default=0.0, show_default=True, help="Leave out |q| below this, nm⁻¹.")
@click.option(
    "--solid-angle/--no-solid-angle", default=True, show_default=True, help="Correct for the solid angle of each pixel."
)
@click.option("--polarisation", default="1", show_default=True, help="Horizontal part, 0 … 1, or none: no correction.")
@click.option(
    "--lorentz",
    is_flag=True,
    help="Apply the Lorentz factor. A mean over what falls into a voxel, as here, needs none: leave it off.",
)
@click.option(
    "--flux", type=PATH, help="Text file with the flux of each frame, or of each angle; default: exposure times."
)
@click.option("--background", type=PATH, help="Frames without the sample, whose mean is subtracted.")
@JOBS
@OUTPUT
@JSON
@gathered("wanted", _Wanted)
@gathered("recorded", _Recorded)
@gathered("geometry", _geometry)
@gathered("centring", _Centring)
@gathered("corrections", _corrections)
def import_frames(
    frames: Path,
    wanted: _Wanted,
    recorded: _Recorded,
    geometry: GeometryOverrides,
    centring: _Centring,
    corrections: Corrections,
    jobs: int | None,
    output: Path,
    as_json: bool,
) -> None:
    """Merge the detector FRAMES of a rotation scan into an intensity volume, or into spheres and a correlation map.

    FRAMES is an EIGER master file, a NeXus file (NXmx), a folder of images, or a pattern such as 'scan_*.cbf'. What was
    not measured stays unmeasured. Stopped with Ctrl-C or killed, the same command goes on from its last checkpoint.
    """
    map_file = wanted.map_file
    if map_file is not None and map_file.absolute() == output.absolute():
        raise InputError(f"--map {map_file}: is what -o writes already; the map needs a file of its own")
    spheres = "0.4:0.9:0.005" if map_file is not None and wanted.spheres is None else wanted.spheres
    q = None if spheres is None else axis_inv_nm("--spheres", spheres)
    given = q1_inv_nm(wanted.q1)
    scan = _scan(frames, recorded, geometry)
    stop = StopRequest()
    # Of frames at the same angle there may be several.
    step_deg = float(np.diff(np.unique(scan.angles_deg.round(6))).max(initial=0.0))
    facts: dict[str, Any] = {"frames": scan.series.name}
    printed: dict[str, Any] = {"output": output, "frames": scan.series.n}
    lines = []
    checkpoint = output.with_name(f".{output.name}.merging")
    with StageProgress() as show:

        def merged(scan: Scan, target: Target, stage: str, checkpoint: Path) -> Merged:
            step = counting(show, stage, "angle")
            return merge(scan, target, checkpoint, corrections, jobs or available_cores(), step, lambda: stop(0.0))

        if centring.find_centre:
            coarse, width_inv_nm = _for_centring(scan, wanted.q_max_inv_nm, step_deg, centring.peak_width)

            def coarsely(scan: Scan, number: int) -> Merged:
                own = output.with_name(f".{output.name}.centre{number}")
                volume = merged(scan, coarse, f"centre {number}", own)
                own.unlink()
                return volume

            scan, shift = _centred(scan, recorded, coarsely, coarse.q_max_inv_nm, width_inv_nm)
            # What it moved by at last is not less than what is still wrong.
            errors = np.hypot(shift.standard_errors_px, shift.shift_px)
            facts["centre_errors_px"] = errors.tolist()
            row, column = scan.detector.beam_centre_px
            printed |= {"beam_centre_px": [row, column], "beam_centre_errors_px": errors, "pairs": shift.n_pairs}
            lines.append(
                f"beam centre: row {row:.2f} ± {errors[0]:.2f}, column {column:.2f} ± {errors[1]:.2f} "
                f"({shift.n_pairs} Friedel pairs)"
            )
        target = _target(wanted, q, step_deg)
        result = merged(scan, target, "merge", checkpoint)
    farthest = float(np.linalg.norm(scan.detector.q_inv_nm, axis=-1)[scan.good].max())
    if farthest < (wanted.q_max_inv_nm if q is None else q[-1]):
        click.echo(f"simsc: note: the detector reaches to {farthest:.3g} nm⁻¹ only", err=True)
    facts |= _record(scan, corrections)
    more, line = _write(output, result, scan, facts)
    printed, lines = printed | more, [*lines, line]
    checkpoint.unlink(missing_ok=True)
    if map_file is not None:
        of_map, map_lines = _write_map(output, map_file, given, facts)
        printed, lines = printed | of_map, lines + map_lines
    print_result(as_json, printed, *lines)


def _scan(frames: Path, recorded: _Recorded, geometry: GeometryOverrides) -> Scan:
    """Return the frames with all that was recorded of them."""
    series = read_series(frames, recorded.turn)
    detector = detector_of(series, geometry)
    flux = flux_of(series, recorded.flux)
    shade, shade_frames = _background(recorded.background, recorded.turn, series.shape)
    angles_deg = angles_of(series, _given_angles(recorded.angles, recorded.column, series.n))
    bad = _bad(series, detector, recorded)
    return Scan(series, detector, angles_deg, bad, flux, shade, shade_frames)


def _bad(series: FrameSeries, detector: Detector, recorded: _Recorded) -> np.ndarray:
    return bad_pixels(series, detector, recorded.mask, recorded.beamstop)


def _target(wanted: _Wanted, q_inv_nm: np.ndarray | None, step_deg: float) -> VoxelTarget | ShellTarget:
    """Return what frames at angles that lie some step apart are merged into."""
    if q_inv_nm is None:
        return VoxelTarget(wanted.q_max_inv_nm, wanted.grid)
    width = float(q_inv_nm[1] - q_inv_nm[0]) if len(q_inv_nm) > 1 else 0.005
    rings = wanted.rings
    if rings is None:
        rings = _MOST_RINGS if step_deg == 0 else int(np.clip(round(180 / step_deg), 8, _MOST_RINGS))
    return ShellTarget(q_inv_nm, width, rings, 2 * rings)


def _for_centring(
    scan: Scan, q_max_inv_nm: float, step_deg: float, peak_width: float | None
) -> tuple[VoxelTarget, float]:
    """Return coarse voxels for the search of the beam centre, and the width of peaks in them, nm⁻¹."""
    detector = scan.detector
    reach = min(q_max_inv_nm, float(np.linalg.norm(detector.q_inv_nm, axis=-1)[scan.good].max()))
    # Voxels no smaller than pixels, or than frames lie apart at half the reach: holes would be left.
    pixel = detector.wavenumber_inv_nm * max(detector.pixel_m) / detector.distance_m
    voxel = max(1.3 * pixel, 0.5 * reach * float(np.radians(step_deg)))
    coarse = VoxelTarget(reach, min(256, int(2 * reach / voxel)))
    return coarse, peak_width or max(_PEAK_WIDTH_INV_NM, 0.7 * voxel)


def _centred(
    scan: Scan, recorded: _Recorded, coarsely: Callable[[Scan, int], Merged], reach_inv_nm: float, width_inv_nm: float
) -> tuple[Scan, CentreShift]:
    """Return the scan about its refined beam centre, and by how much that moved at last."""
    for k in range(1, _ROUNDS + 1):
        detector, shift = refined_centre(coarsely(scan, k), scan, (0.35 * reach_inv_nm, reach_inv_nm), width_inv_nm)
        scan = replace(scan, detector=detector, bad=_bad(scan.series, detector, recorded))
        if float(np.abs(shift.shift_px).max()) < _CENTRED_PX:
            return scan, shift
    click.echo(f"simsc: note: the beam centre still moves by {np.abs(shift.shift_px).max():.2f} px", err=True)
    return scan, shift


def _write(output: Path, merged: Merged, scan: Scan, facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Write merged voxels or spheres, and return what is to be printed of them."""
    target, n = merged.target, scan.series.n
    if isinstance(target, ShellTarget):
        write_shells(output, merged.shells(), origin(**facts))
        n_spheres = len(target.q_inv_nm)
        return {"spheres": n_spheres}, f"{output}: {n} frames, {n_spheres} spheres"
    volume = merged.volume()
    write_intensity(output, volume, origin(**facts))
    part = 1.0 if volume.measured is None else float(volume.measured.mean())
    if part < _LITTLE:
        click.echo(
            "simsc: note: next to nothing was measured; check --energy (keV), --distance (m), --pixel (µm), "
            "--angles (degrees) and --q-max (nm⁻¹), or take fewer voxels (--grid)",
            err=True,
        )
    grid = len(volume.q_axes_inv_nm[0])
    line = f"{output}: {n} frames, {grid}³ voxels, of which {100 * part:.1f} % were measured"
    return {"grid": grid, "measured": part}, line


def _write_map(
    spheres: Path, map_file: Path, q1: float | None, facts: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Write the map of merged spheres, and return what is to be printed of it."""
    with asking_for("--q1", spheres):
        first = first_sphere(spheres) if q1 is None else FirstSphere(q1, "given")
    with StageProgress() as show:
        result = correlation_map(spheres, first.q1_inv_nm, progress=counting(show, "correlate", "q2"))
    of_map, line = save_map(map_file, result, **facts)
    return of_map, [*lines_of_q1(first, result), line]


def _given_angles(text: str | None, column: str | None, n: int) -> np.ndarray | None:
    if text is None:
        return None
    try:
        start, step = (float(part) for part in text.split(":"))
    except ValueError:
        return read_angles(Path(text), column)
    if not (np.isfinite([start, step]).all() and step != 0):
        raise InputError(f"--angles {text!r}: needs START:STEP, two numbers in degrees, or a file")
    return start + step * np.arange(n)


def _polarisation(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"--polarisation {text!r}: needs the horizontal part, 0 … 1, or none")
    return value


def _background(path: Path | None, turn: str, shape: tuple[int, int]) -> tuple[np.ndarray | None, float]:
    """Return the mean of frames without the sample, and how many there are; bad pixels are NaN."""
    if path is None:
        return None, 1.0
    series = read_series(path, turn)
    if series.shape != shape:
        raise InputError(f"{path}: has {series.shape} pixels, the frames {shape}")
    total, seen = np.zeros(shape), np.zeros(shape, dtype=int)
    for frame in series.read(list(range(series.n))):
        valid = (frame >= 0) & (True if series.invalid is None else frame < series.invalid)
        total += np.where(valid, frame, 0)
        seen += valid
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen > 0, total / seen, np.nan), float(series.n)


def _record(scan: Scan, corrections: Corrections) -> dict[str, Any]:
    detector = scan.detector
    return {
        "n_frames": scan.series.n,
        "angles_deg": [float(scan.angles_deg.min()), float(scan.angles_deg.max())],
        "wavelength_nm": detector.wavelength_nm,
        "distance_m": detector.distance_m,
        "pixel_m": list(detector.pixel_m),
        "beam_centre_px": list(detector.beam_centre_px),
        "bad_pixels": int((~scan.good).sum()),
        "solid_angle": corrections.solid_angle,
        "polarisation": corrections.polarisation,
        "lorentz": corrections.lorentz,
        "flux": scan.flux is not None,
        "background": scan.background is not None,
    }

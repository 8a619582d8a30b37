"""The command `simsc import`: detector frames of a rotation scan, merged."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from simsc.cli.console import StageProgress, StopRequest
from simsc.cli.first_peak import peak_of_spheres, told_q1
from simsc.cli.options import (
    JSON,
    KEV,
    METRES,
    MICROMETRES,
    OUTPUT,
    PATH,
    Q1,
    axis_inv_nm,
    example,
    origin,
    q1_inv_nm,
    save_map,
    tell,
)
from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_file
from simsc.experiment.angles import read_angles
from simsc.experiment.geometry import GeometryOverrides, angles_of, bad_pixels, detector_of, flux_of, refined_centre
from simsc.experiment.merge import Corrections, Merged, Scan, merge
from simsc.experiment.series import ORIENTATIONS, read_series
from simsc.experiment.targets import ShellTarget, Target, VoxelTarget
from simsc.io.native import (
    write_intensity,
    write_shells,
)

_CENTRED_PX, _ROUNDS = 0.1, 4
_MOST_RINGS, _PEAK_WIDTH_INV_NM = 540, 0.01
_LITTLE = 0.01  # part of the voxels


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
@click.option("--distance", "distance_m", type=METRES, help="From sample to detector, m; default: as the files tell.")
@click.option("--energy", "energy_kev", type=KEV, help="Photon energy, keV; default: as the files tell.")
@click.option(
    "--pixel",
    "pixel_um",
    type=MICROMETRES,
    nargs=2,
    metavar="HEIGHT WIDTH",
    help="Size of a pixel, µm; default: as the files tell.",
)
@click.option(
    "--beam-centre",
    type=float,
    nargs=2,
    metavar="ROW COLUMN",
    help="Where the direct beam falls, pixels; 0 0 is the middle of the first one. Default: as the files tell.",
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
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; the default is one a core.")
@OUTPUT
@JSON
def import_frames(
    frames: Path,
    q_max_inv_nm: float,
    grid: int,
    spheres: str | None,
    rings: int | None,
    map_file: Path | None,
    q1: str,
    angles: str | None,
    column: str | None,
    turn: str,
    distance_m: float | None,
    energy_kev: float | None,
    pixel_um: tuple[float, float] | None,
    beam_centre: tuple[float, float] | None,
    find_centre: bool,
    peak_width: float | None,
    mask: Path | None,
    beamstop: float,
    solid_angle: bool,
    polarisation: str,
    lorentz: bool,
    flux: Path | None,
    background: Path | None,
    jobs: int | None,
    output: Path,
    as_json: bool,
) -> None:
    """Merge the detector FRAMES of a rotation scan into an intensity volume, or into spheres and a correlation map.

    FRAMES is an EIGER master file, a NeXus file (NXmx), a folder of images, or a pattern such as 'scan_*.cbf'. What was
    not measured stays unmeasured. Stopped with Ctrl-C or killed, the same command goes on from its last checkpoint.
    """
    if map_file is not None and map_file.absolute() == output.absolute():
        raise InputError(f"--map {map_file}: is what -o writes already; the map needs a file of its own")
    if map_file is not None and spheres is None:
        spheres = "0.4:0.9:0.005"
    q = None if spheres is None else axis_inv_nm("--spheres", spheres)
    first = q1_inv_nm(q1)
    corrections = Corrections(solid_angle, _polarisation(polarisation), lorentz)
    series = read_series(frames, turn)
    pixel_m = None if pixel_um is None else (1e-6 * pixel_um[0], 1e-6 * pixel_um[1])
    detector = detector_of(series, GeometryOverrides(distance_m, energy_kev, pixel_m, beam_centre))
    relative = flux_of(series, flux)
    shade, shade_frames = _background(background, turn, series.shape)
    stop = StopRequest()

    def scan_with(detector: Detector) -> Scan:
        bad = bad_pixels(series, detector, mask, beamstop)
        return Scan(series, detector, sample_deg, bad, relative, shade, shade_frames)

    def merged(scan: Scan, target: Target, stage: str, checkpoint: Path) -> Merged:
        def tell(done: int, n: int) -> None:
            progress(stage, done / n, f"angle {done} of {n}" if done < n else "")

        return merge(scan, target, checkpoint, corrections, jobs or available_cores(), tell, lambda: stop(0.0))

    sample_deg = angles_of(series, _told_angles(angles, column, series.n))
    scan = scan_with(detector)
    # Of frames at the same angle there may be several.
    step_deg = float(np.diff(np.unique(sample_deg.round(6))).max(initial=0.0))
    if rings is None:
        rings = _MOST_RINGS if step_deg == 0 else int(np.clip(round(180 / step_deg), 8, _MOST_RINGS))
    facts: dict[str, Any] = {"frames": series.name}
    told: dict[str, Any] = {"output": output, "frames": series.n}
    lines = []
    checkpoint = output.with_name(f".{output.name}.merging")
    with StageProgress() as progress:
        if find_centre:
            reach = min(q_max_inv_nm, float(np.linalg.norm(detector.q_inv_nm, axis=-1)[scan.good].max()))
            # Voxels no smaller than pixels, or than frames lie apart at half the reach: holes would be left.
            pixel = detector.wavenumber_inv_nm * max(detector.pixel_m) / detector.distance_m
            voxel = max(1.3 * pixel, 0.5 * reach * float(np.radians(step_deg)))
            coarse = VoxelTarget(reach, min(256, int(2 * reach / voxel)))
            width_inv_nm = peak_width or max(_PEAK_WIDTH_INV_NM, 0.7 * voxel)
            for k in range(1, _ROUNDS + 1):
                own = output.with_name(f".{output.name}.centre{k}")
                volume = merged(scan, coarse, f"centre {k}", own)
                own.unlink()
                better, shift = refined_centre(volume, scan, (0.35 * reach, reach), width_inv_nm)
                scan = scan_with(better)
                done = float(np.abs(shift.shift_px).max()) < _CENTRED_PX
                if done or k == _ROUNDS:
                    break
            # What it moved by at last is not less than what is still wrong.
            errors = np.hypot(shift.standard_errors_px, shift.shift_px)
            facts["centre_errors_px"] = errors.tolist()
            row, column_px = scan.detector.beam_centre_px
            told |= {"beam_centre_px": [row, column_px], "beam_centre_errors_px": errors, "pairs": shift.n_pairs}
            lines.append(
                f"beam centre: row {row:.2f} ± {errors[0]:.2f}, column {column_px:.2f} ± {errors[1]:.2f} "
                f"({shift.n_pairs} Friedel pairs)"
            )
            if not done:
                click.echo(
                    f"simsc: note: the beam centre still moves by {np.abs(shift.shift_px).max():.2f} px", err=True
                )
        target: Target
        if q is None:
            target = VoxelTarget(q_max_inv_nm, grid)
        else:
            width = float(q[1] - q[0]) if len(q) > 1 else 0.005
            target = ShellTarget(q, width, rings, 2 * rings)
        result = merged(scan, target, "merge", checkpoint)
    farthest = float(np.linalg.norm(scan.detector.q_inv_nm, axis=-1)[scan.good].max())
    if farthest < (q_max_inv_nm if q is None else q[-1]):
        click.echo(f"simsc: note: the detector reaches to {farthest:.3g} nm⁻¹ only", err=True)
    facts |= _record(scan, corrections)
    if isinstance(target, VoxelTarget):
        volume_ = result.volume()
        write_intensity(output, volume_, origin(**facts))
        part = 1.0 if volume_.measured is None else float(volume_.measured.mean())
        told |= {"grid": grid, "measured": part}
        lines.append(f"{output}: {series.n} frames, {grid}³ voxels, of which {100 * part:.1f} % were measured")
        if part < _LITTLE:
            click.echo(
                "simsc: note: next to nothing was measured; check --energy (keV), --distance (m), --pixel (µm), "
                "--angles (degrees) and --q-max (nm⁻¹), or take fewer voxels (--grid)",
                err=True,
            )
    else:
        write_shells(output, result.shells(), origin(**facts))
        told |= {"spheres": len(target.q_inv_nm)}
        lines.append(f"{output}: {series.n} frames, {len(target.q_inv_nm)} spheres")
    checkpoint.unlink(missing_ok=True)
    if map_file is not None and isinstance(target, ShellTarget):
        of_map, map_lines = _write_map(output, map_file, result, first, facts)
        told, lines = told | of_map, lines + map_lines
    tell(as_json, told, *lines)


def _write_map(
    spheres: Path, map_file: Path, merged: Merged, first: float | None, facts: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Write the map of merged spheres, and return what is to be told of it."""
    q2 = np.array([shell.q_inv_nm for shell, _ in merged.shells()])
    at = first or peak_of_spheres(spheres)
    one, two = shells_of_file(spheres, at, q2)
    with StageProgress() as progress:
        n_done = 0

        def on_shell() -> None:
            nonlocal n_done
            n_done += 1
            progress("correlate", n_done / len(q2), f"q2 {n_done} of {len(q2)}" if n_done < len(q2) else "")

        result = correlate(one, two, np.linspace(0, 180, 721), available_cores(), on_shell)
    of_map, line = save_map(map_file, result, **facts)
    return of_map, [*told_q1(first, at, "the first bright peak", result.q1_inv_nm), line]


def _told_angles(text: str | None, column: str | None, n: int) -> np.ndarray | None:
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

"""The command `simsc beamline`: detector frames of a rotation scan, simulated."""

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.cli.console import StageProgress, counting
from simsc.cli.options import (
    JOBS,
    JSON,
    KEV,
    LENGTH_UNIT,
    METRES,
    PATH,
    RADIUS,
    RADIUS_STD,
    SEED,
    example,
    gathered,
    print_result,
)
from simsc.cli.scattering_options import core_radii, with_radii
from simsc.core.detector import Detector, eiger_x_4m
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.experiment.geometry import GeometryOverrides, detector_of
from simsc.experiment.series import read_series
from simsc.io.native import read_superlattice
from simsc.scattering.beamline import Background, Beamline
from simsc.scattering.eiger_scan import write_scan

# Of the paper's beamline; the beam is in no gap.
_ENERGY_KEV, _DISTANCE_M, _BEAM_CENTRE_PX, _REPEATS, _DEAD = 10.0, 5.0, (1115.0, 991.0), 5, 2e-4


@dataclass(frozen=True)
class _Rotation:
    """Angles of a scan, degrees, and frames at each; None takes those of a measured scan, or of the paper."""

    range_deg: float | None
    step_deg: float | None
    repeats: int | None


@dataclass(frozen=True)
class _Seen:
    """How the beamline sees the NPs: what it counts, how sharply, and where not at all."""

    photons: float
    blur_inv_nm: float
    beamstop: float
    dead: float | None


@dataclass(frozen=True)
class _Files:
    """How frames are written."""

    folder: Path
    name: str
    bits: str
    jobs: int | None


def _background(diffuse: float, air: float, flares: float) -> Background:
    return Background(diffuse, air, flares)


def _geometry(
    distance_m: float | None, energy_kev: float | None, beam_centre: tuple[float, float] | None
) -> GeometryOverrides:
    return GeometryOverrides(distance_m, energy_kev, None, beam_centre)


@click.command(
    "beamline",
    epilog=example(
        "simsc beamline pillar.h5 --photons 1e6 --blur 0.002 -o scan",
        "simsc beamline ball.h5 --photons 3e5 --step 1 --repeats 1 --air 0.1 --diffuse 0.01 -o scan",
        "simsc beamline ball.h5 --like measured/scan_master.h5 -o simulated",
    ),
)
@click.argument("file", type=PATH)
@RADIUS
@RADIUS_STD
@click.option(
    "--photons",
    type=click.FloatRange(0, 1e15, min_open=True),
    default=1e6,
    show_default=True,
    help="Photons that the NPs scatter into one frame, on average.",
)
@click.option(
    "--like",
    type=PATH,
    help="Frames of a scan, as simsc import takes them: measure with that detector, its bad pixels, energy, distance, "
    "beam centre and angles. What they do not state is given by the options.",
)
@click.option("--energy", "energy_kev", type=KEV, help="Photon energy, keV.  [default: 10]")
@click.option("--distance", "distance_m", type=METRES, help="From the sample to the detector, m.  [default: 5]")
@click.option(
    "--beam-centre",
    type=float,
    nargs=2,
    metavar="ROW COLUMN",
    help="Where the direct beam falls, pixels: in no gap between modules, and not midway between two, where peaks "
    "would be lost.  [default: 1115, 991]",
)
@click.option("--range", "range_deg", type=float, help="Of the whole rotation, degrees.  [default: 180]")
@click.option("--step", "step_deg", type=float, help="Between angles, degrees.  [default: a third]")
@click.option("--repeats", type=click.IntRange(min=1), help="Frames at each angle.  [default: 5]")
@click.option(
    "--blur",
    "blur_inv_nm",
    type=float,
    default=0.0,
    show_default=True,
    help="Resolution in the plane of the detector, standard deviation, nm⁻¹.",
)
@click.option(
    "--beamstop", type=float, default=0.04, show_default=True, help="Radius of the shadow of the beam stop, nm⁻¹."
)
@click.option(
    "--dead",
    type=click.FloatRange(0, 0.5),
    help="Part of dead pixels.  [default: 0.0002; with --like only those of the scan]",
)
@click.option(
    "--diffuse",
    type=float,
    default=0.0,
    show_default=True,
    help="Background, photons a pixel and frame, the same everywhere.",
)
@click.option(
    "--air",
    type=float,
    default=0.0,
    show_default=True,
    help="Background of air, photons a pixel and frame at q = 0.1 nm⁻¹, falling as q⁻².",
)
@click.option(
    "--flares",
    type=float,
    default=0.0,
    show_default=True,
    help="Background, photons a pixel and frame at q = 0.1 nm⁻¹, in streaks along the normals of a pillar's walls, "
    "falling as q⁻².",
)
@click.option(
    "--bits", type=click.Choice(["16", "32"]), default="32", show_default=True, help="Bits of a count in the files."
)
@click.option("--name", default="scan", show_default=True, help="What names of files begin with.")
@JOBS
@SEED
@LENGTH_UNIT
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder for the frames.")
@JSON
@core_radii
@gathered("seen", _Seen)
@gathered("geometry", _geometry)
@gathered("rotation", _Rotation)
@gathered("background", _background)
@gathered("files", _Files)
def beamline(
    file: Path,
    radii: CoreRadii,
    seen: _Seen,
    like: Path | None,
    geometry: GeometryOverrides,
    rotation: _Rotation,
    background: Background,
    files: _Files,
    length_unit: str | None,
    as_json: bool,
) -> None:
    """Simulate the frames that an EIGER X 4M takes of the NPs in FILE while they turn about z.

    With --like it is the detector of a measured scan. Written as the EIGER itself writes them. A scan that was stopped
    goes on with the same command.
    """
    superlattice = with_radii(file, read_superlattice(file, length_unit), radii)
    if like is None:
        detector = eiger_x_4m(
            geometry.energy_kev or _ENERGY_KEV,
            geometry.distance_m or _DISTANCE_M,
            geometry.beam_centre_px or _BEAM_CENTRE_PX,
        )
        gaps, dead = None, _DEAD
        angles_deg, repeats = _angles(rotation), rotation.repeats or _REPEATS
    else:
        detector, gaps, angles_deg, repeats = _like(like, geometry, rotation)
        dead = 0.0
    centre = detector.beam_centre_px
    if not all(0 <= place < n for place, n in zip(centre, detector.shape, strict=True)):
        click.echo(f"simsc: note: the beam lies outside of the detector of {detector.shape} pixels", err=True)
    dead = dead if seen.dead is None else seen.dead
    settings = Beamline(
        seen.photons,
        detector,
        gaps,
        dead=np.random.default_rng([radii.seed, 2]).random(detector.shape) < dead,
        beamstop_inv_nm=seen.beamstop,
        angles_deg=angles_deg,
        repeats=repeats,
        blur_inv_nm=seen.blur_inv_nm,
        background=background,
    )
    with StageProgress() as show:
        master = write_scan(
            superlattice.in_free_space(),
            settings,
            files.folder,
            files.name,
            radii.seed,
            files.jobs or available_cores(),
            counting(show, "frames", "angle"),
            bits=int(files.bits),
        )
    n = len(settings.angles_deg)
    print_result(
        as_json,
        {"output": master, "frames": n * repeats, "angles": n, "n": superlattice.n},
        f"{master}: {n * repeats} frames at {n} angles of {superlattice.n} NPs",
    )


def _like(like: Path, geometry: GeometryOverrides, rotation: _Rotation) -> tuple[Detector, np.ndarray, np.ndarray, int]:
    """Return the detector of a measured scan, its bad pixels, and the angles and repeats to measure at."""
    series = read_series(like)
    detector = detector_of(series, geometry)
    gaps = np.zeros(series.shape, bool) if series.bad is None else series.bad
    if rotation.range_deg is None and rotation.step_deg is None and series.angles_deg is not None:
        angles_deg, own = _distinct(series.angles_deg)
    else:
        angles_deg, own = _angles(rotation), _REPEATS
    return detector, gaps, angles_deg, rotation.repeats or own


def _angles(rotation: _Rotation) -> np.ndarray:
    """Return the angles of a scan, degrees."""
    range_ = 180.0 if rotation.range_deg is None else rotation.range_deg
    step = 1 / 3 if rotation.step_deg is None else rotation.step_deg
    if not (0 < step <= range_ <= 360):
        raise InputError(f"--step {step:g}, --range {range_:g}: need 0 < step ≤ range ≤ 360 degrees")
    return step * np.arange(int(range_ / step + 1e-6) + 1)


def _distinct(angles_deg: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the angles of frames without those that follow one another, and how often they do."""
    changes = np.flatnonzero(np.diff(angles_deg) != 0) + 1
    starts = np.concatenate([[0], changes])
    repeats = np.diff(np.append(starts, len(angles_deg)))
    return (angles_deg[starts], int(repeats[0])) if len(set(repeats)) == 1 else (angles_deg, 1)

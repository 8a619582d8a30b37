"""The command `simsc beamline`: detector frames of a rotation scan, simulated."""

from pathlib import Path

import click
import numpy as np

from simsc.builders.finite_crystal import with_normal_radii
from simsc.cli.console import StageProgress
from simsc.cli.options import (
    JSON,
    KEV,
    LENGTH_UNIT,
    METRES,
    PATH,
    RADIUS,
    RADIUS_STD,
    SEED,
    example,
    tell,
)
from simsc.core.detector import eiger_x_4m
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.experiment.geometry import GeometryOverrides, detector_of
from simsc.experiment.series import read_series
from simsc.io.native import (
    read_superlattice,
)
from simsc.scattering.beamline import Background, Beamline
from simsc.scattering.eiger_scan import write_scan

# Of the paper's beamline; the beam is in no gap.
_ENERGY_KEV, _DISTANCE_M, _BEAM_CENTRE_PX, _REPEATS, _DEAD = 10.0, 5.0, (1115.0, 991.0), 5, 2e-4


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
    "beam centre and angles. What they do not tell is told by the options.",
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
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; the default is one a core.")
@SEED
@LENGTH_UNIT
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the frames.")
@JSON
def beamline(
    file: Path,
    radius_nm: float | None,
    radius_std_nm: float,
    photons: float,
    like: Path | None,
    energy_kev: float | None,
    distance_m: float | None,
    beam_centre: tuple[float, float] | None,
    range_deg: float | None,
    step_deg: float | None,
    repeats: int | None,
    blur_inv_nm: float,
    beamstop: float,
    dead: float | None,
    diffuse: float,
    air: float,
    flares: float,
    bits: str,
    name: str,
    jobs: int | None,
    seed: int,
    length_unit: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Simulate the frames that an EIGER X 4M takes of the NPs in FILE while they turn about z.

    With --like it is the detector of a measured scan. Written as the EIGER itself writes them. A scan that was stopped
    goes on with the same command.
    """
    superlattice = read_superlattice(file, length_unit)
    if radius_nm is not None:
        superlattice = with_normal_radii(superlattice, radius_nm, radius_std_nm, np.random.default_rng(seed))
    elif superlattice.radii_nm is None:
        raise InputError(f"{file}: has no core radii; give --radius (nm)")
    gaps = None
    if like is None:
        detector = eiger_x_4m(energy_kev or _ENERGY_KEV, distance_m or _DISTANCE_M, beam_centre or _BEAM_CENTRE_PX)
        angles_deg, repeats = _angles(range_deg, step_deg), repeats or _REPEATS
    else:
        series = read_series(like)
        detector = detector_of(series, GeometryOverrides(distance_m, energy_kev, None, beam_centre))
        gaps = np.zeros(series.shape, bool) if series.bad is None else series.bad
        if range_deg is None and step_deg is None and series.angles_deg is not None:
            angles_deg, own = _distinct(series.angles_deg)
        else:
            angles_deg, own = _angles(range_deg, step_deg), _REPEATS
        repeats, dead = repeats or own, dead or 0.0
    centre = detector.beam_centre_px
    if not all(0 <= place < n for place, n in zip(centre, detector.shape, strict=True)):
        click.echo(f"simsc: note: the beam lies outside of the detector of {detector.shape} pixels", err=True)
    settings = Beamline(
        photons,
        detector,
        gaps,
        dead=np.random.default_rng([seed, 2]).random(detector.shape) < (_DEAD if dead is None else dead),
        beamstop_inv_nm=beamstop,
        angles_deg=angles_deg,
        repeats=repeats,
        blur_inv_nm=blur_inv_nm,
        background=Background(diffuse, air, flares),
    )
    with StageProgress() as progress:
        master = write_scan(
            superlattice.in_free_space(), settings, output, name, seed, jobs or available_cores(),
            lambda done, n: progress("frames", done / n, f"angle {done} of {n}" if done < n else ""), bits=int(bits),
        )  # fmt: skip
    n = len(settings.angles_deg)
    tell(
        as_json,
        {"output": master, "frames": n * repeats, "angles": n, "n": superlattice.n},
        f"{master}: {n * repeats} frames at {n} angles of {superlattice.n} NPs",
    )


def _angles(range_deg: float | None, step_deg: float | None) -> np.ndarray:
    """Return the angles of a scan, degrees."""
    range_, step = (value if value is not None else usual for value, usual in ((range_deg, 180.0), (step_deg, 1 / 3)))
    if not (0 < step <= range_ <= 360):
        raise InputError(f"--step {step:g}, --range {range_:g}: need 0 < step ≤ range ≤ 360 degrees")
    return step * np.arange(int(range_ / step + 1e-6) + 1)


def _distinct(angles_deg: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the angles of frames without those that follow one another, and how often they do."""
    changes = np.flatnonzero(np.diff(angles_deg) != 0) + 1
    starts = np.concatenate([[0], changes])
    repeats = np.diff(np.append(starts, len(angles_deg)))
    return (angles_deg[starts], int(repeats[0])) if len(set(repeats)) == 1 else (angles_deg, 1)

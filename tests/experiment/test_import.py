"""From a crystal of known lattice to frames on disk, and back: volume, beam centre, orientation, map."""

import signal
import subprocess
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
from click import BadParameter
from conftest import ENVIRONMENT, simsc, simsc_command
from fabio.tifimage import TifImage
from scipy.spatial.transform import Rotation

from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.core.units import wavelength_nm
from simsc.correlation.engine import correlate
from simsc.correlation.first_peak import peak_of_profile, radial_profile
from simsc.correlation.shells import shells_of_crystal
from simsc.experiment.bragg import (
    BraggPeaks,
    centre_shift,
    find_peaks,
    orientation,
)
from simsc.experiment.frames import FrameSeries
from simsc.experiment.geometry import flux_of
from simsc.io.native import read_intensity, read_map, read_shells
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.beamline import Beamline
from simsc.scattering.counting import counted
from simsc.scattering.eiger_scan import write_scan

D_NM = 16.0
FCC = Cell(D_NM / np.sqrt(2) * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
TURN = Rotation.from_rotvec([0.3, -0.5, 0.9])
DETECTOR = Detector((170, 160), (1e-3, 1e-3), 5.0, wavelength_nm(10.0), (87.3, 77.6))
ANGLES = np.arange(0, 180.1, 1.5)


def crystal():
    return ball("fcc", D_NM, n=400, radius_nm=6.0)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Write a scan of an fcc ball that stands at an angle; many photons, little noise."""
    folder = tmp_path_factory.mktemp("scan")
    gaps = np.zeros(DETECTOR.shape, dtype=bool)
    gaps[70:73] = True
    beamline = Beamline(3e6, DETECTOR, gaps, beamstop_inv_nm=0.1, angles_deg=ANGLES, repeats=2)
    return write_scan(crystal().rotated(TURN), beamline, folder, jobs=2)


def is_the_lattice(found: Cell, expected: np.ndarray, tolerance: float) -> bool:
    """Tell whether two sets of edges (3, 3) span the same lattice."""
    matrix = found.vectors_nm @ np.linalg.inv(expected)
    whole = np.rint(matrix)
    return abs(np.linalg.det(whole)) == 1 and np.abs(matrix - whole).max() < tolerance


def edges_of_builder() -> np.ndarray:
    """Return primitive edges (3, 3) of the turned ball, from its own NPs: the nearest neighbours of the middle one."""
    positions = crystal().rotated(TURN).positions_nm
    middle = positions[np.linalg.norm(positions, axis=1).argmin()]
    away = positions - middle
    near = away[np.abs(np.linalg.norm(away, axis=1) - D_NM) < 1e-6]
    for one in near:
        for two in near:
            for three in near:
                # The primitive cell of fcc has the smallest volume that three neighbours can span.
                if np.isclose(np.linalg.det([one, two, three]), D_NM**3 / np.sqrt(2)):
                    return np.array([one, two, three])
    raise AssertionError


def test_from_frames_to_volume_orientation_and_figure(scan, tmp_path):
    done = simsc(
        "import", scan, "--q-max", "0.8", "--grid", "128", "--beamstop", "0.1", "-o", "volume.h5", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "242 frames, 128³ voxels" in done.stdout
    volume = read_intensity(tmp_path / "volume.h5")
    assert volume.variance is not None
    assert not volume.measured[64, 64, 64]
    with h5py.File(tmp_path / "volume.h5") as file:
        assert '"beam_centre_px": [87.3, 77.6]' in file.attrs["provenance"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volume.h5"]
    peaks = find_peaks(volume, (0.4, 0.8), 0.015)
    found = orientation(peaks, FCC)
    assert found.indexed > 0.7
    assert is_the_lattice(found.cell, edges_of_builder(), 0.02)
    assert found.cell.parameters == pytest.approx(FCC.parameters, abs=0.4)  # peaks are 0.03 nm⁻¹ wide
    assert found.residual_inv_nm < 0.01
    q, profile = radial_profile(volume)
    assert peak_of_profile(q[q > 0.3], profile[q > 0.3]) == pytest.approx(layer_momentum_transfer(D_NM), rel=0.02)
    command = ("orient", "volume.h5", "--cell", "16", "16", "16", "60", "60", "60", "--width", "0.015")
    done = simsc(*command, "--figure", "figure.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of them indexed" in done.stdout
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    done = simsc(*command[:2], "--cell", "9", "9", "9", "90", "90", "90", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "only; check the cell" in done.stderr


def test_the_beam_centre_is_found(scan, tmp_path):
    wrong = ("--beam-centre", "86.1", "78.3")
    done = simsc(
        "import",
        scan,
        *wrong,
        "--find-centre",
        "--peak-width",
        "0.015",
        "--q-max",
        "0.8",
        "-o",
        "volume.h5",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    row, column = float(words[words.index("row") + 1]), float(words[words.index("column") + 1])
    assert row == pytest.approx(87.3, abs=0.1)
    assert column == pytest.approx(77.6, abs=0.1)


def test_from_frames_to_the_map_of_the_crystal(scan, tmp_path):
    """The map of the frames is the map of the crystal itself, but for what lies in gaps and what bins blur."""
    done = simsc(
        "import", scan, "--spheres", "0.4:0.7:0.02", "--rings", "90", "--map", "map.h5", "-o", "spheres.h5",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = read_map(tmp_path / "map.h5")
    assert seen.q1_inv_nm == pytest.approx(0.48)
    assert seen.variance is not None
    first, second = shells_of_crystal([crystal()], 0.48, seen.q2_inv_nm, 1e-5)
    true = correlate(first, second, seen.delta_deg)
    inner = (seen.delta_deg > 15) & (seen.delta_deg < 165)
    near = np.flatnonzero(np.abs(seen.q2_inv_nm[:, None] - [0.48, 0.56]).min(axis=1) < 1e-6)
    for k in near:
        assert np.corrcoef(seen.ccf[k, inner], true.ccf[k, inner])[0, 1] > 0.97
    again = simsc("correlate", "spheres.h5", "--q1", "0.48", "--q2", "0.4:0.68:0.02", "-o", "again.h5", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert read_map(tmp_path / "again.h5").ccf == pytest.approx(seen.ccf[:15], abs=1e-9)


def test_stopped_and_taken_up_again(scan, tmp_path):
    """Ctrl-C leaves a checkpoint, status 85, and the same command goes on to the same bits."""
    command = ("import", str(scan), "--q-max", "0.8", "--grid", "200", "--jobs", "1", "-o", "volume.h5")
    child = subprocess.Popen(
        [*simsc_command(), *command], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".*.sums")):
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 85, told
    assert not (tmp_path / "volume.h5").exists()
    assert simsc(*command, cwd=tmp_path).returncode == 0
    assert simsc(*command[:-1], "once.h5", cwd=tmp_path).returncode == 0
    again, once = read_intensity(tmp_path / "volume.h5"), read_intensity(tmp_path / "once.h5")
    assert np.array_equal(again.intensity, once.intensity, equal_nan=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["once.h5", "volume.h5"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--distance", "5000"), "not in the range 0.01<=x<=100"),
        (("--energy", "10000"), "not in the range 1<=x<=200"),
        (("--pixel", "75e-6", "75e-6"), "not in the range 1<=x<=5000"),
        (("--spheres", "0.4:0.9"), "--spheres '0.4:0.9': needs first:last:step"),
        (("--spheres", "5:6:0.1"), "no good pixel reaches"),
        (("--map", "m.h5", "--q1", "x"), "--q1 'x': needs a positive number"),
        (("--map", "out.h5"), "--map out.h5: is what -o writes already"),
        (("--angles", "0:0"), "needs START:STEP"),
        (("--angles", "nothing.txt"), "nothing.txt: cannot be read"),
        (("--polarisation", "2"), "--polarisation '2': needs the horizontal part"),
        (("--mask", "nothing.tif"), "nothing.tif: no such file"),
        (("--beamstop", "9"), "masks leave no good pixel"),
        (("--background", "nothing.h5"), "nothing.h5: no such file or folder"),
    ],
)
def test_bad_options(options, says, scan, here):
    with pytest.raises((InputError, BadParameter)) as caught:
        cli.main(["import", str(scan), *options, "-o", "out.h5"], standalone_mode=False)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (here / "out.h5").exists()


def test_rings_follow_from_the_scan_and_odd_input_is_told(scan, tmp_path):
    """180° over the step of 1.5°; rows and columns exchanged; a grid that reaches far beyond the detector."""
    done = simsc("import", scan, "--spheres", "0.45:0.5:0.05", "-o", "s.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with read_shells(tmp_path / "s.h5") as (_, read):
        assert read(0)[0].intensity.shape == (120, 240)
    done = simsc(
        "import", scan, "--beam-centre", "20", "150", "--q-max", "9", "--grid", "64", "-o", "v.h5", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "has the beam centre as 87.3 77.6 px, --beam-centre says 20 150 px" in done.stderr
    assert "next to nothing was measured; check --energy (keV)" in done.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Run commands in this process, which wish to hear signals."""
    monkeypatch.chdir(tmp_path)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield tmp_path
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_files_that_do_not_tell_the_geometry(here):
    for k in range(3):
        TifImage(data=np.ones((20, 20), "u2")).write(str(here / f"a{k}.tif"))
    options: list[str] = []
    for more, says in (
        ([], "does not tell the distance of the detector; give it with --distance"),
        (["--distance", "5"], "give it with --energy"),
        (["--energy", "10"], "give it with --pixel"),
        (["--pixel", "75", "75"], "give it with --beam-centre"),
        (["--beam-centre", "10", "10"], "does not tell the angles of the sample"),
    ):
        options += more
        with pytest.raises(InputError, match=says):
            cli.main(["import", "a*.tif", *options, "-o", "out.h5"], standalone_mode=False)
    options += ["--angles", "0:1", "--q-max", "0.01", "-o", "out.h5"]
    cli.main(["import", "a*.tif", *options], standalone_mode=False)
    volume = read_intensity(here / "out.h5")
    assert volume.intensity[volume.measured] == pytest.approx(1, rel=1e-3)


def test_longer_exposures_are_more_flux(tmp_path):
    series = FrameSeries("made", 4, (3, 3), np.dtype("u4"), iter, exposure_s=np.array([1.0, 1.0, 2.0, 2.0]))
    assert flux_of(series, None).tolist() == [1, 1, 2, 2]
    assert flux_of(replace(series, exposure_s=np.ones(4)), None) is None
    (tmp_path / "flux.txt").write_text("3\n5\n")
    assert flux_of(series, tmp_path / "flux.txt").tolist() == [3, 3, 5, 5]


def test_the_centre_from_made_up_peaks():
    """Peaks displaced as a wrong beam centre does it tell how wrong it is, for any lattice."""
    rng = np.random.default_rng(4)
    g = TURN.apply(rng.normal(size=(40, 3)) * 0.3)
    g = g[np.linalg.norm(g, axis=1) < 0.7]
    g = np.concatenate([g, -g])
    k = DETECTOR.wavenumber_inv_nm
    flat, length2 = np.hypot(g[:, 0], g[:, 1]), (g**2).sum(axis=1)
    curve = np.arcsin(length2 / (2 * k * flat))
    shift = np.array([1.1, -1.3]) * 1e-3 / 5.0 * k  # of the true centre, from rows and columns to nm⁻¹
    places = []
    for peak, bend in zip(g, curve, strict=True):
        azimuth = np.arctan2(peak[1], peak[0])
        for angle in (-bend - azimuth, np.pi + bend - azimuth):
            if 0 <= np.degrees(angle) % 360 <= 180:
                # In the laboratory it is moved to the right by the columns, and up by minus the rows.
                seen = peak + Rotation.from_rotvec([0, 0, -angle]).apply([shift[1], 0, -shift[0]])
                places.append(seen)
                break
    found = centre_shift(BraggPeaks(np.array(places), np.ones(len(places))), DETECTOR, 0.0, 180.0)
    assert found.shift_px == pytest.approx([1.1, -1.3], abs=1e-3)
    with pytest.raises(InputError, match="too few"):
        centre_shift(BraggPeaks(g[:3], np.ones(3)), DETECTOR, 0.0, 180.0)


def test_peaks_of_a_made_up_volume():
    """Gaussian peaks on a sloping background, one of them next to what was not measured."""
    axis = np.linspace(-0.6, 0.6, 121)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    places = np.array([[0.3033, 0.1111, 0.2022], [-0.25, 0.35, 0.104], [0.0, -0.402, 0.1]])
    intensity = 1 / (0.1 + x**2 + y**2 + z**2)
    for place in places:
        intensity += 80 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2) / (2 * 0.012**2))
    measured = np.abs(y + 0.42) > 0.01
    volume = IntensityVolume(np.where(measured, intensity, np.nan), (axis,) * 3, measured)
    found = find_peaks(volume, (0.2, 0.6), 0.012)
    assert len(found.q_inv_nm) == 2
    for place in places[:2]:
        assert np.linalg.norm(found.q_inv_nm - place, axis=1).min() < 5e-4


def test_errors_of_a_cell_cover_the_truth():
    """Small triclinic crystals under noise: deviations are as large as their errors say, and side maxima no peaks."""
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(10):
        edges, angles = 16 * (1 + 0.03 * rng.normal(size=3)), 60 + 2 * rng.normal(size=3)
        cell = Cell.from_parameters(*edges, *angles)
        sites = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ cell.vectors_nm
        sites = sites[np.argsort(np.linalg.norm(sites, axis=1))[:400]]
        turn = Rotation.from_quat(rng.normal(size=4))
        crystal = Superlattice(turn.apply(sites), np.clip(rng.normal(7.0, 0.4, 400), 5.5, 7.6))
        exact = intensity_on_grid(crystal, 0.9, 2 * int(0.9 * crystal.diameter_nm / np.pi) + 1, 1e-6)
        peaks = find_peaks(counted(exact, 1e7, rng), (0.3, 0.85), 2 / crystal.diameter_nm)
        found = orientation(peaks, cell, 0.04)
        assert found.indexed == 1
        pulls.append((found.cell.parameters - cell.parameters) / found.standard_errors)
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_errors_where_reflections_are_few():
    """Three reflections and their mates determine a cell, and nothing tells by how much it is wrong."""
    g = 2 * np.pi * np.linalg.inv(FCC.vectors_nm).T
    q = np.concatenate([g, -g])
    found = orientation(BraggPeaks(TURN.apply(q), np.ones(6)), FCC)
    assert found.cell.parameters == pytest.approx(FCC.parameters)
    assert np.isnan(found.standard_errors).all()


def test_the_peak_of_profile_of_a_profile():
    q = np.arange(0.1, 0.9, 0.005)
    falling = q**-4.0
    peaks = falling + 30 * np.exp(-((q - 0.4817) ** 2) / (2 * 0.008**2)) + 20 * np.exp(-((q - 0.55) ** 2) / 2e-4)
    assert peak_of_profile(q, peaks) == pytest.approx(0.4817, abs=0.001)
    assert peak_of_profile(q, falling) is None
    assert peak_of_profile(q, np.full(len(q), np.nan)) is None

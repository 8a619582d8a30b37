"""The virtual beamline against direct sums on the Ewald sphere, and its files against what other programs read."""

import multiprocessing
import threading
import time

import fabio
import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from frame_files import write_eiger
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.detector import Detector, eiger_x_4m, eiger_x_4m_gaps
from simsc.core.errors import InputError, ResourceError, SimscWarning
from simsc.core.units import wavelength_nm
from simsc.experiment.series import read_series
from simsc.io.native import write_superlattice
from simsc.scattering.beamline import Background, Beamline, VirtualScan
from simsc.scattering.eiger_scan import write_scan
from simsc.scattering.form_factors.polyhedron import polyhedron
from simsc.scattering.form_factors.sphere import sphere_amplitude
from simsc.scattering.scattering_model import ScatteringModel

SMALL = Detector((120, 100), (1.4e-3, 1.3e-3), 5.0, wavelength_nm(10.0), (63.3, 41.8))
NOTHING = np.zeros(SMALL.shape, dtype=bool)


def crystal(n: int = 60):
    cluster = ball("fcc", 16.0, n=n)
    return with_normal_radii(cluster, 7.0, 0.5, np.random.default_rng(3))


def small_beamline(**options) -> Beamline:
    defaults = {"photons": 1e5, "detector": SMALL, "gaps": NOTHING, "angles_deg": np.arange(5) * 7.0, "repeats": 2}
    return Beamline(**(defaults | options))


def direct_sum(cluster, q, angle_deg):
    """Return |Σ F_j exp(−i q·r_j)|² of the turned crystal, term by term."""
    places = cluster.positions_nm @ Rotation.from_euler("z", angle_deg, degrees=True).as_matrix().T
    length = np.linalg.norm(q, axis=-1)
    amplitude = sum(
        sphere_amplitude(length, radius) * np.exp(-1j * (q @ place))
        for place, radius in zip(places, cluster.radii_nm, strict=True)
    )
    return np.abs(amplitude) ** 2


def test_reach_of_the_detector():
    """At 10 keV and 5.0 m a centred beam reaches 0.786 and 0.823 nm⁻¹."""
    q = np.abs(eiger_x_4m().q_inv_nm)
    assert q[..., 0].max() == pytest.approx(0.786, abs=5e-4)
    assert q[..., 2].max() == pytest.approx(0.823, abs=5e-4)


def test_pixels_lie_on_the_ewald_sphere():
    k = SMALL.wavenumber_inv_nm
    outgoing = SMALL.q_inv_nm + np.array([0, k, 0])
    assert np.allclose(np.linalg.norm(outgoing, axis=-1), k, rtol=1e-12)
    # By similar triangles, without vectors: tan 2θ = radius / distance, q = 2 k sin θ.
    row, column = 100, 7
    radius = np.hypot((row - 63.3) * 1.4e-3, (column - 41.8) * 1.3e-3)
    assert np.linalg.norm(SMALL.q_inv_nm[row, column]) == pytest.approx(2 * k * np.sin(np.arctan(radius / 5.0) / 2))
    assert SMALL.q_inv_nm[row, column, 0] < 0  # left of the beam
    assert SMALL.q_inv_nm[row, column, 2] < 0  # below it


def test_gaps_of_an_eiger():
    gaps = eiger_x_4m_gaps()
    assert (~gaps).sum() == 8 * 514 * 1030
    assert (~gaps.all(axis=1)).sum() == 4 * 514
    assert gaps[514:551].all()
    assert gaps[:, 1030:1040].all()


@pytest.mark.parametrize("angle_deg", [0.0, 33.0, 171.0])
def test_a_frame_is_the_direct_sum_on_the_ewald_sphere(angle_deg):
    cluster = crystal()
    scan = VirtualScan(cluster, small_beamline())
    frame = scan.expected(angle_deg)
    exact = direct_sum(cluster, SMALL.q_inv_nm, angle_deg) * np.cos(two_theta(SMALL)) ** 3
    live = scan.beamline.live
    assert 0.5 < live.mean() < 1
    assert (frame[~live] == 0).all()
    scale = frame[live].sum() / exact[live].sum()
    assert np.abs(frame[live] - scale * exact[live]).max() < 2e-4 * scale * exact[live].max()


def test_interpolation_between_coarse_points_is_as_good_as_its_bound():
    """On fine pixels, where only some points are computed."""
    fine = Detector((300, 280), (4e-4, 4e-4), 5.0, wavelength_nm(10.0), (150.0, 140.0))
    cluster = crystal(30)
    scan = VirtualScan(cluster, small_beamline(detector=fine, gaps=np.zeros(fine.shape, dtype=bool)))
    assert scan._shape[0] < 100
    frame, exact = scan.expected(20.0), direct_sum(cluster, fine.q_inv_nm, 20.0) * np.cos(two_theta(fine)) ** 3
    live = scan.beamline.live
    scale = frame[live].sum() / exact[live].sum()
    assert np.abs(frame[live] - scale * exact[live]).max() < 1e-3 * scale * exact[live].max()


def test_oriented_nanoparticles_turn_with_the_crystal():
    one = ball("fcc", 16.0, n=13).with_radii(7.0)
    form = polyhedron("cube")
    scan = VirtualScan(one, small_beamline(), scattering=ScatteringModel(form))
    again = VirtualScan(
        one.rotated(Rotation.from_euler("z", 25, degrees=True)), small_beamline(), scattering=ScatteringModel(form)
    )
    scan.expected(0.0)
    again._scale = scan._scale
    assert np.allclose(scan.expected(40.0), again.expected(15.0), atol=1e-4 * scan.expected(40.0).max())
    assert not np.allclose(scan.expected(40.0), scan.expected(15.0), rtol=0.1)
    with pytest.raises(InputError, match="blur of the detector"):
        VirtualScan(one, small_beamline(), scattering=ScatteringModel(resolution_inv_nm=0.002))


def test_photons_background_and_blur():
    cluster = crystal()
    background = Background(diffuse=0.5, air=0.2, flares=3.0, wall_deg=10.0)
    bare, blurred = VirtualScan(cluster, small_beamline()), VirtualScan(cluster, small_beamline(blur_inv_nm=0.02))
    every = [bare.expected(angle).sum() for angle in bare.beamline.angles_deg]
    assert np.mean(every) == pytest.approx(1e5, rel=0.02)
    blurred.expected(0.0)
    px = [0.02 * 5.0 / (SMALL.wavenumber_inv_nm * size) for size in SMALL.pixel_m]
    live = bare.beamline.live
    by_hand = gaussian_filter(bare._of_crystal(7.0), px, mode="nearest")[live]
    assert blurred.expected(7.0)[live] / blurred._scale == pytest.approx(by_hand, rel=1e-3, abs=1e-4 * by_hand.max())
    lit = VirtualScan(cluster, small_beamline(background=background))
    with_flare = lit.expected(-10.0) - bare.expected(-10.0)
    without = lit.expected(35.0) - bare.expected(35.0)
    length = np.linalg.norm(SMALL.q_inv_nm, axis=-1)
    assert without[live] == pytest.approx((0.5 + 0.2 * (0.1 / length) ** 2)[live], abs=1e-6)
    row = round(SMALL.beam_centre_px[0])
    assert (with_flare - without)[row, 90] == pytest.approx(3.0 * (0.1 / length[row, 90]) ** 2, rel=0.2)
    assert (with_flare - without)[row + 30, 90] < 1e-3


def test_counts_are_poisson():
    scan = VirtualScan(crystal(), small_beamline(photons=3e4, repeats=300))
    counts = scan.counted(14.0, np.random.default_rng(1))
    expected = scan.expected(14.0)
    some = expected > 0.5
    assert counts.mean(axis=0)[some] == pytest.approx(expected[some], abs=6 * np.sqrt(expected[some].max() / 300))
    index = (counts.var(axis=0, ddof=1)[some] / expected[some]).mean()
    assert index == pytest.approx(1.0, abs=4 * np.sqrt(2 / 299 / some.sum()))


def test_files_as_an_eiger_writes_them(tmp_path):
    dead = NOTHING.copy()
    dead[3, 4] = True
    gaps = NOTHING.copy()
    gaps[:, 50:52] = True
    beamline = small_beamline(gaps=gaps, dead=dead, angles_deg=np.arange(23) * 0.5)
    master = write_scan(crystal(), beamline, tmp_path / "scan", "ball", seed=4, jobs=2)
    assert sorted(path.name for path in master.parent.iterdir()) == [
        "ball_data_000001.h5",
        "ball_data_000002.h5",
        "ball_master.h5",
    ]
    with h5py.File(master) as file:
        detector = file["entry/instrument/detector"]
        assert detector["beam_center_x"][()] == 41.8
        assert detector["beam_center_y"][()] == 63.3
        assert detector["detectorSpecific/nimages"][()] * detector["detectorSpecific/ntrigger"][()] == 46
        assert file["entry/instrument/beam/incident_wavelength"][()] == pytest.approx(1.23984, rel=1e-5)  # Å, 10 keV
        assert file["entry/sample/goniometer/omega"][:].tolist() == np.repeat(np.arange(23) * 0.5, 2).tolist()
        mask = detector["detectorSpecific/pixel_mask"][:]
        frames = np.concatenate([file["entry/data/data_000001"][:], file["entry/data/data_000002"][:]])
    assert (mask == np.where(gaps, 1, 0) + np.where(dead, 2, 0)).all()
    assert frames.shape == (46, *SMALL.shape)
    assert (frames[:, mask > 0] == 2**32 - 1).all()
    expected = VirtualScan(crystal(), beamline).counted(11.0, np.random.default_rng([4, 22]))
    assert (frames[-2:, mask == 0] == expected[:, mask == 0]).all()
    with fabio.open(str(master)) as image:
        assert image.nframes == 46
        assert (image.get_frame(5).data == frames[5]).all()


def test_as_a_measured_scan(tmp_path):
    """The detector, its bad pixels, the geometry and the angles are those of the scan; options go before them."""
    (tmp_path / "measured").mkdir()
    master = write_eiger(tmp_path / "measured")
    write_superlattice(tmp_path / "ball.h5", crystal(13), {})
    command = ["beamline", str(tmp_path / "ball.h5"), "--like", str(master), "--jobs", "1", "--beamstop", "0"]
    done = CliRunner().invoke(cli, [*command, "-o", str(tmp_path / "as_it_is")])
    assert done.exit_code == 0, done.exception
    measured, simulated = read_series(master), read_series(tmp_path / "as_it_is" / "scan_master.h5")
    assert simulated.shape == measured.shape
    assert simulated.distance_m == measured.distance_m
    assert simulated.wavelength_nm == pytest.approx(measured.wavelength_nm, rel=1e-3)
    assert simulated.pixel_m == pytest.approx(measured.pixel_m)
    assert simulated.beam_centre_px == measured.beam_centre_px
    np.testing.assert_array_equal(simulated.bad, measured.bad)
    assert (simulated.n, len(set(simulated.angles_deg))) == (measured.n, len(set(measured.angles_deg)))
    np.testing.assert_allclose(simulated.angles_deg, measured.angles_deg)
    with pytest.warns(SimscWarning, match="--distance says 4"):
        done = CliRunner().invoke(
            cli, [*command, "--distance", "4", "--range", "2", "--step", "1", "-o", str(tmp_path / "other")]
        )
    assert done.exit_code == 0, done.exception
    other = read_series(tmp_path / "other" / "scan_master.h5")
    assert (other.distance_m, other.n) == (4.0, 15)


def test_a_scan_goes_on_and_refuses_what_is_another(tmp_path):
    beamline = small_beamline(angles_deg=np.arange(23) * 0.5, repeats=1)
    master = write_scan(crystal(), beamline, tmp_path, seed=4)
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*_data_*")))
    (tmp_path / "scan_data_000002.h5").unlink()
    master.unlink()
    before = (tmp_path / "scan_data_000001.h5").stat().st_mtime_ns
    write_scan(crystal(), beamline, tmp_path, seed=4, jobs=2)
    assert (tmp_path / "scan_data_000001.h5").stat().st_mtime_ns == before
    with h5py.File(tmp_path / "scan_data_000002.h5") as file:
        frames = file["entry/data/data"][:]
    (tmp_path / "old.h5").write_bytes(second)
    with h5py.File(tmp_path / "old.h5") as file:
        assert (file["entry/data/data"][:] == frames).all()
    assert first
    with pytest.raises(InputError, match="another scan"):
        write_scan(crystal(), beamline, tmp_path, seed=5)


def test_a_process_that_is_killed_had_these_angles(tmp_path):
    def kill():
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        for process in multiprocessing.active_children():
            process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    beamline = small_beamline(angles_deg=np.arange(60) * 0.5, repeats=1)
    with pytest.raises(ResourceError, match=r"killed while at work on frames at \d+° to [\d.]+°: for want of memory"):
        write_scan(crystal(), beamline, tmp_path, jobs=2)
    killer.join()
    assert list(tmp_path.glob("*master*")) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"photons": 0.0}, "photons"),
        ({"photons": np.nan}, "photons"),
        ({"gaps": ~NOTHING}, "no live pixel"),
        ({"gaps": np.zeros((3, 3), dtype=bool)}, "shape"),
        ({"angles_deg": np.array([])}, "at least one angle"),
        ({"repeats": 0}, "one frame"),
        ({"blur_inv_nm": -1.0}, "blur"),
        ({"beamstop_inv_nm": 5.0}, "no live pixel"),
    ],
)
def test_bad_beamlines(options, says):
    with pytest.raises(InputError, match=says):
        small_beamline(**options)


def test_bad_detectors():
    for bad in ({"distance_m": -1.0}, {"wavelength_nm": np.inf}, {"beam_centre_px": (np.nan, 1.0)}):
        with pytest.raises(InputError):
            Detector(**({"shape": (3, 3), "pixel_m": (1e-3, 1e-3), "distance_m": 1.0, "wavelength_nm": 0.1} |
                        {"beam_centre_px": (1.0, 1.0)} | bad))  # fmt: skip


def two_theta(detector: Detector) -> np.ndarray:
    rows, columns = np.indices(detector.shape)
    height, width = detector.pixel_m
    row, column = detector.beam_centre_px
    return np.arctan(np.hypot((rows - row) * height, (columns - column) * width) / detector.distance_m)

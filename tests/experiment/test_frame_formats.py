"""Formats of detector frames: simsc's own, and those that other packages add, for every command that takes frames."""

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fabio.edfimage import EdfImage
from fake_packages import install
from test_frame_readers import write_cbf, write_eiger

from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.errors import InputError, SimscWarning
from simsc.experiment.frame_formats import FRAME_FORMATS
from simsc.experiment.series import read_series
from simsc.io.native import read_intensity, write_superlattice

EXAMPLE = (Path(__file__).parents[2] / "docs" / "contributing" / "examples" / "frame_format.py").read_text("utf-8")
ENTRY_POINT = "[simsc.frame_formats]\ncounts = counts_detector:COUNTS\n"
HEAD = {"pixel_m": [1e-3, 1e-3], "distance_m": 5.0, "wavelength_nm": 0.124, "beam_centre_px": [20, 20]}


def write_counts(folder: Path, n: int = 4) -> np.ndarray:
    """Write a scan in the format of the example."""
    folder.mkdir()
    frames = np.random.default_rng(1).integers(1, 100, (n, 41, 41))
    for k, frame in enumerate(frames):
        head = "# counts " + json.dumps(HEAD | {"angle_deg": 45.0 * k})
        rows = [" ".join(map(str, row)) for row in frame]
        (folder / f"scan_{k + 8}.counts").write_text("\n".join([head, *rows]) + "\n")
    return frames


def invoke(*arguments: object) -> dict:
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_own_formats_know_their_files_and_no_others(tmp_path):
    assert len({known.name for known in FRAME_FORMATS}) == len(FRAME_FORMATS)
    write_cbf(tmp_path, 1)
    (tmp_path / "text.txt").write_text("nothing")
    for path, expected in (
        (write_eiger(tmp_path), ["EIGER or NeXus (NXmx) HDF5"]),
        (tmp_path / "ball_8.cbf", ["images"]),
        (tmp_path / "text.txt", []),
    ):
        assert [known.name for known in FRAME_FORMATS if known.recognises(path)] == expected


def test_a_format_of_another_package_is_taken_by_every_command(tmp_path, monkeypatch):
    frames = write_counts(tmp_path / "scan")
    with pytest.raises(InputError, match="holds no images"):
        read_series(tmp_path / "scan")
    install(monkeypatch, tmp_path / "site", "counts_detector", EXAMPLE, ENTRY_POINT)
    for path in (tmp_path / "scan", tmp_path / "scan" / "*.counts"):
        series = read_series(path)
        assert (np.array(list(series.read(range(4)))) == frames).all()  # scan_8, scan_9, scan_10, scan_11
        found = invoke("info", path)
        assert (found["kind"], found["frames"], found["angles_degrees"]) == ("detector frames", 4, [0, 135])
    assert invoke("info", tmp_path / "scan" / "scan_8.counts")["frames"] == 1
    out = tmp_path / "intensity.h5"
    merged = invoke("import", tmp_path / "scan", "--grid", 16, "--q-max", 0.2, "--jobs", 1, "-o", out)
    assert merged["frames"] == 4
    assert read_intensity(out).measured.any()
    write_superlattice(tmp_path / "ball.h5", ball("fcc", 16, n=13, radius_nm=7.4), {})
    simulated = invoke(
        "beamline", tmp_path / "ball.h5", "--like", tmp_path / "scan", "--jobs", 1, "-o", tmp_path / "simulated"
    )
    assert (simulated["angles"], simulated["frames"]) == (4, 4)
    assert read_series(Path(simulated["output"])).shape == (41, 41)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ImportError('no library of mine')", "counts_detector .* cannot be loaded .*no library of mine"),
        ("COUNTS = 3", "gives no FrameFormat but a int"),
        ("{example}\nCOUNTS = FrameFormat('images', COUNTS.endings, recognises, read)", "'images', which is there"),
        ("{example}\nCOUNTS = FrameFormat('mine', COUNTS.endings, lambda path: 1 / 0, read)", "ZeroDivisionError"),
    ],
)
def test_a_package_that_is_broken_is_named(code, says, tmp_path, monkeypatch):
    write_counts(tmp_path / "scan")
    code = code.replace("{example}", EXAMPLE)
    install(monkeypatch, tmp_path / "site", "counts_detector", code, ENTRY_POINT)
    with pytest.warns(SimscWarning, match=says), pytest.raises(InputError):
        read_series(tmp_path / "scan" / "scan_8.counts")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who reads what simsc knows itself is not troubled
        assert read_series(write_eiger(tmp_path)).n == 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    heads = ", "    1 / 0\n    heads = "),
        ("yield counts(", "yield 1 / 0 + counts("),
    ],
)
def test_errors_of_a_reader_name_its_package(old, new, tmp_path, monkeypatch):
    write_counts(tmp_path / "scan")
    assert old in EXAMPLE
    install(monkeypatch, tmp_path / "site", "counts_detector", EXAMPLE.replace(old, new), ENTRY_POINT)
    with pytest.raises(InputError, match=r"scan_8\.counts: the package counts_detector.*ZeroDivisionError"):
        list(read_series(tmp_path / "scan").read([0]))


def test_no_package_takes_the_place_of_a_format_of_simsc(tmp_path, monkeypatch):
    data = write_cbf(tmp_path)
    code = EXAMPLE + "COUNTS = FrameFormat('mine', ('.cbf',), lambda path: True, lambda paths: 1 / 0)"
    install(monkeypatch, tmp_path / "site", "counts_detector", code, ENTRY_POINT)
    assert (np.array(list(read_series(tmp_path / "*.cbf").read(range(3)))) == data).all()


def test_info_takes_what_import_takes(tmp_path):
    """Files that one of them refused though the other read them."""
    (tmp_path / "edf").mkdir()
    for k in range(2):
        EdfImage(data=np.full((5, 4), k, "i4")).write(str(tmp_path / "edf" / f"a_{k}.edf"))
    write_cbf(tmp_path, 1)
    packed = tmp_path / "ball.cbf.gz"
    packed.write_bytes(gzip.compress((tmp_path / "ball_8.cbf").read_bytes()))
    for path, n in ((tmp_path / "edf" / "a_0.edf", 1), (tmp_path / "edf", 2), (packed, 1)):
        found = invoke("info", path)
        assert (found["kind"], found["frames"]) == ("detector frames", n)
        assert read_series(path).n == n
        assert found["next"] == f"simsc import {path} -o intensity.h5"

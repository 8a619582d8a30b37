"""Readers of frames: what they read equals what h5py and fabio read, and every fault has one clear line."""

import contextlib
import shutil
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import fabio
import h5py
import numpy as np
import pytest
from fabio.cbfimage import CbfImage
from fabio.tifimage import TifImage
from frame_files import FIO, HEADER, SHAPE, SPECIFIC, change, every_frame, frames, write_cbf, write_eiger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simsc.core.errors import InputError, SimscWarning
from simsc.experiment.angles import angles_of_frames, read_angles
from simsc.experiment.frame_formats import frame_files
from simsc.experiment.frames import FrameSeries
from simsc.experiment.geometry import angles_of
from simsc.experiment.series import ORIENTATIONS, oriented, read_series


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4"])
def test_an_eiger_master(dtype, tmp_path):
    master = write_eiger(tmp_path, dtype)
    series = read_series(master)
    assert (series.n, series.shape, series.dtype) == (6, SHAPE, np.dtype(dtype))
    assert series.invalid == (None if dtype == "i4" else np.iinfo(dtype).max)
    assert series.angles_deg == pytest.approx([0.1, 0.1, 0.6, 0.6, 1.1, 1.1])
    assert series.exposure_s.tolist() == [0.99] * 6
    assert series.pixel_m == (80e-6, 75e-6)
    assert series.beam_centre_px == (3.5, 2.25)
    assert series.distance_m == 5.0
    assert series.wavelength_nm == pytest.approx(0.124)
    assert series.bad[2].all()
    assert series.bad.sum() == SHAPE[1]
    with fabio.open(str(master)) as image:
        expected = np.array([image.get_frame(k).data for k in range(6)])
    assert (every_frame(series) == expected).all()
    assert [frame[0, 0] for frame in series.read([5, 0, 3, 4])] == expected[[5, 0, 3, 4], 0, 0].tolist()


def test_a_nexus_file_with_other_units_and_axes(tmp_path):
    path = tmp_path / "scan.nxs"
    data = frames(4)
    with h5py.File(path, "w") as file:
        entry = file.create_group("measurement")
        entry.attrs["NX_class"] = "NXentry"
        for name, kind in (("instrument", "NXinstrument"), ("data", "NXdata"), ("sample", "NXsample")):
            entry.create_group(name).attrs["NX_class"] = kind
        eiger = entry["instrument"].create_group("eiger")
        eiger.attrs["NX_class"] = "NXdetector"
        entry["data/data"] = data
        for group, key, value, unit in (
            (eiger, "distance", 5000.0, "mm"), (eiger, "x_pixel_size", 75.0, "um"),
            (eiger, "y_pixel_size", 0.075, "mm"),
            (eiger, "beam_center_x", 1.0, "pixels"), (eiger, "beam_center_y", 2.0, "pixels"),
            (eiger, "count_time", 100.0, "ms"), (entry["instrument"], "beam/incident_energy", 10.0, "keV"),
            (entry["sample"], "transformations/rot", np.radians([0, 1, 2, 3]), "rad"),
        ):  # fmt: skip
            group[key] = value
            group[key].attrs["units"] = unit
        eiger["saturation_value"] = 90
        eiger["pixel_mask"] = np.zeros(SHAPE, dtype="u4")
        entry["sample/transformations/rot"].attrs.update(transformation_type="rotation", vector=[0.0, -1.0, 0.0])
    series = read_series(path)
    assert series.distance_m == pytest.approx(5.0)
    assert series.pixel_m == pytest.approx((75e-6, 75e-6))
    assert series.wavelength_nm == pytest.approx(0.123984, rel=1e-5)
    assert series.exposure_s[0] == pytest.approx(0.1)
    assert series.angles_deg == pytest.approx([0, -1, -2, -3])
    assert series.invalid == 91
    assert (every_frame(series) == data).all()
    change(path, "measurement/sample/transformations/rot", vector=[1.0, 0.0, 0.0])
    with pytest.warns(SimscWarning, match="not about the vertical"):
        read_series(path)
    change(path, "measurement/sample/transformations/rot", vector=[0.0, 1.0, 0.0])
    change(path, "measurement/instrument/eiger/distance", units="furlong")
    with pytest.raises(InputError, match="distance has the unit 'furlong'"):
        read_series(path)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda f: (f.parent / "run_data_000002.h5").unlink(), "run_data_000002.h5, which is missing"),
        (lambda f: change(f, SPECIFIC + "ntrigger", 4), "promises 8 frames.*hold 6 whole ones; some are missing"),
        (lambda f: change(f, SPECIFIC + "ntrigger", 2), "promises 4 frames.*another scan"),
        (lambda f: change(f, "entry/sample/goniometer/omega", np.array([b"a", b"b"])), "must be a list of angles"),
        (lambda f: change(f, "entry/sample/goniometer/omega", h5py.Empty("f4")), "must be a list of angles"),
        (lambda f: change(f, "entry/instrument/detector/x_pixel_size", h5py.Empty("f4")), "must be one number"),
        (lambda f: change(f, "entry/instrument/detector/bit_depth_image", 12), "bit_depth_image is 12"),
        (lambda f: renamed(f, "entry/data/data_000002", "entry/data/data_000003"), "from data_000001 to data_000003"),
        (lambda f: two_detectors(f), r"several groups NXdetector \(a, b\)"),
        (lambda f: change(f, SPECIFIC + "x_pixels_in_detector", 7), "axes may be swapped"),
        (lambda f: change(f, "entry/sample/goniometer/omega", np.arange(5.0)), "6 frames and 5 angles"),
        (lambda f: change(f, "entry/sample/goniometer/chi", np.arange(3.0)), "chi, omega all change"),
        (lambda f: change(f, SPECIFIC + "pixel_mask", np.ones(SHAPE, "u4")), "every pixel"),
        (lambda f: change(f, SPECIFIC + "pixel_mask", np.ones((5, 7), "u4")), "pixel_mask"),
        (lambda f: change(f, "entry/instrument/detector/detector_distance", -5.0), "distance must be positive"),
        (lambda f: change(f, "entry/instrument/detector/detector_distance", np.nan), "is nan"),
        (lambda f: change(f, "entry/instrument/detector/beam_center_x", "left"), "must be one number"),
        (lambda f: change(f, "entry/instrument/detector/x_pixel_size", units="inch"), "unit 'inch'"),
        (lambda f: change(f, "entry/sample/goniometer/omega", np.array([0, np.nan, 1])), "angles that are no numbers"),
        (lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]), "cannot be read|cut"),
        (lambda f: cut(f.parent / "run_data_000002.h5"), "run_data_000002.h5"),
    ],
)  # fmt: skip
def test_faults_of_an_eiger_master(fault, says, tmp_path):
    master = write_eiger(tmp_path)
    fault(master)
    with pytest.raises(InputError, match=says) as caught:
        every_frame(read_series(master))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def renamed(master: Path, old: str, new: str) -> None:
    with h5py.File(master, "r+") as file:
        file.move(old, new)


def two_detectors(master: Path) -> None:
    renamed(master, "entry/instrument/detector", "entry/instrument/a")
    with h5py.File(master, "r+") as file:
        instrument = file["entry/instrument"]
        instrument.create_group("b")
        for name in "ab":
            instrument[name].attrs["NX_class"] = "NXdetector"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_a_frame_that_was_never_written(tmp_path):
    """HDF5 would give zeros for it."""
    master = write_eiger(tmp_path)
    with h5py.File(tmp_path / "run_data_000002.h5", "w") as part:
        data = part.create_dataset("entry/data/data", (2, *SHAPE), "u4", chunks=(1, *SHAPE), compression="gzip")
        data[0] = 1
    with pytest.raises(InputError, match="frame 2 of 2 was never written"):
        every_frame(read_series(master))


def test_a_master_does_not_say_what_else_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    master = write_eiger(tmp_path / "run")
    shutil.move(tmp_path / "run" / "run_data_000002.h5", tmp_path / "secret.h5")
    for name in ("../secret.h5", str(tmp_path / "secret.h5")):
        with h5py.File(master, "r+") as file:
            del file["entry/data/data_000002"]
            file["entry/data/data_000002"] = h5py.ExternalLink(name, "entry/data/data")
        with pytest.raises(InputError, match="outside of its folder"):
            read_series(master)


def test_other_shapes_of_data(tmp_path):
    master = write_eiger(tmp_path)
    for data, says in (
        (np.zeros(SHAPE, "u4"), "three dimensions"),
        (np.zeros((2, 4, 4), "u4"), "different shapes"),
        (np.zeros((2, *SHAPE), "f4"), "whole numbers"),
    ):
        with h5py.File(tmp_path / "run_data_000002.h5", "w") as part:
            part["entry/data/data"] = data
        with pytest.raises(InputError, match=says):
            read_series(master)


def test_without_a_mask(tmp_path):
    with pytest.warns(SimscWarning, match="no pixel_mask"):
        series = read_series(write_eiger(tmp_path, mask=False))
    assert series.bad is None
    assert series.invalid == 2**32 - 1


def test_units_of_an_eiger_master(tmp_path):
    master = write_eiger(tmp_path)
    detector = "entry/instrument/detector/"
    change(master, detector + "detector_distance", 5000.0, units=np.array([b"mm"]))
    change(master, detector + "beam_center_x", 0.15, units="mm")
    change(master, detector + "count_time", np.arange(1.0, 7.0), units="ms")
    series = read_series(master)
    assert series.distance_m == pytest.approx(5.0)
    assert series.beam_centre_px == pytest.approx((3.5, 2.0))  # 75 µm a pixel
    assert series.exposure_s == pytest.approx(np.arange(1, 7) / 1000)
    change(master, detector + "beam_center_x", units="furlong")
    with pytest.raises(InputError, match="unit 'furlong'"):
        read_series(master)
    for unit in (3, np.zeros((7, 5))):
        change(master, detector + "beam_center_x", units=unit)
        with pytest.raises(InputError, match="a unit that is no text") as caught:
            read_series(master)
        assert "\n" not in str(caught.value)
    change(master, detector + "beam_center_x", units="pixel")
    change(master, SPECIFIC + "photon_energy", 15.0, units="keV")
    with pytest.warns(SimscWarning, match="different wavelengths"):
        assert read_series(master).wavelength_nm == pytest.approx(0.124)


def test_what_a_detector_writes_whom_nobody_told(tmp_path):
    master = write_eiger(tmp_path)
    for key in ("detector_distance", "beam_center_x", "beam_center_y"):
        change(master, f"entry/instrument/detector/{key}", 0.0)
    with pytest.warns(SimscWarning, match="never set"):
        series = read_series(master)
    assert (series.distance_m, series.beam_centre_px) == (None, None)


def test_angles_by_start_and_increment(tmp_path):
    master = write_eiger(tmp_path)
    with h5py.File(master, "r+") as file:
        goniometer = file["entry/sample/goniometer"]
        del goniometer["omega"], goniometer["omega_end"]
        goniometer["omega_start"], goniometer["omega_increment"] = 10.0, 0.5
    assert read_series(master).angles_deg == pytest.approx([10.25, 10.75, 11.25, 11.75, 12.25, 12.75])


def test_angles_in_radians_are_doubted(tmp_path):
    series = replace(read_series(write_eiger(tmp_path)), n=181)
    with pytest.warns(SimscWarning, match="as if they were radians"):
        angles_of(series, np.linspace(0, np.pi, 181))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for span in (180.0, 2.5, 7.0):
            angles_of(series, np.linspace(0, span, 181))


def test_an_axis_turns_with_what_it_is_mounted_on(tmp_path):
    """A turn of 90° about the beam brings a horizontal axis upright; one of −90°, upside down."""
    master = write_eiger(tmp_path)
    place = "/entry/sample/transformations"
    with h5py.File(master, "r+") as file:
        del file["entry/sample/goniometer"]
        axes = file.create_group(place)
        axes["rot"], axes["chi"] = np.arange(6.0), 90.0
        for name, vector, base in (("rot", (1.0, 0, 0), f"{place}/chi"), ("chi", (0, 0, 1.0), ".")):
            axes[name].attrs.update(vector=vector, transformation_type="rotation", units="deg", depends_on=base)
    assert read_series(master).angles_deg == pytest.approx(np.arange(6.0))
    change(master, f"{place}/chi", vector=(0, 0, -1.0))
    assert read_series(master).angles_deg == pytest.approx(-np.arange(6.0))
    for base in ("rot", "absent"):
        change(master, f"{place}/chi", depends_on=base)
        with pytest.raises(InputError, match=f"depends on '{base}', which is missing or depends on it"):
            read_series(master)


def test_frames_have_the_order_of_bytes_of_the_machine(tmp_path):
    """Whoever adds them up views them as plain numbers."""
    data = frames(6)
    master = write_eiger(tmp_path)
    for k, part in enumerate((data[:4], data[4:]), 1):
        with h5py.File(tmp_path / f"run_data_{k:06d}.h5", "w") as file:
            file["entry/data/data"] = part.astype(">u4")
    series = read_series(master)
    assert series.dtype == np.dtype("=u4")
    for frame, expected in zip(series.read(range(6)), data, strict=True):
        assert frame.dtype.isnative
        assert (frame == expected).all()


def test_a_folder_of_cbf(tmp_path):
    data = write_cbf(tmp_path)
    for path in (tmp_path, tmp_path / "ball_*.cbf"):
        series = read_series(path)
        assert (every_frame(series) == data).all()  # ball_8, ball_9, ball_10
        assert series.angles_deg == pytest.approx([0.25, 0.75, 1.25])
        assert series.pixel_m == pytest.approx((175e-6, 172e-6))
        assert series.beam_centre_px == (3.1, 2.4)
        assert series.distance_m == pytest.approx(4.987)
        assert series.wavelength_nm == pytest.approx(0.124)
        assert series.invalid is None
    CbfImage(data=np.zeros((4, 4), "i4")).write(str(tmp_path / "ball_11.cbf"))
    with pytest.raises(InputError, match=r"ball_11\.cbf: has \(4, 4\) pixels"):
        every_frame(read_series(tmp_path))
    (tmp_path / "ball_11.cbf").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"ball_11\.cbf"):
        every_frame(read_series(tmp_path))


def test_a_folder_of_tiff(tmp_path):
    data = frames(2, "u2")
    for k, frame in enumerate(data):
        TifImage(data=frame).write(str(tmp_path / f"a{k}.tif"))
    series = read_series(tmp_path)
    assert (every_frame(series) == data).all()
    assert (series.angles_deg, series.distance_m, series.invalid) == (None, None, 65535)
    TifImage(data=data[0].astype("f4") + 0.25).write(str(tmp_path / "a0.tif"))
    with pytest.raises(InputError, match="no counts"):
        every_frame(read_series(tmp_path / "a0.tif"))
    TifImage(data=data[0].astype("f4")).write(str(tmp_path / "a0.tif"))
    assert (every_frame(read_series(tmp_path / "a0.tif"))[0] == data[0]).all()
    (tmp_path / "b.cbf").write_bytes(b"")
    with pytest.raises(InputError, match="several kinds"):
        read_series(tmp_path)
    with pytest.raises(InputError, match="no images"):
        frame_files(tmp_path / "nothing_*.tif")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("4.987 m", "-4.987 m", "negative Detector_distance"),
        ("4.987 m", "4.987 furlong", "in 'furlong'; known are m"),
        ("4.987 m", "far m", "'far' where the number of Detector_distance"),
        ("4.987 m", "nan m", "'nan' where the number"),
        ("0.997 s", "1.e- s", "'1.e-' where the number of Exposure_time"),
        ("1.24 A", "1e999 A", "'1e999' where the number of Wavelength"),
        ("175e-6 m", "-175e-6 m", "Pixel_size that is not positive"),
        ("m x 175e-6", "m by 175e-6", "cannot be understood"),
        ("Start_angle 0.0000", "Start_angle 1-2", "'1-2' where the number of Start_angle"),
    ],
)
def test_faults_of_headers(old, new, says, tmp_path):
    image = CbfImage(data=frames(1, "i4")[0])
    assert old in HEADER.format(start=0.0)
    image.header["_array_data.header_contents"] = HEADER.format(start=0.0).replace(old, new)
    image.write(str(tmp_path / "a.cbf"))
    with pytest.raises(InputError, match=says) as caught:
        read_series(tmp_path)
    assert "\n" not in str(caught.value)


def test_headers_that_do_not_agree(tmp_path):
    write_cbf(tmp_path)
    path = tmp_path / "ball_10.cbf"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"4.987", b"3.987"))
    with pytest.raises(InputError, match=r"ball_10\.cbf: its header has another Detector_distance than ball_8"):
        read_series(tmp_path)
    path.write_bytes(whole.replace(b"# Start_angle", b"# Xtart_angle"))
    with pytest.raises(InputError, match=r"ball_10\.cbf: .*only one tells its Start_angle"):
        read_series(tmp_path)
    path.write_bytes(whole.replace(b"signed 32-bit", b"signed 16-bit"))
    with pytest.raises(InputError, match=r"ball_10\.cbf: has pixels of type signed 16-bit"):
        read_series(tmp_path)


def test_units_of_headers(tmp_path):
    image = CbfImage(data=frames(1, "i4")[0])
    header = HEADER.format(start=0.0).replace("1.24 A", "0.124 nm").replace("4.987 m", "4987 mm")
    image.header["_array_data.header_contents"] = header.replace("(2.40, 3.10)", "(0.00, 0.00)")
    image.write(str(tmp_path / "a.cbf"))
    series = read_series(tmp_path)
    assert series.wavelength_nm == pytest.approx(0.124)
    assert series.distance_m == pytest.approx(4.987)
    assert series.beam_centre_px is None  # what the detector writes whom nobody told


def test_a_checksum_that_fabio_only_logs(tmp_path):
    write_cbf(tmp_path, 1)
    path = tmp_path / "ball_8.cbf"
    content = bytearray(path.read_bytes())
    content[content.index(b"\x0c\x1a\x04\xd5") + 10] ^= 3
    path.write_bytes(content)
    assert (fabio.open(str(path)).data != frames(1, "i4")[0]).any()
    with pytest.raises(InputError, match="Checksum"):
        every_frame(read_series(tmp_path))


def big_endian_tiff(frame: np.ndarray, comment: bytes) -> bytes:
    """Return a TIFF with its directory behind its pixels (TIFF 6.0, section 2)."""
    raw = frame.astype(">u2").tobytes()
    rows, columns = frame.shape
    short = 1 << 16
    entries = [
        (256, 4, 1, columns), (257, 4, 1, rows), (258, 3, 1, 16 * short), (259, 3, 1, short), (262, 3, 1, short),
        (270, 2, len(comment), 8 + len(raw)), (273, 4, 1, 8), (277, 3, 1, short), (278, 4, 1, rows),
        (279, 4, 1, len(raw)),
    ]  # fmt: skip
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    begin = 8 + len(raw) + len(comment)
    return b"MM\0*" + struct.pack(">I", begin) + raw + comment + directory + bytes(4)


def test_tiff_with_comments_and_its_directory_last(tmp_path):
    data = frames(3, "u2")
    for k, frame in enumerate(data):
        comment = HEADER.format(start=0.5 * k).encode() + b"\0"
        (tmp_path / f"a_{k}.tif").write_bytes(big_endian_tiff(frame, comment))
    series = read_series(tmp_path)
    assert all(frame.dtype.isnative for frame in series.read(range(3)))
    assert (every_frame(series) == data).all()
    assert series.angles_deg == pytest.approx([0.25, 0.75, 1.25])
    assert series.distance_m == pytest.approx(4.987)
    assert series.beam_centre_px == pytest.approx((3.1, 2.4))


def test_directories_of_tiff(tmp_path):
    """In a circle of them, fabio goes for ever."""
    path = tmp_path / "a.tif"
    whole = big_endian_tiff(frames(1, "u2")[0], b"\0")
    first = whole[4:8]
    for content, says in (
        (whole[:-4] + first, "several images"),
        (whole[:-4] + struct.pack(">I", len(whole)) + whole[-4 - 120 - 2 :], "several images"),
        (whole[:-2], "is cut"),
        (whole[:4] + bytes([255]) + whole[5:], "is cut"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            read_series(path)


def test_names_of_images(tmp_path):
    frame = TifImage(data=frames(1, "u2")[0])
    for name in ("a_10", "a_9", "a_8", "b[1]", "c²1"):
        frame.write(str(tmp_path / f"{name}.tif"))
    names = [path.stem for path in frame_files(tmp_path)]
    assert names == ["a_8", "a_9", "a_10", "b[1]", "c²1"]
    assert read_series(tmp_path / "b[1].tif").n == 1
    (tmp_path / "a_9.tif").unlink()
    frame.write(str(tmp_path / "a_11.tif"))
    with pytest.warns(SimscWarning, match=r"after it comes a_10\.tif"):
        assert read_series(tmp_path / "a_*.tif").n == 3
    TifImage(data=frames(1, "u4")[0]).write(str(tmp_path / "a_11.tif"))
    with pytest.raises(InputError, match=r"a_11\.tif: has pixels of type 32 bits"):
        read_series(tmp_path / "a_*.tif")
    shutil.copy(write_eiger(tmp_path), tmp_path / "a_12.tif")
    with pytest.raises(InputError, match=r"a_12\.tif"):
        read_series(tmp_path / "a_*.tif")
    for path in ("absent_master.h5", "absent"):
        with pytest.raises(InputError, match="no such file or folder"):
            read_series(tmp_path / path)


def test_angles_from_files(tmp_path):
    path = tmp_path / "angles.txt"
    for text, expected in (
        ("0\n0.5\n1\n", [0, 0.5, 1]),
        ("# by hand\nframe, omega\n1, 0.5\n2, 1.0 # late\n", [0.5, 1.0]),
        ("1 0.5 7\n2 1.0 8\n", [7, 8]),
        ("\ufeff0.5\n1.0\n", [0.5, 1.0]),
    ):
        path.write_text(text)
        assert read_angles(path).tolist() == expected
    path.write_text("frame omega\n1 0.5\n")
    assert read_angles(path, "frame").tolist() == [1]
    fio = tmp_path / "scan.fio"
    fio.write_text(FIO)
    assert read_angles(fio).tolist() == [0, 0.5, 1]
    assert read_angles(fio, "current").tolist() == [99.1, 99.9, 98.7]
    for text, says in (
        ("", "no numbers"), ("1 2\n3\n", "line 2 has 1 columns"), ("1\nx\n", "line 2 holds something"),
        ("nan\n", "line 1 holds something"), ("1e999\n", "no numbers"), ("0,5\n1,0\n1,5\n", "must number the frames"),
        ("3 0.5\n1 1.0\n", "must number the frames"), ("1;0,5\n", "both commas and semicolons"),
        ("omega 1\n2 3\n", "line 1 holds something"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            read_angles(path)
    fio.write_text(FIO.replace("current DOUBLE", "file STRING").replace("99.9", "a.tif"))
    assert read_angles(fio).tolist() == [0, 0.5, 1]
    fio.write_text(FIO.replace("99.9", "nan"))  # a counter that was not read
    assert read_angles(fio).tolist() == [0, 0.5, 1]
    fio.write_text(FIO.replace("current", "omega"))
    with pytest.raises(InputError, match="several columns 'omega'"):
        read_angles(fio, "omega")
    fio.write_text(FIO.replace("99.1", "1").replace("99.9", "2").replace("98.7", "3"))
    with pytest.raises(InputError, match="2 of its columns go on in even steps"):
        read_angles(fio)
    fio.write_text(FIO)
    with pytest.raises(InputError, match="no column 'phi'; it has omega, current"):
        read_angles(fio, "phi")
    fio.write_text(FIO.replace(" 0.5 99.9", " 0.5"))
    with pytest.raises(InputError, match="does not hold 2 numbers"):
        read_angles(fio)
    with pytest.raises(InputError, match="cannot be read"):
        read_angles(tmp_path / "absent.txt")
    assert angles_of_frames(np.array([1.0, 2.0]), 6, "x").tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(InputError, match="7 frames and 2 angles"):
        angles_of_frames(np.array([1.0, 2.0]), 7, "x")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_turns_frames_mask_and_centre_alike(orientation, tmp_path):
    """A pixel keeps its count, its mask and its distance from the beam."""
    master = write_eiger(tmp_path)
    plain, turned = read_series(master), read_series(master, orientation)
    assert sorted(turned.shape) == sorted(plain.shape)
    frame, other = next(iter(plain.read([1]))), next(iter(turned.read([1])))

    def places(series, picture):
        rows, columns = np.indices(series.shape)
        row, column = series.beam_centre_px
        height, width = series.pixel_m
        across, down = (columns - column) * width, (rows - row) * height
        marks = [np.round(x, 9).ravel() for x in (across, down)]
        return list(zip(*marks, picture.ravel().tolist(), series.bad.ravel().tolist(), strict=True))

    def expected(across, down):
        if "transposed" in orientation:
            across, down = down, across
        return (-across if "left" in orientation else across, -down if "up" in orientation else down)

    by_hand = [(*expected(x, y), count, bad) for x, y, count, bad in places(plain, frame)]
    assert sorted(by_hand) == sorted(places(turned, other))
    with pytest.raises(InputError, match="not known"):
        read_series(master, "upside")


class InMemory:
    """Reads frames from an array."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def __call__(self, numbers):
        return (self.data[number] for number in numbers)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    orientation=st.sampled_from(ORIENTATIONS),
    centre=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
def test_turned_there_and_back(shape, orientation, centre):
    """Flips undo themselves; after a transposition, what flipped columns flips rows."""
    data = np.arange(np.prod(shape)).reshape(shape)
    series = FrameSeries(
        "x",
        shape[0],
        shape[1:],
        data.dtype,
        InMemory(data),
        data[0] % 3 == 0,
        pixel_m=(1.0, 2.0),
        beam_centre_px=centre,
    )
    back = orientation
    if "transposed" in orientation:
        columns = "left" if "up" in orientation else "right"
        back = f"transposed-{columns}-{'up' if 'left' in orientation else 'down'}"
    once = oriented(series, orientation)
    again = oriented(once, back)
    assert next(iter(once.read([0]))).shape == once.shape == once.bad.shape
    assert (every_frame(again) == data).all()
    assert (again.bad == series.bad).all()
    assert again.shape == series.shape
    assert again.pixel_m == series.pixel_m
    assert again.beam_centre_px == pytest.approx(centre)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_read_right_or_refused(data, tmp_path_factory):
    """Bytes flipped or cut anywhere."""
    folder = tmp_path_factory.mktemp("damaged")
    write_eiger(folder)
    write_cbf(folder, 1)
    (folder / "scan.fio").write_text(FIO)
    (folder / "angles.txt").write_text("frame, omega\n1, 0.5\n2, 1.0 # late\n")
    (folder / "a_1.tif").write_bytes(big_endian_tiff(frames(1, "u2")[0], HEADER.format(start=0.0).encode() + b"\0"))
    target = data.draw(st.sampled_from(sorted(path for path in folder.iterdir())))
    content = bytearray(target.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    target.write_bytes(bytes(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (
            lambda: every_frame(read_series(folder / "run_master.h5")),
            lambda: every_frame(read_series(folder / "*.cbf")),
            lambda: every_frame(read_series(folder / "*.tif")),
            lambda: read_angles(folder / "angles.txt"),
            lambda: read_angles(folder / "scan.fio"),
        ):
            with contextlib.suppress(InputError):
                read()

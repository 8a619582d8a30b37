"""Volumes as h5py, NumPy and mrcfile write them: read as they are, in nm⁻¹, or refused in one line."""

import contextlib
import warnings
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simsc.core.errors import InputError, SimscWarning
from simsc.core.files import write_intensity
from simsc.core.intensity import IntensityVolume
from simsc.experiment.volume_files import VolumeOptions, read_volume

AXES = (np.linspace(-0.5, 0.5, 6), np.linspace(-0.6, 0.6, 5), np.linspace(-0.7, 0.7, 4))  # nm⁻¹
INTENSITY = np.random.default_rng(0).uniform(1, 2, (6, 5, 4))


def assert_is(volume, intensity=INTENSITY, axes=AXES):
    assert volume.intensity == pytest.approx(intensity, rel=1e-6, nan_ok=True)
    for axis, expected in zip(volume.q_axes_inv_nm, axes, strict=True):
        assert axis == pytest.approx(expected)


def write_nxdata(path: Path, unit: str = "1/angstrom", factor: float = 0.1, order: str = "xyz") -> None:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs["default"] = "data"
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="counts", axes=[f"Q{axis}" for axis in order])
        data["counts"] = INTENSITY.transpose(["xyz".index(axis) for axis in order])
        data["counts_errors"] = np.sqrt(data["counts"][:])
        for axis, values in zip("xyz", AXES, strict=True):
            data[f"Q{axis}"] = values * factor
            if unit:
                data[f"Q{axis}"].attrs["units"] = unit


@pytest.mark.parametrize(
    ("unit", "factor"), [("1/angstrom", 0.1), ("Å^-1", 0.1), ("nm^{-1}", 1.0), ("1/nm", 1.0), ("m⁻¹", 1e9)]
)
def test_nxdata_with_units(unit, factor, tmp_path):
    path = tmp_path / "volume.h5"
    write_nxdata(path, unit, factor)
    volume = read_volume(path)
    assert_is(volume)
    assert volume.variance == pytest.approx(INTENSITY)
    assert volume.measured is None


def test_nxdata_in_another_order_and_without_units(tmp_path):
    path = tmp_path / "volume.h5"
    write_nxdata(path, order="zyx")
    assert_is(read_volume(path, VolumeOptions(order="zyx")))
    write_nxdata(path, unit="")
    with pytest.raises(InputError, match="does not tell the unit of q; give --unit"):
        read_volume(path)
    assert_is(read_volume(path, VolumeOptions(unit="1/A")))
    write_nxdata(path)
    with pytest.raises(InputError, match=r"says that q is in 1/angstrom, --unit says 1/nm"):
        read_volume(path, VolumeOptions(unit="1/nm"))
    write_nxdata(path, unit="furlong")
    with pytest.raises(InputError, match="unit 'furlong'"):
        read_volume(path)


def test_our_own_files(tmp_path):
    write_intensity(tmp_path / "own.h5", IntensityVolume(INTENSITY, AXES), {})
    assert_is(read_volume(tmp_path / "own.h5"))


def test_numpy_arrays(tmp_path):
    np.save(tmp_path / "volume.npy", INTENSITY)
    assert_is(
        read_volume(tmp_path / "volume.npy", VolumeOptions("1/A", 0.05)),
        axes=tuple(np.linspace(-0.5, 0.5, n) for n in (6, 5, 4)),
    )
    with pytest.raises(InputError, match="does not tell its axes; give --q-max"):
        read_volume(tmp_path / "volume.npy", VolumeOptions("1/A"))
    qx, qy, qz = AXES
    measured = INTENSITY > 1.2
    np.savez(tmp_path / "volume.npz", data=INTENSITY, qx=qx[::-1], qy=qy, qz=qz, measured=measured)
    volume = read_volume(tmp_path / "volume.npz", VolumeOptions("1/nm", names={"intensity": "data"}))
    assert_is(volume, np.where(measured, INTENSITY, np.nan)[::-1])
    assert (volume.measured == measured[::-1]).all()
    with pytest.raises(InputError, match="has no array 'intensity', but data, qx"):
        read_volume(tmp_path / "volume.npz", VolumeOptions("1/nm"))
    with pytest.raises(InputError, match="axes of its own"):
        read_volume(tmp_path / "volume.npz", VolumeOptions("1/nm", 0.5, {"intensity": "data"}))
    np.savez(tmp_path / "swapped.npz", intensity=INTENSITY.T, qx=qx, qy=qy, qz=qz)
    with pytest.raises(InputError, match="qx has 6 numbers, the intensity 4 along x; check --order"):
        read_volume(tmp_path / "swapped.npz", VolumeOptions("1/nm"))
    assert_is(read_volume(tmp_path / "swapped.npz", VolumeOptions("1/nm", order="zyx")))


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "volume.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pickle"):
        read_volume(tmp_path / "volume.npy", VolumeOptions("1/A", 1.0))


def test_mrc(tmp_path):
    with mrcfile.new(tmp_path / "volume.mrc") as file:
        file.set_data(INTENSITY.transpose(2, 1, 0).astype(np.float32))
    volume = read_volume(tmp_path / "volume.mrc", VolumeOptions("1/nm", 0.5))
    assert_is(volume, axes=tuple(np.linspace(-0.5, 0.5, n) for n in (6, 5, 4)))


def test_zeros_and_nan(tmp_path):
    holes = INTENSITY.copy()
    holes[:2] = 0
    holes[3, 3] = np.nan
    np.save(tmp_path / "volume.npy", holes)
    with pytest.warns(SimscWarning, match="33 % of the intensities are exactly 0"):
        volume = read_volume(tmp_path / "volume.npy", VolumeOptions("1/nm", 0.5))
    assert (~volume.measured).sum() == 4
    volume = read_volume(tmp_path / "volume.npy", VolumeOptions("1/nm", 0.5, zeros_missing=True))
    assert (~volume.measured).sum() == 4 + 2 * 20
    np.save(tmp_path / "volume.npy", 0 * INTENSITY)
    with pytest.raises(InputError, match="no intensity that was measured"):
        read_volume(tmp_path / "volume.npy", VolumeOptions("1/nm", 0.5, zeros_missing=True))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((5, 5)), "three dimensions"),
        (np.zeros((5, 5, 3)), "at least 4"),
        (np.zeros((5, 5, 5), dtype=complex), "complex"),
        (np.array(["a"]), "type"),
    ],
)
def test_arrays_that_are_no_volume(array, says, tmp_path):
    np.save(tmp_path / "volume.npy", array)
    with pytest.raises(InputError, match=says):
        read_volume(tmp_path / "volume.npy", VolumeOptions("1/nm", 0.5))


def test_other_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "absent.npy")
    (tmp_path / "text.txt").write_text("hello")
    for options, says in (
        (VolumeOptions("1/nm"), "of no kind that is known"),
        (VolumeOptions("1/nm", order="xxz"), "x, y and z once each"),
    ):
        with pytest.raises(InputError, match=says):
            read_volume(tmp_path / "text.txt", options)
    np.save(tmp_path / "volume.npy", INTENSITY)
    for options, says in (
        (VolumeOptions("1/inch", 1.0), "is one of 1/nm, 1/A, 1/m"),
        (VolumeOptions("1/nm", -1.0), "must be a positive number"),
    ):
        with pytest.raises(InputError, match=says):
            read_volume(tmp_path / "volume.npy", options)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_volumes_are_read_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    write_nxdata(folder / "a.h5")
    np.save(folder / "b.npy", INTENSITY)
    np.savez(folder / "c.npz", intensity=INTENSITY, qx=AXES[0], qy=AXES[1], qz=AXES[2])
    with mrcfile.new(folder / "d.mrc") as file:
        file.set_data(INTENSITY.astype(np.float32))
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path.write_bytes(bytes(content))
    with warnings.catch_warnings(), contextlib.suppress(InputError):
        warnings.simplefilter("ignore")
        has_axes = path.suffix in (".h5", ".npz")
        read_volume(path, VolumeOptions("1/A", None if has_axes else 1.0))

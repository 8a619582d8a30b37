"""Volumes of other programs: every format tells the same intensity, and what it does not tell has to be told."""

import gzip
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
from conftest import simsc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume
from simsc.core.units import inv_nm_per
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_volume
from simsc.io import probe
from simsc.io.native import read_intensity, read_map, write_intensity
from simsc.io.volume_files import VolumeMetadata, read_volume

SHAPE = (5, 6, 7)
AXES = (np.linspace(-0.5, 0.3, 5), np.linspace(-0.5, 0.5, 6), np.linspace(-0.6, 0.6, 7))
ON_DISK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def intensity(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 9, SHAPE)


def write_nexus(path: Path, order: str = "xyz", unit: str | None = "1/nm", **others) -> Path:
    """Write NXdata in a nested group, with its dimensions in some order."""
    values, to = intensity(), ["xyz".index(letter) for letter in order]
    with h5py.File(path, "w") as file:
        entry = file.create_group("scan/process")
        for group, kind in ((file["scan"], "NXentry"), (entry, "NXprocess")):
            group.attrs["NX_class"] = kind
        data = entry.create_group("volume")
        data.attrs.update(NX_class="NXdata", signal="counts_per_pixel", axes=[f"Q{letter}" for letter in order])
        data.create_dataset("counts_per_pixel", data=values.transpose(to), chunks=True, compression="gzip")
        for letter in "xyz":
            data[f"Q{letter}"] = AXES["xyz".index(letter)]
            if unit is not None:
                data[f"Q{letter}"].attrs["units"] = unit
        for name, other in others.items():
            data[name] = other.transpose(to) if other.ndim == 3 else other
    return path


def axis_files(folder: Path) -> tuple[Path, Path, Path]:
    files = tuple(folder / name for name in ("x.txt", "y.npy", "z.txt"))
    np.savetxt(files[0], AXES[0] / 10)
    np.save(files[1], AXES[1] / 10)
    np.savetxt(files[2], AXES[2] / 10, fmt="%.4f")
    return files


def is_it(volume: IntensityVolume, expected: np.ndarray | None = None, tolerance: float = 0.0) -> None:
    expected = intensity() if expected is None else expected
    assert np.allclose(volume.intensity, expected, rtol=tolerance, atol=0, equal_nan=True)
    for axis, known in zip(volume.q_axes_inv_nm, AXES, strict=True):
        assert axis == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("1/nm", 1), ("nm^-1", 1), ("nm-1", 1), ("nm⁻¹", 1), ("1/nanometer", 1), ("1/A", 10), ("A^-1", 10),
        ("Å⁻¹", 10), ("1/\N{ANGSTROM SIGN}", 10), ("1/angstrom", 10), ("1/Angstroms", 10), ("angstrom**-1", 10),
        ("1/m", 1e-9), ("m-1", 1e-9), (" 1 / um ", 1e-3), ("µm^{-1}", 1e-3), ("1/mm", 1e-6),
    ],
)  # fmt: skip
def test_units(text, factor):
    assert inv_nm_per(text) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("text", ["", "nm", "A", "rlu", "1/Mm", "1/a", "2pi/nm", "1/nm^2", "deg", "-1", "1/"])
def test_what_is_no_unit_is_refused(text):
    with pytest.raises(InputError, match="no unit of momentum transfer"):
        inv_nm_per(text)


@pytest.mark.parametrize("order", ["xyz", "zyx", "yxz", "zxy", "yzx"])
def test_nexus(order, tmp_path):
    is_it(read_volume(write_nexus(tmp_path / "a.nxs", order)))


def test_units_of_files_are_converted_and_never_guessed(tmp_path):
    volume = read_volume(write_nexus(tmp_path / "a.nxs", unit="1/angstrom"))
    assert volume.q_axes_inv_nm[2] == pytest.approx(10 * AXES[2])
    with pytest.raises(InputError, match="tells the unit 1/angstrom of its axis Qx, the option 1/nm"):
        read_volume(tmp_path / "a.nxs", VolumeMetadata("1/nm"))
    assert read_volume(tmp_path / "a.nxs", VolumeMetadata("A^-1")).q_axes_inv_nm[2] == pytest.approx(10 * AXES[2])
    write_nexus(tmp_path / "b.nxs", unit=None)
    with pytest.raises(InputError, match="does not tell the unit of its axis Qx"):
        read_volume(tmp_path / "b.nxs")
    assert read_volume(tmp_path / "b.nxs", VolumeMetadata("1/A")).q_axes_inv_nm[2] == pytest.approx(10 * AXES[2])
    with pytest.raises(InputError, match="'rlu' is no unit"):
        read_volume(write_nexus(tmp_path / "c.nxs", unit="rlu"))


def test_errors_and_masks_of_nexus(tmp_path):
    errors, mask = np.sqrt(intensity(1)), np.zeros(SHAPE, dtype="u1")
    mask[1, 2] = 1
    write_nexus(tmp_path / "a.nxs", "zyx", counts_per_pixel_errors=errors, mask=mask)
    with pytest.raises(InputError, match="whether a 1 in it means measured or missing"):
        read_volume(tmp_path / "a.nxs")
    volume = read_volume(tmp_path / "a.nxs", VolumeMetadata(mask_true="missing"))
    assert (volume.measured == (mask == 0)).all()
    is_it(volume, np.where(mask == 0, intensity(), np.nan))
    assert volume.variance[mask == 0] == pytest.approx(errors[mask == 0] ** 2)
    assert (read_volume(tmp_path / "a.nxs", VolumeMetadata(mask_true="measured")).measured == (mask == 1)).all()
    with pytest.raises(InputError, match="both a variance and standard deviations"):
        read_volume(write_nexus(tmp_path / "b.nxs", errors=errors, variance=errors))
    with pytest.raises(InputError, match="cannot be negative"):
        read_volume(write_nexus(tmp_path / "c.nxs", errors=-errors))
    with pytest.raises(InputError, match="other numbers than 0 and 1"):
        read_volume(write_nexus(tmp_path / "d.nxs", mask=mask * 3), VolumeMetadata(mask_true="missing"))
    with pytest.raises(InputError, match="has no mask"):
        read_volume(write_nexus(tmp_path / "e.nxs"), VolumeMetadata(mask_true="missing"))


def test_old_nexus_and_edges_of_bins(tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        data = file.create_group("entry/data")
        data.attrs["NX_class"] = "NXdata"
        data["v"] = intensity()
        data["v"].attrs.update(signal=1, axes="qx:qy:qz")
        for name, axis in zip(("qx", "qy", "qz"), AXES, strict=True):
            half = (axis[1] - axis[0]) / 2
            data[name] = np.append(axis - half, axis[-1] + half)
            data[name].attrs["units"] = "1/nm"
    is_it(read_volume(tmp_path / "a.nxs"))


def test_several_volumes_need_a_name(tmp_path):
    path = write_nexus(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        file.copy("scan/process/volume", "scan/other")
    with pytest.raises(InputError, match=r"several NXdata \(scan/other, scan/process/volume\)"):
        read_volume(path)
    is_it(read_volume(path, VolumeMetadata(names={"intensity": "scan/process/volume/counts_per_pixel"})))
    with h5py.File(path, "r+") as file:
        file.attrs["default"], file["scan"].attrs["default"] = "scan", "other"
        file["scan/other/counts_per_pixel"][...] *= 2
    is_it(read_volume(path), 2 * intensity())


def test_hdf5_without_nexus(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/volume"] = intensity().astype(">f4")
        for name, axis in zip("abc", AXES, strict=True):
            file[name] = axis.astype("f4")
    names = {"intensity": "deep/volume", "qx": "a", "qy": "b", "qz": "c"}
    is_it(read_volume(tmp_path / "a.h5", VolumeMetadata("1/nm", names=names)), intensity().astype("f4"))
    with pytest.raises(InputError, match="has no NXdata; name the arrays"):
        read_volume(tmp_path / "a.h5", VolumeMetadata("1/nm"))
    with pytest.raises(InputError, match="has no array deep/nothing"):
        read_volume(tmp_path / "a.h5", VolumeMetadata("1/nm", names=names | {"intensity": "deep/nothing"}))
    with pytest.raises(InputError, match="does not tell q along x"):
        read_volume(tmp_path / "a.h5", VolumeMetadata("1/nm", names={"intensity": "deep/volume"}))


def test_what_was_never_written_is_no_zero(tmp_path):
    for name, options, fill in (("a", {"chunks": (1, 6, 7)}, 0), ("b", {}, 0), ("c", {"chunks": (1, 6, 7)}, np.nan)):
        path = write_nexus(tmp_path / f"{name}.nxs")
        with h5py.File(path, "r+") as file:
            group = file["scan/process/volume"]
            del group["counts_per_pixel"]
            data = group.create_dataset("counts_per_pixel", SHAPE, "f8", fillvalue=fill, **options)
            if name != "b":
                data[:3] = intensity()[:3]
        if name == "c":
            expected = intensity()
            expected[3:] = np.nan
            is_it(read_volume(path), expected)
        else:
            with pytest.raises(InputError, match="was not written to its end"):
                read_volume(path)


def test_a_hole_in_a_heap_does_not_hang(tmp_path, monkeypatch):
    """As a file has it whose blocks never reached the disk: HDF5 reads its texts for ever."""
    monkeypatch.setattr(probe, "_PATIENCE_S", 1.0)
    content = write_nexus(tmp_path / "a.nxs").read_bytes()
    heap = content.index(b"GCOL")
    (tmp_path / "b.nxs").write_bytes(content[: heap + 80] + bytes(64) + content[heap + 144 :])
    with pytest.raises(InputError, match="does not come to an end"):
        read_volume(tmp_path / "b.nxs")


def test_a_file_does_not_say_what_else_is_read(tmp_path):
    (tmp_path / "in").mkdir()
    write_nexus(tmp_path / "secret.nxs")
    whole = "scan/process/volume/counts_per_pixel"
    for k, make in enumerate((
        lambda file: file.__setitem__(whole, h5py.ExternalLink("../secret.nxs", whole)),
        lambda file: file.create_virtual_dataset(whole, virtual(tmp_path / "secret.nxs", whole)),
        lambda file: file.create_dataset(whole, SHAPE, "f8", external=[(str(tmp_path / "raw"), 0, 8 * 210)]),
    )):  # fmt: skip
        path = write_nexus(tmp_path / "in" / f"{k}.nxs")
        with h5py.File(path, "r+") as file:
            del file[whole]
            make(file)
        with pytest.raises(InputError, match=r"outside of its folder|lies in other files"):
            read_volume(path)


def virtual(path: Path, name: str) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout(SHAPE, "f8")
    layout[...] = h5py.VirtualSource(path, name, SHAPE)
    return layout


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", intensity())
    with pytest.raises(InputError, match="does not tell q along x"):
        read_volume(tmp_path / "a.npy", VolumeMetadata("1/nm"))
    with pytest.raises(InputError, match="does not tell the unit of"):
        read_volume(tmp_path / "a.npy", VolumeMetadata(q_max=0.5))
    volume = read_volume(tmp_path / "a.npy", VolumeMetadata("1/A", q_max=0.05))
    assert [(axis[0], axis[-1]) for axis in volume.q_axes_inv_nm] == [pytest.approx((-0.5, 0.5))] * 3
    is_it(read_volume(tmp_path / "a.npy", VolumeMetadata("1/A", q_axes=axis_files(tmp_path))))
    with pytest.raises(InputError, match="6 points along y have no middle one"):
        read_volume(tmp_path / "a.npy", VolumeMetadata("1/nm", q_step=0.2))
    is_it(read_volume(tmp_path / "a.npy", VolumeMetadata("1/nm", q_step=0.2, centre=(2.5, 2.5, 3))))
    np.save(tmp_path / "b.npy", intensity().transpose(2, 0, 1))
    is_it(read_volume(tmp_path / "b.npy", VolumeMetadata("1/A", q_axes=axis_files(tmp_path), order="zxy")))
    with pytest.raises(InputError, match=r"the file tells q from -0\.5 to 0\.3"):
        read_volume(write_nexus(tmp_path / "a.nxs"), VolumeMetadata("1/nm", q_axes=axis_files(tmp_path)))


def test_descending_axes_are_turned(tmp_path):
    np.savez(tmp_path / "a.npz", intensity=intensity()[::-1, :, ::-1], qx=AXES[0][::-1], qy=AXES[1], qz=AXES[2][::-1])
    is_it(read_volume(tmp_path / "a.npz", VolumeMetadata("1/nm")))


def test_npz(tmp_path):
    counts = np.arange(210).reshape(SHAPE) % 5
    axes = dict(zip(("qx", "qy", "qz"), AXES, strict=True))
    np.savez(tmp_path / "a.npz", intensity=intensity(), counts=counts, variance=intensity(1), **axes)
    volume = read_volume(tmp_path / "a.npz", VolumeMetadata("1/nm"))
    is_it(volume, np.where(counts > 0, intensity(), np.nan))
    assert volume.variance[counts > 0] == pytest.approx(intensity(1)[counts > 0])
    np.savez(tmp_path / "e.npz", intensity=intensity(), unit="1/m", **{q: 1e9 * axis for q, axis in axes.items()})
    is_it(read_volume(tmp_path / "e.npz"))
    np.savez_compressed(tmp_path / "b.npz", I=intensity().T, good=(counts > 0).T, Q1=AXES[0], qy=AXES[1], qz=AXES[2])
    told = VolumeMetadata("1/nm", order="zyx", names={"intensity": "I", "measured": "good", "qx": "Q1"})
    is_it(read_volume(tmp_path / "b.npz", told), np.where(counts > 0, intensity(), np.nan))
    with pytest.raises(InputError, match="has no array intensity; it holds I, Q1, good, qy, qz"):
        read_volume(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", intensity=intensity(), counts=counts - 1, **axes)
    with pytest.raises(InputError, match="cannot be negative"):
        read_volume(tmp_path / "c.npz", VolumeMetadata("1/nm"))
    np.savez(tmp_path / "d.npz", intensity=intensity(), measured=counts[:4] > 0, **axes)
    with pytest.raises(InputError, match=r"measured has shape \(4, 6, 7\)"):
        read_volume(tmp_path / "d.npz", VolumeMetadata("1/nm"))


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "b.npz", intensity=trap)
    trap.dump(tmp_path / "c.npy")
    for name in ("a.npy", "b.npz", "c.npy"):
        with pytest.raises(InputError):
            read_volume(tmp_path / name, VolumeMetadata("1/nm", q_max=0.5))
    assert not (tmp_path / "sprung").exists()


def test_messages_about_damaged_files_are_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", **{"inte\nsity": np.ones((4, 4, 4))})
    with pytest.raises(InputError, match=r"has no array intensity; it holds inte sity$"):
        read_volume(tmp_path / "a.npz")
    with mrcfile.new(tmp_path / "a.mrc", np.ones((4, 4, 4), dtype="f4")) as file:
        # A stack of volumes of no section each: the library divides by it.
        file.header.ispg, file.header.mz = 401, 0
    with pytest.raises(InputError, match=r"a\.mrc"):
        read_volume(tmp_path / "a.mrc")


def test_mrc(tmp_path):
    values = intensity().astype("f4")
    with mrcfile.new(tmp_path / "a.mrc", values.transpose(2, 1, 0)) as file:
        file.voxel_size = 3.2  # Å, of no meaning here
    told = VolumeMetadata("1/A", q_axes=axis_files(tmp_path))
    is_it(read_volume(tmp_path / "a.mrc", told), values)
    with pytest.raises(InputError, match="does not tell q along"):
        read_volume(tmp_path / "a.mrc")
    with pytest.raises(InputError, match="tells the order zyx of its axes, the option xyz"):
        read_volume(tmp_path / "a.mrc", replace(told, order="xyz"))
    with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
        file.header.mapc, file.header.maps = 3, 1  # columns are z
        file.set_data(values)
    is_it(read_volume(tmp_path / "a.mrc", told), values)
    (tmp_path / "b.mrc").write_bytes(gzip.compress((tmp_path / "a.mrc").read_bytes()))
    is_it(read_volume(tmp_path / "b.mrc", told), values)
    (tmp_path / "c.mrc").write_bytes((tmp_path / "a.mrc").read_bytes() + b"more")
    with pytest.warns(SimscWarning, match=r"c\.mrc"):
        is_it(read_volume(tmp_path / "c.mrc", told), values)
    with mrcfile.new(tmp_path / "d.mrc", values.astype("c8")):
        pass
    with pytest.raises(InputError, match="real numbers"):
        read_volume(tmp_path / "d.mrc", told)


def test_own_files_tell_everything(tmp_path):
    measured = intensity() > 3
    volume = IntensityVolume(np.where(measured, intensity(), np.nan), AXES, measured, 99.0, intensity(1))
    write_intensity(tmp_path / "a.h5", volume, {})
    found = read_volume(tmp_path / "a.h5")
    is_it(found, volume.intensity)
    assert found.diameter_nm == 99.0
    with pytest.raises(InputError, match="leave the options out"):
        read_volume(tmp_path / "a.h5", VolumeMetadata("1/nm"))


def test_nothing_is_filled_with_zeros(tmp_path):
    values = intensity()
    values[0] = 0
    np.save(tmp_path / "a.npy", values)
    told = VolumeMetadata("1/nm", q_max=0.5)
    with pytest.warns(SimscWarning, match=r"20\.0 % of the intensity is exactly 0"):
        assert read_volume(tmp_path / "a.npy", told).measured is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (read_volume(tmp_path / "a.npy", replace(told, zeros="missing")).measured == (values != 0)).all()
        assert read_volume(tmp_path / "a.npy", replace(told, zeros="measured")).measured is None
    np.save(tmp_path / "b.npy", values - (values == 0))
    with pytest.warns(SimscWarning, match="exactly -1"):
        read_volume(tmp_path / "b.npy", told)
    assert (read_volume(tmp_path / "b.npy", replace(told, missing=(-1.0,))).measured == (values != 0)).all()
    values[values == 0] = np.nan
    np.save(tmp_path / "c.npy", values)
    volume = read_volume(tmp_path / "c.npy", told)
    assert (volume.measured == np.isfinite(values)).all()
    assert np.isnan(volume.intensity[~volume.measured]).all()
    values[1] = np.inf
    np.save(tmp_path / "d.npy", values)
    with pytest.raises(InputError, match="infinite"):
        read_volume(tmp_path / "d.npy", told)
    np.save(tmp_path / "e.npy", np.full(SHAPE, np.nan))
    with pytest.raises(InputError, match=r"e\.npy: the mask leaves no measured intensity"):
        read_volume(tmp_path / "e.npy", told)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"q_max": 1.0, "q_step": 0.1}, "more than one way"),
        ({"q_max": -1.0}, "positive"),
        ({"q_step": np.nan}, "positive"),
        ({"centre": (1, 1, 1)}, "goes with a q_step"),
        ({"order": "xxz"}, "order 'xxz'"),
    ],
)
def test_contradictions_of_the_user(options, says):
    with pytest.raises(InputError, match=says):
        VolumeMetadata("1/nm", **options)


def test_uneven_and_short_axes(tmp_path):
    np.save(tmp_path / "a.npy", intensity())
    files = axis_files(tmp_path)
    for bad, says in (
        (AXES[0] ** 3, "not evenly spaced"), (AXES[0][:4], "has 4 points, the intensity 5"),
        (np.full(5, 0.1), "not evenly spaced"), (AXES[0] * np.nan, "finite"),
    ):  # fmt: skip
        np.savetxt(files[0], bad)
        with pytest.raises(InputError, match=says):
            read_volume(tmp_path / "a.npy", VolumeMetadata("1/nm", q_axes=files))
    for content in (b"", b"a b c", b"\x93NUMPY", b"\xff\xfe\x00"):
        files[0].write_bytes(content)
        with pytest.raises(InputError, match=r"x\.txt"):
            read_volume(tmp_path / "a.npy", VolumeMetadata("1/nm", q_axes=files))


@ON_DISK
@given(content=st.binary(max_size=300), start=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x1f\x8b"]))
def test_arbitrary_bytes(content, start, tmp_path):
    (tmp_path / "a.bin").write_bytes(start + content)
    with pytest.raises(InputError, match=r"a\.bin") as caught:
        read_volume(tmp_path / "a.bin", VolumeMetadata("1/nm", q_max=0.5))
    assert "\n" not in str(caught.value)


@ON_DISK
@given(
    values=scalar_dtypes().flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, max_side=6))),
    zipped=st.booleans(),
)
def test_arbitrary_arrays_are_read_right_or_refused(values, zipped, tmp_path):
    path = tmp_path / ("a.npz" if zipped else "a.npy")
    np.savez(path, intensity=values) if zipped else np.save(path, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimscWarning)
        try:
            volume = read_volume(path, VolumeMetadata("1/nm", q_max=0.5))
        except InputError as error:
            usable = values.ndim == 3 and min(values.shape) > 3 and values.dtype.kind in "fiub"
            with np.errstate(all="ignore"):
                assert not usable or np.isnan(values).all() or not np.isfinite(values.astype(float)).all()
            if str(path) not in str(error):
                raise
            return
    assert np.array_equal(volume.intensity, values.astype(volume.intensity.dtype), equal_nan=True)
    assert volume.measured is None or (volume.measured == ~np.isnan(values)).all()


def test_from_another_program_to_a_map(tmp_path):
    """What was imported correlates as what it was made of."""
    axis = np.linspace(-0.6, 0.6, 40)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    values = 2 + np.cos(20 * x) * np.cos(25 * y) + np.sin(22 * z) ** 2
    gap = np.abs(x) < 0.02
    np.save(tmp_path / "a.npy", np.where(gap, 0, values).astype("f4"))
    done = simsc(
        "import-volume", "a.npy", "--unit", "1/A", "--q-max", "0.06", "--zeros", "missing", "-o", "i.h5", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "95.0 % were measured" in done.stdout
    assert (read_intensity(tmp_path / "i.h5").measured == ~gap).all()
    done = simsc(
        "correlate", "i.h5", "--q1", "0.4", "--q2", "0.3:0.5:0.1", "--n-delta", "19", "-o", "m.h5", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    direct = IntensityVolume(np.where(gap, np.nan, values), (axis, axis, axis), ~gap)
    expected = correlate(*shells_of_volume(direct, 0.4, np.array([0.3, 0.4, 0.5])), np.linspace(0, 180, 19))
    assert np.nanmax(np.abs(read_map(tmp_path / "m.h5").ccf - expected.ccf)) < 1e-5 * np.nanmax(expected.ccf)
    failed = simsc("import-volume", "a.npy", "--unit", "1/A", "-o", "i.h5", cwd=tmp_path)
    assert failed.returncode == 2
    assert "does not tell q along x" in failed.stderr
    failed = simsc("import-volume", "a.npy", "--name", "stuff=b", "-o", "i.h5", cwd=tmp_path)
    assert failed.returncode == 2

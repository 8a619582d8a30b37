"""What a master file may refer to: its own folder, and only what was written there."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from frame_files import SHAPE, SPECIFIC, every_frame, frames, write_eiger

from simsc.core.errors import InputError
from simsc.experiment.series import read_series

MASK = SPECIFIC + "pixel_mask"
FRAMES = "entry/data/data"
SECOND = "run_data_000002.h5"


@pytest.fixture
def master(tmp_path):
    """A master, and a file outside of its folder."""
    (tmp_path / "run").mkdir()
    with h5py.File(tmp_path / "far.h5", "w") as far:
        far[FRAMES], far["mask"], far["number"] = frames(2), np.zeros(SHAPE, "u4"), 7.0
        far["entry/instrument/detector/detector_distance"] = 9.0
    (tmp_path / "raw.bin").write_bytes(bytes(4 * 2 * SHAPE[0] * SHAPE[1]))
    return write_eiger(tmp_path / "run")


def link(file: Path, key: str, to: h5py.ExternalLink | h5py.SoftLink) -> None:
    with h5py.File(file, "r+") as content:
        if key in content:
            del content[key]
        content[key] = to


def second(master: Path):
    """Give the second data file, empty."""
    return h5py.File(master.parent / SECOND, "w")


@pytest.mark.parametrize("far", ["../far.h5", "absolute"])
@pytest.mark.parametrize(
    ("key", "to"),
    [
        (MASK, "mask"),
        ("entry/instrument/detector/detector_distance", "number"),
        ("entry/instrument", "entry/instrument"),
        ("entry", "entry"),
        ("entry/data/data_000002", FRAMES),
    ],
)
def test_external_links_stay_in_the_folder(key, to, far, master):
    far = str(master.parent.parent / "far.h5") if far == "absolute" else far
    link(master, key, h5py.ExternalLink(far, to))
    with pytest.raises(InputError, match="outside of its folder"):
        read_series(master)


def test_a_way_round_does_not_help(master):
    """By a soft link, by a data file, by raw storage, and by sources of a virtual dataset."""
    far = "../far.h5"
    link(master, "elsewhere", h5py.ExternalLink(far, FRAMES))
    link(master, "entry/data/data_000002", h5py.SoftLink("/elsewhere"))
    with pytest.raises(InputError, match="outside of its folder"):
        read_series(master)
    link(master, "entry/data/data_000002", h5py.ExternalLink(SECOND, FRAMES))
    link(master.parent / SECOND, FRAMES, h5py.ExternalLink(far, FRAMES))
    with pytest.raises(InputError, match="outside of its folder"):
        read_series(master)
    with second(master) as file:
        file.create_dataset(FRAMES, (2, *SHAPE), "u4", external=[("../raw.bin", 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(InputError, match=r"in another file \(\.\./raw\.bin\)"):
        read_series(master)
    link(master.parent / "run_data_000001.h5", "far", h5py.ExternalLink("../far.h5", FRAMES))
    for source in ("../far.h5", "run_data_000001.h5"):
        layout = h5py.VirtualLayout((2, *SHAPE), "u4")
        layout[:] = h5py.VirtualSource(source, FRAMES if source == "../far.h5" else "far", (2, *SHAPE))
        with second(master) as file:
            file.create_virtual_dataset(FRAMES, layout)
        with pytest.raises(InputError, match="outside of its folder"):
            read_series(master)


def test_links_within_the_folder_are_followed(master):
    """As facilities have them: the mask in a file of its own, frames put together from others."""
    expected = read_series(master)
    data = every_frame(expected)
    with h5py.File(master.parent / "meta.h5", "w") as meta:
        meta["mask"] = expected.bad.astype("u4")
        meta["same"] = h5py.SoftLink("mask")
    link(master, MASK, h5py.ExternalLink("meta.h5", "same"))
    shutil.copy(master.parent / SECOND, master.parent / "part.h5")
    layout = h5py.VirtualLayout((2, *SHAPE), "u4")
    for k in range(2):
        layout[1 - k] = h5py.VirtualSource("part.h5", FRAMES, (2, *SHAPE))[k]
    with second(master) as file:
        file.create_virtual_dataset(FRAMES, layout)
    series = read_series(master)
    assert (series.bad == expected.bad).all()
    assert (every_frame(series) == data[[0, 1, 2, 3, 5, 4]]).all()


def test_links_in_a_circle(master):
    key = "entry/data/data_000002"
    for to in (h5py.SoftLink(f"/{key}"), h5py.ExternalLink("run_master.h5", key)):
        link(master, key, to)
        with pytest.raises(InputError, match="in a circle"):
            read_series(master)
    link(master, key, h5py.ExternalLink(SECOND, FRAMES))
    layout = h5py.VirtualLayout((2, *SHAPE), "u4")
    layout[:] = h5py.VirtualSource(SECOND, FRAMES, (2, *SHAPE))
    with second(master) as file:
        file.create_virtual_dataset(FRAMES, layout)
    with pytest.raises(InputError, match="in a circle"):
        read_series(master)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "was never written"),
        ({"chunks": (1, *SHAPE)}, "frame 2 of 2 was never written; 1 of them are whole"),
        ({"chunks": (1, 4, 5)}, "frame 2 of 2 was never written; at most 1 of them are whole"),
        ({"chunks": (2, *SHAPE)}, "frame 1 of 2 was never written; at most 0"),
    ],
)
def test_what_was_never_written(options, says, master):
    """HDF5 gives zeros for it."""
    with second(master) as file:
        data = file.create_dataset(FRAMES, (2, *SHAPE), "u4", **options)
        if options and options["chunks"][0] == 1:
            data[0] = 1
    with pytest.raises(InputError, match=says):
        read_series(master)


def test_what_a_virtual_dataset_leaves_out(master):
    """HDF5 gives zeros for it too."""
    with h5py.File(master.parent / "part.h5", "w") as file:
        file["one"], file["two"] = frames(1), frames(2)
        file.create_dataset("none", (2, *SHAPE), "u4")
    for name, part, says in (
        ("two", 1, "put together of 35 numbers, but has 70"),
        ("one", 2, "one is smaller than"),
        ("none", 2, "never written"),
        ("absent", 2, "has no dataset absent"),
    ):
        layout = h5py.VirtualLayout((2, *SHAPE), "u4")
        layout[:part] = h5py.VirtualSource("part.h5", name, (2, *SHAPE))[:part]
        with second(master) as file:
            file.create_virtual_dataset(FRAMES, layout)
        with pytest.raises(InputError, match=says):
            read_series(master)

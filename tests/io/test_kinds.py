"""Kinds of simsc's own files: one table, which the documentation, errors and readers agree with."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from simsc.builders.close_packed import close_packed
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.io.hdf5 import check_file, kind_of
from simsc.io.kinds import CORRELATION_MAP, INTENSITY, KINDS, SHELLS, SUPERLATTICE, TRAJECTORY
from simsc.io.native import read_intensity, read_map, read_superlattice, write_map, write_superlattice

ROOT = Path(__file__).parents[2]


def write_both(folder: Path) -> None:
    """Write a superlattice and a map where a run could have them."""
    for name in ("build", "correlation"):
        (folder / name).mkdir(parents=True)
    write_superlattice(folder / "build" / "lattice.h5", close_packed("ABC", 6.2), {})
    correlation = CorrelationMap(0.5, np.ones(2), np.linspace(0, 180, 5), np.zeros((2, 5)), np.ones((2, 5)), np.ones(2))
    write_map(folder / "correlation" / "map.h5", correlation, {})


def test_no_format_is_written_anywhere_else():
    formats = {kind.format for kind in KINDS}
    assert len(formats) == len({kind.name for kind in KINDS}) == len(KINDS)
    for path in (ROOT / "simsc").rglob("*.py"):
        if path.name != "kinds.py":
            written = set(re.findall(r'= "(simsc [a-z ]+ [0-9]+)"', path.read_text(encoding="utf-8")))
            assert written <= {"simsc checkpoint 2"}, path  # which is JSON


def test_the_documentation_describes_what_commands_pass_on():
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert not kind.passed_on or f"| `{kind.format}` |" in text, kind


def test_files_tell_their_kind(tmp_path):
    write_both(tmp_path)
    assert kind_of(tmp_path / "build" / "lattice.h5") is SUPERLATTICE
    assert kind_of(tmp_path / "correlation" / "map.h5") is CORRELATION_MAP
    assert SUPERLATTICE.advice(Path("l.h5")) == "simsc export l.h5 -o picture.png"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    assert kind_of(tmp_path / "other.h5") is None
    with h5py.File(tmp_path / "later.h5", "w") as file:
        file.attrs["format"] = "simsc intensity 9"
    for name, read, says in (
        ("build/lattice.h5", read_map, "is a superlattice; a correlation map of simsc is needed here$"),
        ("other.h5", read_map, "is HDF5 of another program; a correlation map of simsc is needed here$"),
        ("other.h5", read_intensity, "simsc import or import-volume reads others"),
        ("later.h5", read_intensity, "'simsc intensity 9' of another version of simsc"),
        ("correlation/map.h5", read_superlattice, "is a correlation map; a structure is needed here"),
    ):
        with pytest.raises(InputError, match=says):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (KINDS, "such as build/lattice.h5 or correlation/map.h5 in it$"),
        ([SUPERLATTICE, TRAJECTORY], "such as build/lattice.h5 in it$"),
        ([CORRELATION_MAP], "such as correlation/map.h5 in it$"),
        ([INTENSITY, SHELLS], "is a folder; a file is needed here$"),
    ],
)
def test_of_a_folder_the_files_that_are_of_use_are_named(wanted, says, tmp_path):
    write_both(tmp_path)
    with pytest.raises(InputError, match=says):
        check_file(tmp_path, wanted)

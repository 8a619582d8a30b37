"""What a file or a folder is, by what is in it: the one decision that `simsc info` and `simsc.read` share."""

from pathlib import Path
from typing import Literal

import h5py

from simsc.classify.order import ORDER_FILE
from simsc.core.errors import InputError
from simsc.experiment.frame_formats import holds_frames, images_in
from simsc.io.hdf5 import HDF5_ENDINGS, kind_of
from simsc.io.kinds import MERGE_CHECKPOINT, SIMULATED_FRAMES, SIMULATED_SCAN
from simsc.io.plugins import has_ending
from simsc.io.volume_formats import volume_format
from simsc.md.frames import trajectory_files
from simsc.study.run_folder import RunFolder

Contents = Literal[
    "run", "order", "annealing", "study", "frames", "own HDF5", "HDF5 of another program", "volume", "structure"
]
# Own kinds that no command takes as a result: scans are detector frames like any others.
_NO_RESULTS = (SIMULATED_SCAN, SIMULATED_FRAMES, MERGE_CHECKPOINT)


def contents_of(path: Path) -> Contents:
    """Return what a file, a folder, or a pattern of detector frames such as `scan_*.cbf` is.

    What no format recognises is taken for a structure, since ASE and MDAnalysis know many more.

    Raises:
        InputError: if there is no such file, or a folder holds nothing that is known.
    """
    if path.is_dir():
        return _contents_of_folder(path)
    if not path.is_file():
        if not set("*?[") & set(path.name):
            raise InputError(f"{path}: no such file")
        return "frames"
    if path.suffix == ".toml":
        return "study"
    if h5py.is_hdf5(path) and path.suffix != ".h5md":
        kind = kind_of(path)
        return "HDF5 of another program" if kind is None or kind in _NO_RESULTS else "own HDF5"
    if holds_frames(path):
        return "frames"
    if has_ending(path, HDF5_ENDINGS):
        raise InputError(f"{path}: is no HDF5 file, or one that is damaged or cut")
    return "structure" if volume_format(path) is None else "volume"


def _contents_of_folder(folder: Path) -> Contents:
    if RunFolder(folder).is_begun:
        return "run"
    if (folder / ORDER_FILE).is_file():
        return "order"
    if trajectory_files(folder):
        return "annealing"
    if images_in(folder):
        return "frames"
    masters = sorted(folder.glob("*_master.h5"))
    if masters:
        raise InputError(f"{folder}: is a folder; of its scans take the master file, such as {masters[0]}")
    raise InputError(
        f"{folder}: is a folder with neither a study, nor an annealing, nor an order, nor detector frames in it"
    )

"""Fuzzing of the readers of frames and angles: files damaged at random are read, or refused with an `InputError`.

    python tests/experiment/fuzz_readers.py [--minutes 10] [--seed 1] [--only eiger]

For each reader a small file is made, then bytes of it are changed, cut out or repeated, and it is read; in "structure",
datasets, attributes and links of an EIGER master are replaced instead. Each file is read in a process of its own, since
libraries may crash. Anything but a result that makes sense, or an `InputError` of one line, is printed with the seed of
its damage, and the exit status is 1. Volumes have their own, fuzz_volumes.py.
"""

import argparse
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from fabio.tifimage import TifImage

sys.path.insert(0, str(Path(__file__).parents[1]))
from frame_files import FIO, every_frame, write_cbf, write_eiger

from simsc.core.errors import InputError
from simsc.experiment.angles import read_angles
from simsc.experiment.frames import FrameSeries
from simsc.experiment.series import read_series

LONGEST_S = 60.0


def make(folder: Path) -> dict[str, tuple[list[Path], Callable[[], object]]]:
    """Make a file of each kind; return which of them may be damaged, and what reads it."""
    for name in ("eiger", "structure", "cbf", "tiff"):
        (folder / name).mkdir()
    master, other = write_eiger(folder / "eiger"), write_eiger(folder / "structure")
    write_cbf(folder / "cbf", 2)
    TifImage(data=np.arange(35, dtype="u2").reshape(7, 5)).write(str(folder / "tiff" / "a.tif"))
    (folder / "scan.fio").write_text(FIO)
    (folder / "angles.txt").write_text("frame, omega\n1, 0.5\n2, 1.0 # late\n")
    return {
        "eiger": (sorted((folder / "eiger").iterdir()), lambda: sound(read_series(master))),
        "structure": ([other], lambda: sound(read_series(other))),
        "cbf": (sorted((folder / "cbf").iterdir()), lambda: sound(read_series(folder / "cbf"))),
        "tiff": (sorted((folder / "tiff").iterdir()), lambda: sound(read_series(folder / "tiff"))),
        "fio": ([folder / "scan.fio"], lambda: read_angles(folder / "scan.fio")),
        "table": ([folder / "angles.txt"], lambda: read_angles(folder / "angles.txt")),
    }


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return other bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        kind, place = rng.random(), rng.randrange(len(changed)) if changed else 0
        if not changed:
            break
        if kind < 0.6:
            # Headers come first.
            place = rng.randrange(min(len(changed), 600)) if rng.random() < 0.5 else place
            changed[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif kind < 0.75:
            del changed[place : place + rng.choice([1, 8, 100, len(changed)])]
        elif kind < 0.9:
            changed[place:place] = changed[place : place + rng.choice([1, 8, 100])]
        else:
            changed[place : place + 8] = rng.randbytes(8)
    return bytes(changed)


def sound(series: FrameSeries) -> None:
    """Read every frame, and check that what is told of them can be true."""
    assert every_frame(series).shape == (series.n, *series.shape)
    for number in (series.distance_m, series.wavelength_nm, *(series.pixel_m or ())):
        assert number is None or 0 < number < np.inf
    assert series.beam_centre_px is None or np.isfinite(series.beam_centre_px).all()
    for values in (series.angles_deg, series.exposure_s):
        assert values is None or (values.shape == (series.n,) and np.isfinite(values).all())
    assert series.bad is None or series.bad.shape == series.shape
    assert series.invalid is None or series.invalid > 0


VALUES = (
    0, -1, 1, 255, 1e300, -5.0, np.nan, np.inf, "text", b"", "NXdata", ".", "mm", "data", np.zeros(0),
    np.zeros((7, 5), "u4"), np.ones((7, 5), "u4"), np.arange(6.0), np.arange(3),
    np.zeros((2, 7, 5), "u4"), np.array([b"a", b"b"]), 1j, True,
    h5py.Empty("f4"),
)  # fmt: skip
LINKS = (
    h5py.SoftLink("/entry"), h5py.SoftLink("."), h5py.SoftLink("/absent"), h5py.SoftLink("/entry/data/data_000001"),
    h5py.ExternalLink("run_master.h5", "/entry"), h5py.ExternalLink("run_master.h5", "/entry/data/data_000002"),
    h5py.ExternalLink("run_data_000001.h5", "/entry/data/data"), h5py.ExternalLink("../eiger/run_master.h5", "/entry"),
    h5py.ExternalLink("absent.h5", "/"), h5py.ExternalLink("", "/entry"), h5py.ExternalLink("\udc80", "/"),
)  # fmt: skip
MORE = (
    "entry/sample/transformations/omega", "entry/sample/goniometer/omega_start", "entry/instrument/detector/distance",
    "entry/instrument/detector/bit_depth_image", "entry/instrument/detector/saturation_value", "entry/data/data_000003",
    "entry/sample/goniometer/omega_increment", "entry/sample/goniometer/omega_range_average", "entry/data/data",
    "entry/instrument/beam/incident_energy",
)  # fmt: skip
ATTRIBUTES = ("units", "NX_class", "vector", "depends_on", "transformation_type", "signal")


def restructured(file: Path, rng: random.Random) -> None:
    """Replace some things in an HDF5 file."""
    with h5py.File(file, "r+") as content:
        for _ in range(rng.randint(1, 4)):
            names: list[str] = [*MORE]
            content.visit_links(names.append)
            name, kind = rng.choice(names), rng.random()
            try:
                if kind < 0.3 and isinstance(content.get(name), h5py.Dataset | h5py.Group):
                    content[name].attrs[rng.choice(ATTRIBUTES)] = rng.choice(VALUES)
                    continue
                if name in content or content.get(name, getlink=True) is not None:
                    del content[name]
                if kind < 0.7:
                    content[name] = rng.choice(VALUES)
                elif kind < 0.9:
                    content[name] = rng.choice(LINKS)
            except (KeyError, OSError, ValueError, RuntimeError, TypeError):
                continue  # that cannot be written


def outcome_of(read: Callable[[], object]) -> str:
    """Read in a process of its own, and return what came of it."""
    answers, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        try:
            read()
            said = "read"
        except InputError as error:
            said = "refused" if "\n" not in str(error) else "refused in several lines"
        except BaseException as error:
            said = type(error).__name__
        os.write(answer, said.encode())
        os._exit(0)
    os.close(answer)
    if not select.select([answers], [], [], LONGEST_S)[0]:
        os.killpg(child, signal.SIGKILL)  # and what it began
    said = os.read(answers, 100).decode()
    os.close(answers)
    _, status = os.waitpid(child, 0)
    return said or f"ended by {signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status}"


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one reader")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        readers = make(Path(name))
        for reader, (files, read) in readers.items():
            if arguments.only not in (None, reader):
                continue
            whole = {file: file.read_bytes() for file in files}
            outcomes: Counter[str] = Counter()
            end_s, number = time.monotonic() + 60 * arguments.minutes, 0
            while time.monotonic() < end_s:
                number += 1
                rng = random.Random(f"{arguments.seed} {number}")
                file = rng.choice(files)
                if reader == "structure":
                    restructured(file, rng)
                else:
                    file.write_bytes(damaged(whole[file], rng))
                outcome = outcome_of(read)
                outcomes[outcome] += 1
                if outcome not in ("read", "refused"):
                    wrong += 1
                    print(f"{reader}: {outcome}: seed {arguments.seed}, number {number}, {file.name}", flush=True)
                file.write_bytes(whole[file])
            print(f"{reader}: {number} files: {dict(outcomes)}", flush=True)
        shutil.rmtree(Path(name), ignore_errors=True)
        Path(name).mkdir()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

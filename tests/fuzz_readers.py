"""Fuzzing of the readers of frames and angles: files damaged at random are read, or refused with an `InputError`.

    python tests/fuzz_readers.py [--minutes 10] [--seed 1] [--only eiger]

For each reader a small file is made, then bytes of it are changed, cut out or repeated, and it is read. Anything but a
result or an `InputError` of one line is printed with the seed of its damage, and the exit status is 1. Volumes have
their own, fuzz_volumes.py.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fabio.tifimage import TifImage
from test_frame_readers import FIO, every_frame, write_cbf, write_eiger

from simsc.core.errors import InputError
from simsc.experiment.angles import read_angles
from simsc.experiment.series import read_series

LONGEST_S = 130.0


def make(folder: Path) -> dict[str, tuple[list[Path], Callable[[], object]]]:
    """Make a file of each kind; return which of them may be damaged, and what reads it."""
    for name in ("eiger", "cbf", "tiff"):
        (folder / name).mkdir()
    master = write_eiger(folder / "eiger")
    write_cbf(folder / "cbf", 2)
    TifImage(data=np.arange(35, dtype="u2").reshape(7, 5)).write(str(folder / "tiff" / "a.tif"))
    (folder / "scan.fio").write_text(FIO)
    (folder / "angles.txt").write_text("frame, omega\n1, 0.5\n2, 1.0 # late\n")
    return {
        "eiger": (sorted((folder / "eiger").iterdir()), lambda: every_frame(read_series(master))),
        "cbf": (sorted((folder / "cbf").iterdir()), lambda: every_frame(read_series(folder / "cbf"))),
        "tiff": (sorted((folder / "tiff").iterdir()), lambda: every_frame(read_series(folder / "tiff"))),
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
                file.write_bytes(damaged(whole[file], rng))
                begin_s = time.monotonic()
                try:
                    read()
                    outcome = "read"
                except InputError as error:
                    outcome = "refused" if "\n" not in str(error) else "refused in several lines"
                except BaseException as error:
                    outcome = f"{type(error).__name__}"
                if time.monotonic() - begin_s > LONGEST_S:
                    outcome += ", after too long"
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

"""Damaged volume files: whatever bytes change, a reader gives an intensity or an `InputError`, and soon.

    python tests/io/fuzz_volumes.py --minutes 3 [--format npz] [--seed 1]

Valid files of each format are cut, have bits, bytes, words and whole pieces changed, or numbers in their headers set to
extremes. Each round runs in a process of its own, with limited memory, so that a crash of a library is found too. What
fails is kept in --keep. Exit status 1 if anything did.
"""

import argparse
import faulthandler
import gzip
import io
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import mrcfile
import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io import probe
from simsc.io.native import write_intensity
from simsc.io.volume_files import VolumeMetadata, read_volume

AXES = tuple(np.linspace(-0.5, 0.5, n) for n in (5, 6, 7))
# HDF5 takes the length of a text from the file, up to 4 GiB, and some seconds to find no such memory.
A_ROUND, SLOW_S, MEMORY = 400, 60.0, 6 << 30
EXTREMES = [0, 1, -1, 2**7, 2**15 - 1, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1]


def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 9, (5, 6, 7))


def npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values())
    return stream.getvalue()


def npz(folder: Path) -> bytes:
    stream = io.BytesIO()
    arrays = dict(zip(("qx", "qy", "qz"), AXES, strict=True))
    np.savez_compressed(stream, intensity=values(), variance=values(), counts=np.ones((5, 6, 7), "u2"), **arrays)
    return stream.getvalue()


def npz_stored(folder: Path) -> bytes:
    """Return an uncompressed archive, whose checksums do not hide its arrays from changes: they are made anew."""
    stream = io.BytesIO()
    np.savez(stream, intensity=values(), measured=values() > 2)
    return stream.getvalue()


def mrc(folder: Path) -> bytes:
    with mrcfile.new(folder / "made.mrc", values().astype("f4"), overwrite=True):
        pass
    return (folder / "made.mrc").read_bytes()


def mrc_gz(folder: Path) -> bytes:
    return gzip.compress(mrc(folder))


def nexus(folder: Path) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="v", axes=["qx", "qy", "qz"])
        data.create_dataset("v", data=values(), chunks=(2, 3, 4), compression="gzip", shuffle=True)
        data["v_errors"], data["measured"] = values(), values() > 2
        for name, axis in zip(("qx", "qy", "qz"), AXES, strict=True):
            data[name] = axis
            data[name].attrs["units"] = "1/nm"
    return stream.getvalue()


def own(folder: Path) -> bytes:
    write_intensity(folder / "own.h5", IntensityVolume(values(), AXES, values() > 2, 50.0, values()), {})
    return (folder / "own.h5").read_bytes()


FORMATS = {made.__name__: made for made in (npy, npz, npz_stored, mrc, mrc_gz, nexus, own)}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    # Headers are small, and where the trouble is.
    near = int(rng.choice([64, 256, 1024, len(data)]))

    def place() -> int:
        return int(rng.integers(min(near, len(data)) or 1))

    def flip() -> None:
        data[place()] ^= 1 << int(rng.integers(8))

    def byte() -> None:
        data[place()] = int(rng.integers(256))

    def word() -> None:
        size = int(rng.choice([2, 4, 8]))
        extreme = EXTREMES[int(rng.integers(len(EXTREMES)))] & ((1 << 8 * size) - 1)
        where = place() // size * size
        data[where : where + size] = extreme.to_bytes(size, str(rng.choice(["little", "big"])))

    def cut() -> None:
        del data[place() :]

    def remove() -> None:
        begin = place()
        del data[begin : begin + int(rng.integers(1, 40))]

    def repeat() -> None:
        begin, where = place(), place()
        data[where:where] = data[begin : begin + int(rng.integers(1, 200))]

    def zeros() -> None:
        begin, n = place(), int(rng.integers(1, 64))
        data[begin : begin + n] = bytes(min(n, len(data) - begin))

    def digits() -> None:
        """Change a number that is written as text, as in headers of .npy."""
        places = [k for k in range(min(near, len(data))) if 48 <= data[k] <= 57]
        if places:
            where = places[int(rng.integers(len(places)))]
            texts = ["0", "-1", "9", "99999", "9" * 30, "1e9", "None", "(1,)"]
            data[where : where + 1] = str(rng.choice(texts)).encode()

    kinds: list[Callable[[], None]] = [flip, byte, word, cut, remove, repeat, zeros, digits]
    for _ in range(int(rng.choice([1, 1, 2, 4, 12]))):
        if data:
            kinds[int(rng.integers(len(kinds)))]()
    return bytes(data)


def with_fresh_checksums(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage the members of an archive, but not the archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(stream, "w") as changed:
        for info in archive.infolist():
            changed.writestr(info.filename, damaged(archive.read(info), rng))
    return stream.getvalue()


def attempt(path: Path, told: VolumeMetadata) -> str | None:
    """Return what went wrong: an error that is no `InputError`, or a reader that takes long."""
    begin = time.monotonic()
    try:
        volume = read_volume(path, told)
        assert np.isfinite(volume.intensity if volume.measured is None else volume.intensity[volume.measured]).all()
    except InputError as error:
        if "\n" in str(error) or str(path) not in str(error):
            return f"message: {error}"
    except BaseException:
        return traceback.format_exc()
    took = time.monotonic() - begin
    return f"took {took:.1f} s" if took > SLOW_S else None


def one_round(name: str, seed: int, folder: Path, keep: Path) -> None:
    """Try some damaged files in this process; what fails goes to `keep`, the last one tried stays in the folder."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    probe._PATIENCE_S = 3.0  # files are small
    content, rng = FORMATS[name](folder), np.random.default_rng(seed)
    for k in range(A_ROUND):
        fresh = name == "npz_stored" and rng.random() < 0.7
        path = folder / f"{name}.bin"
        path.write_bytes(with_fresh_checksums(content, rng) if fresh else damaged(content, rng))
        told = VolumeMetadata() if name in ("nexus", "own") else VolumeMetadata("1/nm", None if name == "npz" else 0.5)
        if (wrong := attempt(path, told)) is not None:
            target = keep / f"{name}_{seed}_{k}.bin"
            target.write_bytes(path.read_bytes())
            print(f"{target}: {wrong}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="of each format")
    parser.add_argument("--format", choices=list(FORMATS), action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz_volumes")
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    faulthandler.enable()
    before = len(list(given.keep.iterdir()))
    for name in given.format or FORMATS:
        seed, end, n = given.seed, time.monotonic() + 60 * given.minutes, 0
        while time.monotonic() < end:
            with tempfile.TemporaryDirectory() as text:
                folder = Path(text)
                process = multiprocessing.Process(target=one_round, args=(name, seed, folder, given.keep))
                process.start()
                process.join(600)
                if process.is_alive() or process.exitcode:
                    process.kill()
                    target = given.keep / f"{name}_{seed}_crash.bin"
                    last = folder / f"{name}.bin"
                    target.write_bytes(last.read_bytes() if last.exists() else b"")
                    print(f"{target}: ended with {process.exitcode}", flush=True)
            seed, n = seed + 1, n + A_ROUND
        print(f"{name}: {n} damaged files", flush=True)
    return 1 if len(list(given.keep.iterdir())) > before else 0


if __name__ == "__main__":
    sys.exit(main())

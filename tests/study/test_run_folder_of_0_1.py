"""A run that simsc 0.1 stopped in the middle of annealing goes on, and ends as it would have ended there.

What simsc 0.1 made of it stands in `reference.json` (see the README beside it). `PYTHONPATH=tests python
tests/study/THIS_FILE RUN` prints such a file from a finished run.
"""

import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import simsc

DATA = Path(__file__).parents[1] / "data" / "run_folder_0_1"
STAGES = ("build", "anneal", "order", "scattering", "correlation")
FRAMES_BEFORE = 6  # of the 20 of the whole run


def datasets(run: Path) -> dict[str, np.ndarray]:
    """Return every dataset of every HDF5 file of a run, by file and name."""
    found: dict[str, np.ndarray] = {}
    for path in sorted(run.glob("*/*.h5")):
        with h5py.File(path) as file:
            where = path.relative_to(run)
            file.visititems(
                lambda name, item, where=where: (
                    found.update({f"{where}:{name}": np.asarray(item[()])}) if isinstance(item, h5py.Dataset) else None
                )
            )
    return found


def digest(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays, bit for bit."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def arithmetic() -> str:
    """Return a digest of how this processor rounds: libraries take other instructions on other processors."""
    x = np.linspace(0.1, 9.0, 1000)
    of_libm = np.array([[f(value) for value in x] for f in (math.exp, math.log, math.sin, math.cos)])
    matrix = np.sin(x[:900]).reshape(30, 30)
    return digest(of_libm, np.exp(x), np.sin(x), matrix @ matrix, np.linalg.inv(matrix + 30 * np.eye(30)))


def reference_of(run: Path) -> dict[str, object]:
    """Return what is kept of a finished run."""
    values = datasets(run)
    return {
        "arithmetic": arithmetic(),
        "sequence": json.loads((run / "order" / "summary.json").read_text())["after"]["sequence"],
        "last_centres_nm": values["anneal/trajectory.h5:positions_nm"][-1].tolist(),
        "last_d_nn_nm": float(values["anneal/trajectory.h5:thermo/d_nn_nm"][-1]),
        "largest_intensity": float(values["scattering/intensity_after.h5:entry/data/intensity"].max()),
        "largest_correlation": float(np.nanmax(values["correlation/map_after.h5:ccf"])),
        "sha256": {name: digest(array) for name, array in values.items()},
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "run", tmp_path / "run"))


def test_a_run_of_simsc_0_1_goes_on_bit_for_bit(run: Path, tmp_path: Path) -> None:
    def command(*words: str) -> str:
        done = simsc(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    before = json.loads(command("status", "run", "--json"))
    assert before["state"] == "stopped"
    assert (before["checkpoint_ns"], before["total_ns"]) == pytest.approx((0.3, 1.0))
    assert [stage["state"] for stage in before["stages"]] == ["done", "stopped", "waiting", "waiting", "waiting"]
    kept = [path for path in (*(run / "build").iterdir(), run / "anneal.partial" / "system.data")]
    stamps = [path.stat().st_mtime_ns for path in kept]
    parts = [run / "anneal.partial" / f"part_{k:06d}.h5" for k in (1, 2, 3)]
    computed = np.concatenate([h5py.File(part)["positions_nm"][:] for part in parts])
    assert len(computed) == FRAMES_BEFORE

    said = command("run", "run/study.toml", "--output", "run", "--threads", "1")
    assert "build: finished before" in said
    # Nothing that was there is computed again.
    kept[-1] = run / "anneal" / "system.data"
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    found, reference = datasets(run), json.loads((DATA / "reference.json").read_text())
    assert found["anneal/trajectory.h5:positions_nm"][:FRAMES_BEFORE].tobytes() == computed.tobytes()

    assert set(found) == set(reference["sha256"])
    after = json.loads((run / "order" / "summary.json").read_text())["after"]
    assert after["sequence"] == reference["sequence"]
    # Where libraries round otherwise, thermal motion takes another way: then only the ensemble is the same.
    same_arithmetic = arithmetic() == reference["arithmetic"]
    if same_arithmetic:
        assert {name: digest(array) for name, array in found.items()} == reference["sha256"]
    tolerance = 1e-12 if same_arithmetic else 0.02
    now = reference_of(run)
    assert now["last_d_nn_nm"] == pytest.approx(reference["last_d_nn_nm"], rel=tolerance)
    if same_arithmetic:
        for name in ("last_centres_nm", "largest_intensity", "largest_correlation"):
            assert np.allclose(now[name], reference[name], rtol=tolerance, atol=0)

    # Every command that takes a run folder.
    assert json.loads(command("status", "run", "--json"))["state"] == "done"
    assert json.loads(command("info", "run", "--json"))["kind"] == "a run of a study"
    (run / "report.html").unlink()
    assert f"report: {run / 'report.html'}" in command("report", "run")
    assert "Did it heal?" in (run / "report.html").read_text()
    healing = json.loads(command("healing", "run", "--json"))
    assert healing["runs"][0]["end"] == reference["sequence"]
    assert "20 frames, with labels" in command("export", "run", "-o", "frames.xyz")
    stamps = {name: (run / name / "done.json").stat().st_mtime_ns for name in STAGES}
    again = command("run", "run/study.toml", "--output", "run", "--threads", "1")
    assert all(f"{name}: finished before" in again for name in STAGES)
    assert stamps == {name: (run / name / "done.json").stat().st_mtime_ns for name in STAGES}


if __name__ == "__main__":
    print(json.dumps(reference_of(Path(sys.argv[1])), indent=1))

"""Small factories of superlattices, systems, studies and run folders that the tests share."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice
from simsc.forcefield.chains import load_chains
from simsc.md.trajectory import COLUMNS, Trajectory
from simsc.models.chains import dress_chains
from simsc.models.lammps_system import LammpsSystem
from simsc.study.schema import preset_text

PAPER = "ABCABCABABAB"
MPIEXEC = Path(sys.executable).parent / "mpiexec"


def environment_of(test_file: str) -> dict[str, str]:
    """Return the environment of a process that imports a module of tests, by its file, and what it imports."""
    path = [str(Path(test_file).parent), str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OMP_NUM_THREADS": "1"}


ENVIRONMENT = environment_of(__file__)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that share a fixture of their module run in one process, which makes it once."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values() if hasattr(item, "_fixtureinfo") else ()
        if any(fixture.scope == "module" for definitions in fixtures for fixture in definitions):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


def simsc(*arguments: str, cwd: Path, ranks: int = 1, **options) -> subprocess.CompletedProcess:
    """Run a command of simsc to its end, on some ranks."""
    return subprocess.run([*simsc_command(ranks), *arguments], cwd=cwd, capture_output=True, text=True, **options)


def wait_for(condition, seconds: float = 120, every_s: float = 0.1) -> None:
    """Wait until a condition holds; fail if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(every_s)


def simsc_command(ranks: int = 1) -> list[str]:
    """Return the words that start simsc on some ranks."""
    return [*mpi_python(ranks), "-m", "simsc"]


def mpi_python(ranks: int) -> list[str]:
    """Return the words that start Python on some ranks, so that an error on one ends all."""
    if ranks == 1:
        return [sys.executable]
    if not MPIEXEC.exists():
        pytest.skip("no mpiexec beside this Python")
    return [str(MPIEXEC), "-n", str(ranks), sys.executable, "-m", "mpi4py"]


def ranks_of(mpiexec: int, word: str) -> list[int]:
    """Return the process numbers of the ranks below an mpiexec, whose command lines have a word."""
    below, found = [mpiexec], []
    while below:
        parent = below.pop()
        children = Path(f"/proc/{parent}/task/{parent}/children")
        for child in children.read_text().split() if children.exists() else []:
            below.append(int(child))
            if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return [pid for pid in found if b"mpiexec" not in Path(f"/proc/{pid}/cmdline").read_bytes()]


def same(one: Trajectory, other: Trajectory) -> bool:
    """Tell whether two trajectories agree in every bit."""
    names = ("positions_nm", "orientations", "cells_nm", "rows", "series_phase")
    series = all(np.array_equal(one.series[name], other.series[name]) for name in COLUMNS)
    return series and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def small_crystal() -> Superlattice:
    """Return the smallest supercrystal that is annealed: 4 NPs."""
    return close_packed("AB", 6.3, radius_nm=2.0)


def small_system() -> LammpsSystem:
    """Return the small crystal, with ligands."""
    return dress_chains(small_crystal(), load_chains(), np.random.default_rng(1))


@pytest.fixture(scope="session")
def crystal() -> Superlattice:
    return small_crystal()


@pytest.fixture(scope="session")
def system() -> LammpsSystem:
    return small_system()


def displaced(superlattice: Superlattice, sigma_nm: float, rng: np.random.Generator) -> Superlattice:
    """Return the same NPs, each moved by a Gaussian displacement of a standard deviation per coordinate."""
    positions = superlattice.positions_nm + rng.normal(scale=sigma_nm, size=(superlattice.n, 3))
    return Superlattice(positions, superlattice.radii_nm, superlattice.cell)


def fcc_ball(d_nm: float, n: int, radius_nm: float) -> Superlattice:
    """Return the n NPs of an fcc crystal that are nearest to one of its NPs."""
    across = int(np.ceil((n / 0.74) ** (1 / 3))) + 3
    crystal = close_packed("ABC", d_nm, (across, across // 2 + 1), radius_nm).replicate((1, 1, across // 3 + 1))
    middle = crystal.positions_nm[
        np.linalg.norm(crystal.positions_nm - crystal.positions_nm.mean(axis=0), axis=1).argmin()
    ]
    nearest = np.argsort(np.linalg.norm(crystal.positions_nm - middle, axis=1), kind="stable")[:n]
    return Superlattice(crystal.positions_nm[nearest] - middle, radius_nm)


def lattice_ball(cell: Cell, n: int, radius_nm: float) -> Superlattice:
    """Return the n points of a lattice that are nearest to one of them, as NPs."""
    reach = int(np.ceil((3 * n * cell.volume_nm3 / (4 * np.pi)) ** (1 / 3) / cell.perpendicular_widths_nm.min())) + 2
    points = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = points @ cell.vectors_nm
    return Superlattice(positions[np.argsort(np.linalg.norm(positions, axis=1), kind="stable")[:n]], radius_nm)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251217)


@pytest.fixture
def short_study(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a study that takes seconds; keyword arguments replace whole lines by their key."""

    def write(name: str = "study.toml", **lines: str) -> Path:
        return write_short_study(tmp_path / name, **lines)

    return write


def write_short_study(path: Path, **lines: str) -> Path:
    """Write a study that takes seconds; keyword arguments replace whole lines by their key."""
    changes = {
        "duration_ns": "0.01",
        "output_every_ns": "0.005",
        "stacking": '"ABCB"',
        "replicate": "[5, 3, 2]",
        "grid": "32",
        "frames": "1",
        "q2_over_q1": "[0.9, 1.1, 0.05]",
        "n_delta": "91",
        **lines,
    }
    return write_preset(path, "preview", changes)


def write_preset(path: Path, name: str, changes: dict[str, str]) -> Path:
    """Write a preset of which whole lines are replaced by their key."""
    text = []
    for line in preset_text(name).splitlines():
        key = line.split("=")[0].strip()
        text.append(f"{key} = {changes[key]}" if key in changes else line)
    path.write_text("\n".join(text))
    return path

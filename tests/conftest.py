"""Small factories of superlattices, studies and run folders that the tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simsc.build.close_packed import close_packed
from simsc.core.superlattice import Superlattice
from simsc.study.schema import preset_text

PAPER = "ABCABCABABAB"


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


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251217)


@pytest.fixture
def short_study(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a study that takes seconds; keyword arguments replace whole lines by their key."""

    def write(name: str = "study.toml", **lines: str) -> Path:
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
        text = []
        for line in preset_text("preview").splitlines():
            key = line.split("=")[0].strip()
            text.append(f"{key} = {changes[key]}" if key in changes else line)
        path = tmp_path / name
        path.write_text("\n".join(text))
        return path

    return write

"""The wheel alone is enough: data lies inside it, and a folder anywhere can run a study."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not in a checkout")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=ROOT, check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("lammps_inputs", "forcefields"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"simsc/{path.relative_to(ROOT)}" in names
    assert "simsc/study/presets/preview.toml" in names


def test_the_wheel_runs_in_any_folder(wheel, tmp_path, short_study):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def simsc(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "simsc", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    checks = {check["name"]: check["finding"] for check in json.loads(simsc("doctor", "--json").stdout)["checks"]}
    assert checks["data"] == ", ".join(f"{site}/simsc/{name}" for name in ("lammps_inputs", "forcefields"))
    done = simsc("run", str(short_study()), "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study_run" / "report.html").stat().st_size > 10_000

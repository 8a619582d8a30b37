"""The numbers of the shipped force field are derived, documented and measured as its README says."""

import csv
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from simsc.forcefield.chains import load_chains

FOLDER = Path(__file__).resolve().parents[2] / "forcefields" / "oleate_super_ligand"
PARAMETERS = json.loads((FOLDER / "parameters.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def derive() -> ModuleType:
    """The script `derive.py`, imported."""
    return _script("derive")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"oleate_super_ligand_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_derived_numbers_are_those_of_the_file(derive: ModuleType) -> None:
    differences = derive.differences(PARAMETERS)
    assert len(differences) == 6
    assert max(differences.values()) < derive.TOLERANCE


def test_script_reports_a_wrong_number(
    derive: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derive.main() == 0
    wrong = json.loads(json.dumps(PARAMETERS))
    wrong["tail"]["mass_g_per_mol"]["tail"] *= 1.001
    (tmp_path / "parameters.json").write_text(json.dumps(wrong))
    monkeypatch.setattr(derive, "PARAMETERS", tmp_path / "parameters.json")
    assert derive.main() == 1
    assert "tail.mass_g_per_mol.tail" in capsys.readouterr().err


def test_mass_of_all_ligands_is_that_of_the_oleates(derive: ModuleType) -> None:
    head, tail = PARAMETERS["head"], PARAMETERS["tail"]
    super_ligand = head["mass_per_head_g_per_mol"] + len(tail["beads"]) * tail["mass_g_per_mol"]["tail"]
    oleates = head["ligands_per_head"] * derive.mass(C=18, H=33, O=2)
    assert super_ligand == pytest.approx(oleates, rel=1e-4)


def test_time_step_resolves_the_fastest_bond(derive: ModuleType) -> None:
    assert derive.bond_period_steps(PARAMETERS) > 20


def test_every_number_has_its_line_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path for path in _leaves(PARAMETERS) if f"`{path}`" not in readme] == []


@pytest.mark.parametrize(("temperature_K", "tolerance"), [(300.0, 0.005), (600.0, 0.015)])
def test_measured_distance_meets_the_volumes(derive: ModuleType, temperature_K: float, tolerance: float) -> None:
    # 0.5 % at 300 K. At 600 K the target itself is known to 0.8 % only, and the model may miss it by as much again.
    lj = PARAMETERS["lennard_jones"]["pairs"]
    rows = [
        row
        for row in _table("calibration.csv")
        if float(row["temperature_K"]) == temperature_K
        and float(row["epsilon_scale"]) == float(row["sigma_scale"]) == 1
    ]
    assert {row["stacking"] for row in rows} == {"ABC", "ABCABCABABAB"}
    target, _ = derive.target_nm(temperature_K)
    for row in rows:
        assert float(row["epsilon_tail_kcal_per_mol"]) == lj["tail_tail"]["epsilon_kcal_per_mol"]
        assert float(row["sigma_tail_angstrom"]) == lj["tail_tail"]["sigma_angstrom"]
        assert float(row["epsilon_head_kcal_per_mol"]) == lj["head_tail"]["epsilon_kcal_per_mol"]
        assert float(row["sigma_head_angstrom"]) == lj["head_tail"]["sigma_angstrom"]
        assert float(row["d_volume_nm"]) == pytest.approx(target, rel=tolerance)
        assert float(row["d_volume_error_nm"]) < 0.005


def test_readme_shows_the_measured_distances() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for row in _table("calibration.csv"):
        assert f"| {float(row['d_volume_nm']):.3f} ± {float(row['d_volume_error_nm']):.3f} |" in readme


def test_calibration_has_the_whole_grid() -> None:
    calibrate = _script("calibrate")
    keys = [tuple(row[name] for name in (*calibrate.COLUMNS[:4], "seed")) for row in _table("calibration.csv")]
    assert sorted(keys) == sorted(point.key for point in calibrate.points())


def test_scaling_changes_lennard_jones_only() -> None:
    calibrate, parameters = _script("calibrate"), load_chains()
    scaled = calibrate.scaled(parameters, 0.9, 1.03)
    assert scaled.lennard_jones.pairs["tail_tail"].epsilon_kcal_per_mol == pytest.approx(0.9 * 0.89)
    assert scaled.lennard_jones.pairs["head_tail"].sigma_angstrom == pytest.approx(1.03 * 7.3)
    assert scaled.lennard_jones.cutoff_angstrom == pytest.approx(1.03 * 16.5)
    assert scaled.model_copy(update={"lennard_jones": parameters.lennard_jones}) == parameters


def test_block_error_of_white_noise() -> None:
    calibrate = _script("calibrate")
    noise = np.random.default_rng(0).normal(5.0, 1.0, size=(400, 800))
    mean, error = np.transpose([calibrate.block_mean(series) for series in noise])
    assert mean.mean() == pytest.approx(5.0, abs=0.01)
    assert np.sqrt((error**2).mean()) == pytest.approx(1 / np.sqrt(800), rel=0.05)

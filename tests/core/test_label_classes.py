"""The table of label classes against those who name and show classes, and one more class through all of them."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_run import write_fake_run
from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle
from parsed_page import Page

from simsc import plot
from simsc.builders.close_packed import close_packed
from simsc.classify.labels import METHODS
from simsc.classify.network import load_network
from simsc.classify.order import Order
from simsc.classify.steinhardt import IDEAL
from simsc.classify.training.crystals import CLASSES
from simsc.core.label_classes import CLASS_OF_KIND, CLOSE_PACKED, LABEL_CLASSES, LabelClass, label_class
from simsc.core.stacking import layer_kinds
from simsc.core.superlattice import Frame
from simsc.io.structure_formats import write_frames
from simsc.io.structure_writers import LABEL, DescribedFrame
from simsc.report.document import document
from simsc.report.system_view import Shown, system_html, viewer_data
from simsc.study.results import read_results

GRAIN = "grain boundary"
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # IEC 61966-2-1
# What is seen of linear RGB: Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291,
# DOI 10.1109/TVCG.2009.113, severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_every_class_that_a_method_names_has_a_row():
    crystal = close_packed("ABCABCABABAB", 6.2)
    for method in METHODS.values():
        assert set(method(crystal).classes) <= LABEL_CLASSES.keys()
    assert set(CLASSES) <= LABEL_CLASSES.keys()
    assert load_network().classes == CLASSES
    assert tuple(IDEAL) == CLOSE_PACKED
    assert set(layer_kinds("ABCABCABABAB")) == CLASS_OF_KIND.keys()


def test_rows_differ_and_can_be_drawn():
    for name, row in LABEL_CLASSES.items():
        assert row.name == name
        assert MarkerStyle(row.marker).is_filled()
        assert re.fullmatch("#[0-9a-f]{6}", row.colour)
    unknown = label_class("no such class")
    for values in ("name", "meaning", "colour", "marker"):
        assert len({getattr(row, values) for row in [*LABEL_CLASSES.values(), unknown]}) == len(LABEL_CLASSES) + 1


def linear_rgb(colour: str) -> np.ndarray:
    channels = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def cielab(linear: np.ndarray) -> np.ndarray:
    xyz = SRGB_TO_XYZ @ np.clip(linear, 0, 1) / SRGB_TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_can_be_told_apart(blindness):
    """A difference of about 2.3 in CIELAB is just noticeable; of the row for unknown classes too."""
    seen = {
        name: cielab(np.array(BLINDNESS[blindness]) @ linear_rgb(row.colour))
        for name, row in {**LABEL_CLASSES, "": label_class("no such class")}.items()
    }
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 6, (one, other)


@pytest.mark.parametrize("name", LABEL_CLASSES)
def test_text_can_be_read_on_white(name):
    """WCAG 2.1, success criterion 1.4.3: a contrast of 4.5 : 1, of relative luminances."""
    row = LABEL_CLASSES[name]
    luminance = linear_rgb(row.text_colour or row.colour) @ SRGB_TO_XYZ[1]
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_numbers_of_structure_types_are_those_of_ovito():
    modifiers = pytest.importorskip("ovito.modifiers")
    types = modifiers.CommonNeighborAnalysisModifier.Type
    theirs = {"fcc": types.FCC, "hcp": types.HCP, "bcc": types.BCC, "icosahedral": types.ICO}
    for name, row in LABEL_CLASSES.items():
        assert row.ovito_type == int(theirs.get(name, types.OTHER))


def test_the_documentation_lists_them(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    from label_table import PAGE, page

    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run python docs/label_table.py"
    assert "| `five-fold` | on a five-fold axis |" in text


@pytest.fixture
def one_more(monkeypatch):
    """The row that a new class takes."""
    row = LabelClass(GRAIN, "between two grains", "#00a0a0", "P", text_colour="#006a6a", ovito_type=7)
    monkeypatch.setitem(LABEL_CLASSES, GRAIN, row)
    return row


def order_of(labels: np.ndarray) -> Order:
    """Return an order with labels (F, N) and nothing else worth a look."""
    classes = ("fcc", "hcp", GRAIN)
    numbers = np.array([[classes.index(name) for name in frame] for frame in labels])
    values = {"labels": numbers, "q4": np.full(labels.shape, 0.15), "q6": np.full(labels.shape, 0.5)}
    nothing = ("",) * len(labels)
    return Order(
        lambda name, rows: values[name][rows], lambda: (nothing, nothing), classes, np.arange(float(len(labels))),
        labels.shape[1],
    )  # fmt: skip


def test_one_more_class_takes_one_row(one_more, tmp_path):
    """It is drawn, listed and exported with its looks: in figures, on the page and in the file for OVITO."""
    crystal = close_packed("ABCABC", 6.2)
    labels = np.array([GRAIN] * 5 + ["fcc"] * 7, dtype=object)
    order = order_of(np.array([labels, labels]))
    scatter = plot.order_scatter(order).axes[0]
    drawn = {c.get_label(): c for c in scatter.collections}[f"{GRAIN}: 5"]
    assert to_hex(drawn.get_facecolor()[0]) == one_more.colour
    np.testing.assert_array_equal(
        drawn.get_paths()[0].vertices, MarkerStyle("P").get_transform().transform(MarkerStyle("P").get_path().vertices)
    )
    assert [line.get_color() for line in plot.count_timeline(order).axes[0].lines][2] == one_more.colour
    keys = plot.structure(crystal, labels).legends[0]
    assert [text.get_text() for text in keys.get_texts()] == ["fcc: 7", f"{GRAIN}: 5"]
    assert [line.get_color() for line in keys.get_lines()] == [LABEL_CLASSES["fcc"].colour, one_more.colour]

    write_frames(tmp_path / "x.xyz", [DescribedFrame(Frame(crystal), {LABEL: labels})])
    rows = [line.split() for line in (tmp_path / "x.xyz").read_text().splitlines()[2:]]
    assert [row[-1] for row in rows] == ["7"] * 5 + ["1"] * 7


def test_one_more_class_on_the_page(one_more, tmp_path):
    results = read_results(write_fake_run(tmp_path / "run"))
    labels = results.order.labels.astype(object)
    labels[-1, 0] = GRAIN
    order = order_of(labels)
    results.states["after"].counts[GRAIN] = 1
    shown = {name: Shown(replace(results, order=order), name) for name in ("before", "after")}
    text = document("x", "", [("system", "x", system_html(shown))], {"viewer-data": viewer_data(shown)})
    parsed = Page(text)
    data = next(json.loads(script) for attributes, script in parsed.scripts if attributes.get("id") == "viewer-data")
    assert data["colours"][GRAIN] == one_more.colour
    assert data["states"][1]["labels"][0] == GRAIN
    assert "between two grains" in "".join(parsed.words)
    dots = {attributes["class"] for attributes in parsed.all("span") if "dot" in (attributes.get("class") or "")}
    assert "dot np-grain-boundary" in dots
    assert f".np-grain-boundary {{ color: {one_more.text_colour}; }}" in text
    assert f".dot.np-grain-boundary {{ background: {one_more.colour}; }}" in text


def test_a_class_without_a_row_is_grey(tmp_path):
    """Labels of another program's making are shown, if plainly."""
    crystal = close_packed("ABCABC", 6.2)
    keys = plot.structure(crystal, np.array(["amorphous"] * 12)).legends[0]
    assert keys.get_texts()[0].get_text() == "amorphous: 12"
    assert keys.get_lines()[0].get_color() == label_class("amorphous").colour
    write_frames(tmp_path / "x.xyz", [DescribedFrame(Frame(crystal), {LABEL: np.array(["amorphous"] * 12)})])
    assert (tmp_path / "x.xyz").read_text().splitlines()[2].split()[-1] == "0"

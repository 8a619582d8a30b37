"""The report in a real browser: no console message, nothing hostile runs, the views draw and turn."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from test_report import TITLE, Page, write_fake_run

from simsc.report.comparison_page import write_comparison
from simsc.report.page import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium or chromium-browser on PATH")

# Appended to a copy of the page without its policy: turns, zooms and switches, and writes down what came of it.
PROBE = """<script>
(function () {
  const root = document.documentElement.dataset, canvas = document.getElementById("view-after");
  const picture = () => canvas.toDataURL();
  const colours = (data) => {
    const found = new Set();
    for (let k = 0; k < data.length; k += 4) found.add((data[k] << 16) | (data[k + 1] << 8) | data[k + 2]);
    return found.size;
  };
  // A headless browser that only dumps the page may show no frames.
  window.requestAnimationFrame = (draw) => setTimeout(draw, 0);
  const nextFrame = () => new Promise((done) => setTimeout(done, 20));
  (async () => {
    let last = picture();
    root.colours = colours(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
    const changed = {};
    const step = async (name, act) => {
      act();
      await nextFrame();
      const now = picture();
      changed[name] = last !== now;
      last = now;
    };
    const first = document.getElementById("view-before");
    const key = (name) => first.dispatchEvent(new KeyboardEvent("keydown", { key: name, cancelable: true }));
    const wheel = () => first.dispatchEvent(new WheelEvent("wheel", { deltaY: 120, cancelable: true }));
    await step("arrow", () => key("ArrowLeft"));
    await step("plus", () => key("+"));
    await step("button", () => document.getElementById("reset").click());
    await step("switch", () => document.getElementById("neighbours").click());
    await step("wheel", () => { first.focus(); wheel(); });
    // Surfaces and maps: the level, a turn, and the cursor by keys.
    const surface = document.getElementById("surface-after"), slider = document.getElementById("surface-level");
    const press = (where, name) => where.dispatchEvent(new KeyboardEvent("keydown", { key: name, cancelable: true }));
    last = surface.toDataURL();
    for (const [name, act] of [
      ["level", () => { slider.value = "-3.5"; slider.dispatchEvent(new Event("input")); }],
      ["turned", () => press(surface, "ArrowLeft")],
    ]) {
      act();
      await new Promise((done) => setTimeout(done, 400));
      const now = surface.toDataURL();
      changed[name] = last !== now;
      last = now;
    }
    press(document.getElementById("map-before"), "ArrowRight");
    root.told = document.getElementById("readout-after").textContent;
    root.changed = Object.entries(changed).filter(([, value]) => value).map(([name]) => name).join(" ");
  })();
})();
</script>"""


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    return subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            "--window-size=1400,1000",
            "--virtual-time-budget=4000",
            "--enable-logging=stderr",
            "--v=0",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_fake_run(tmp_path_factory.mktemp("browser") / "run")
    write_report(folder, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def dumped(report: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    done = browse(report, tmp_path_factory.mktemp("profile"), "--dump-dom")
    return done.stdout, done.stderr


def test_console_stays_empty_and_the_viewer_is_ready(dumped: tuple[str, str]) -> None:
    dom, log = dumped
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    assert 'data-viewer="ready"' in dom
    assert 'data-fields="ready"' in dom
    drawn = re.findall(r'data-drawn="(\d+)"', dom)
    assert len(drawn) == 2
    assert all(int(n) > 24 for n in drawn)


def test_hostile_names_stay_text_in_a_browser(dumped: tuple[str, str]) -> None:
    page = Page(dumped[0])
    assert TITLE in "".join(page.words)
    assert all((attributes["src"] or "").startswith("data:image/png") for attributes in page.all("img"))
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)


def test_the_page_of_two_runs_draws_both(report: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(report.parent, tmp_path / "other"))
    write_comparison(report.parent, other, tmp_path / "both.html")
    done = browse(tmp_path / "both.html", tmp_path / "profile", "--dump-dom")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert 'data-viewer="ready"' in done.stdout
    assert 'data-fields="ready"' in done.stdout
    assert len(re.findall(r'data-drawn="(\d+)"', done.stdout)) == 2


def test_policy_stops_foreign_scripts(report: Path, tmp_path: Path) -> None:
    copy = tmp_path / "foreign.html"
    foreign = "<script>document.documentElement.dataset.foreign = 'ran'</script></body>"
    copy.write_text(report.read_text(encoding="utf-8").replace("</body>", foreign), encoding="utf-8")
    done = browse(copy, tmp_path / "profile", "--dump-dom")
    assert "data-foreign" not in done.stdout
    assert any("Content Security Policy" in line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_views_draw_and_turn_together(report: Path, tmp_path: Path) -> None:
    copy = tmp_path / "probed.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    copy.write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    done = browse(copy, tmp_path / "profile", "--dump-dom")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    colours = re.search(r'data-colours="(\d+)"', done.stdout)
    assert colours is not None
    assert int(colours[1]) > 100
    changed = re.search(r'data-changed="([^"]*)"', done.stdout)
    assert changed is not None
    assert changed[1].split() == ["arrow", "plus", "button", "switch", "wheel", "level", "turned"]
    told = re.search(r'data-told="q₂ = [0-9.]+ nm⁻¹, Δ = [0-9.]+°: (C = -?[0-9.e-]+|not measured); ', done.stdout)
    assert told is not None


def test_screenshot_is_not_blank(report: Path, tmp_path: Path) -> None:
    browse(report, tmp_path / "profile", f"--screenshot={tmp_path / 'page.png'}")
    picture = imread(tmp_path / "page.png")
    assert picture.shape[:2] == (1000, 1400)
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20

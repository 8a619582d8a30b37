"""The documentation says what is so: commands parse, links lead somewhere, examples run and print what is shown."""

import contextlib
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from simsc.cli.main import COMMANDS as COMMAND_NAMES
from simsc.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted(path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.parts))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *WRITTEN]
TUTORIAL = DOCS / "start" / "tutorial.md"
DRAWN = DOCS / "contributing" / "layers.svg"  # when the pages are built
FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
OF_A_RUN = ("study", "mine.toml", "doctor")  # commands that anneal, or look at what did


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCED.findall(path.read_text(encoding="utf-8")) if language in languages]


def commands(text: str) -> list[str]:
    """Return the command lines of a block that call simsc, without the shell's comments."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("simsc ")]


def parse(line: str) -> None:
    """Parse a command line as the command line would, but for files, which need not be there."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: next((k for k, word in enumerate(words) if word in (">", ">>", "|")), None)]
    command: click.Command = cli
    context = None
    while isinstance(command, click.Group):
        assert words, f"{line}: no command"
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{line}: there is no command {words[0]!r}"
        command, words = found, words[1:]
    with command.make_context("simsc", list(words), parent=context):
        pass


COMMANDS = [(path, line) for path in PAGES for text in blocks(path, "", "sh") for line in commands(text)]


@pytest.mark.parametrize(("path", "line"), COMMANDS, ids=lambda value: name(value) if isinstance(value, Path) else None)
def test_every_command_line_parses(path, line):
    try:
        parse(line)
    except click.ClickException as error:
        pytest.fail(f"{name(path)}: {line}: {error.format_message()}")


def test_a_command_line_that_is_none_is_found():
    for line in (
        "simsc bild ball",
        "simsc build ball fcc --d-nn 6 --colour red -o x.h5",
        "simsc refine spacing x.h5",
    ):
        with pytest.raises((AssertionError, click.ClickException)):
            parse(line)


def test_every_command_is_shown():
    shown = " ".join(line for _, line in COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMAND_NAMES:
        assert f"simsc {command} " in shown or command == "doctor", command
        assert f"`{command}`" in readme, command


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_to_files(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "#")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve()
        assert there.is_file() or there == DRAWN, f"{name(path)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize(
    "path", [path for path in WRITTEN if "```{include}" in path.read_text(encoding="utf-8")], ids=name
)
def test_what_is_included_is_there(path):
    for file in re.findall(r"```\{include\} (\S+)", path.read_text(encoding="utf-8")):
        assert (path.parent / file).is_file(), file


def test_pages_are_in_the_table_of_contents():
    listed = set()
    for path in WRITTEN:
        for tree in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            listed |= {(path.parent / line).resolve() for line in tree.splitlines() if line and line[0] != ":"}
    assert {path.with_suffix("") for path in WRITTEN} == {*listed, DOCS / "index"}


def test_the_page_of_study_keys_is_current(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from study_table import PAGE, page

    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run python docs/study_table.py"
    assert "| `core_radius_nm` | number > 0 | needed |" in text
    assert '`"npt"`, `"nvt"`, `"deform"`, `"minimise"`' in text


def test_the_tutorials_study_is_one(tmp_path):
    from simsc.study.schema import read_study

    study = tmp_path / "study.toml"
    study.write_text(blocks(TUTORIAL, "toml")[0])
    assert read_study(study).superlattice.stacking == "ABCACB"


def run(line: str) -> str:
    """Run a command line in this process, and return what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        cli.main(shlex.split(line, comments=True)[1:], standalone_mode=False)
    return output.getvalue()


def check_shown(shown: str, printed: str) -> None:
    """Check lines that a page shows: the same words, and the same numbers up to the last digits."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        same = next((other for other in lines if NUMBER.sub("#", other) == NUMBER.sub("#", line)), None)
        assert same is not None, f"{line!r} is shown, but not printed:\n{printed}"
        for number, other in zip(NUMBER.findall(line), NUMBER.findall(same), strict=True):
            assert float(other) == pytest.approx(float(number), rel=0.03, abs=0.01), line


def steps(path: Path) -> list[tuple[list[str], str]]:
    """Return the commands of each block of a page, and what is shown to come of them."""
    found: list[tuple[list[str], str]] = []
    for language, text in FENCED.findall(path.read_text(encoding="utf-8")):
        if language == "sh":
            found.append((commands(text), ""))
        elif language == "text":
            found[-1] = (found[-1][0], text)
    return found


def test_the_tutorials_single_steps_print_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["simsc"])
    done = 0
    for lines, shown in steps(TUTORIAL):
        cheap = [line for line in lines if not any(word in line for word in OF_A_RUN)]
        printed = "".join(run(line) for line in cheap)
        if cheap:
            check_shown(shown, printed)
            done += len(cheap)
    assert done >= 10
    assert {path.suffix for path in tmp_path.iterdir()} >= {".h5", ".png", ".xyz", ".mrc"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:1 of 1 runs had fewer slides than layers")
def test_the_tutorials_study_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["simsc"])
    (tmp_path / "study.toml").write_text(blocks(TUTORIAL, "toml")[0])
    for lines, shown in steps(TUTORIAL):
        printed = "".join(run(line) for line in lines if any(word in line for word in OF_A_RUN))
        if printed and shown:
            check_shown(shown, printed)
    assert (tmp_path / "study_run" / "report.html").is_file()


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "python")], ids=name)
def test_python_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in blocks(path, "python"):
        names: dict = {}
        exec(compile(text, name(path), "exec"), names)
        if path == TUTORIAL:
            assert names["correlation"].ccf.shape == (100, 721)


def test_nothing_is_left_of_other_machines():
    for path in PAGES:
        assert not re.search(r"/(tmp|work|root)/", path.read_text(encoding="utf-8")), name(path)


def test_every_notebook_is_listed():
    text = (DOCS / "start" / "notebooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+\.ipynb)`", text)) == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    words = name.split(".")
    for k in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:k]))
        except ModuleNotFoundError:
            continue
        return all((found := getattr(found, word, None)) is not None for word in words[k:])
    return False


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "extend.md"], ids=name)  # it adds modules
def test_python_names_exist(path):
    """Of modules, functions and classes; the groups of entry points are names too."""
    others = {"simsc.css", "simsc.fish", *(f"simsc.{what}_formats" for what in ("frame", "structure", "volume"))}
    named = set(re.findall(r"\bsimsc(?:\.[A-Za-z_]\w*)+", path.read_text(encoding="utf-8")))
    assert [one for one in sorted(named - others) if not exists(one)] == []

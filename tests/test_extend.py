"""The page on extending simsc: what its blocks say is done to a copy of the package, and works there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "contributing" / "extend.md"
sys.path.append(str(PAGE.parent))

from layers import circles, graph, upward  # noqa: E402

BLOCK = re.compile(r"^```\{code-block\} (\w+)\n(?::caption: (\S+)\n)?\n?(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: its language, the file that it is of, and its text."""

    language: str
    file: str
    text: str


def sections() -> dict[str, list[Block]]:
    """Return the blocks below each heading that has any."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {
        title: [Block(*match) for match in BLOCK.findall(text)]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {title: blocks for title, blocks in found.items() if blocks}


def changed(text: str, difference: str) -> str:
    """Return a text after a difference: its lines stand there once, and those with a + come to them."""
    lines = difference.splitlines()
    before = "\n".join(line[1:] for line in lines if line[:1] != "+")
    after = "\n".join(line[1:] for line in lines if line[:1] != "-")
    assert text.count(f"\n{before}\n") == 1, f"stands there {text.count(before)} times:\n{before}"
    return text.replace(f"\n{before}\n", f"\n{after}\n")


def runs(text: str) -> Iterator[tuple[str, str]]:
    """Return the command lines of a console, and what is shown below each."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


def check_printed(shown: str, printed: str) -> None:
    """Check that all lines shown are printed, in their order; three dots stand for anything."""
    patterns = [re.escape(line).replace(re.escape("..."), ".*") for line in shown.splitlines() if line.strip()]
    expected = re.compile("^" + r"$\n(?:.*\n)*?^".join(patterns) + "$", re.MULTILINE)
    assert expected.search(printed), f"{shown!r} is shown, but printed was:\n{printed}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the package is run from."""
    for name in ("simsc", "lammps_inputs", "forcefields", "docs"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    return tmp_path / "copy"


@pytest.mark.parametrize("section", sections())
def test_what_the_page_adds_works(section, copy, tmp_path):
    blocks = sections()[section]
    work = tmp_path / "work"
    work.mkdir()
    new = []
    for block in blocks:
        if block.file:
            path = (copy if "/" in block.file else work) / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            text = changed(path.read_text(encoding="utf-8"), block.text) if block.language == "diff" else block.text
            path.write_text(text, encoding="utf-8")
            new += [path] if path.suffix == ".py" else []
    before, after = graph(), graph(copy / "simsc")
    assert (upward(after), circles(after)) == (upward(before), circles(before))
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", "--config", ROOT / "pyproject.toml", *new]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    n_run = 0
    for block in blocks:
        for line, shown in runs(block.text) if block.language == "console" else ():
            words = line.replace("simsc ", f"{sys.executable} -m simsc ", 1) if line.startswith("simsc ") else line
            ran = subprocess.run(words, shell=True, cwd=work, env=environment, capture_output=True, text=True)
            assert ran.returncode == 0, f"{line}: {ran.stderr}"
            check_printed(shown, ran.stdout)
            n_run += 1
        if block.language == "python" and not block.file:
            subprocess.run([sys.executable, "-c", block.text], cwd=work, env=environment, check=True)
            n_run += 1
    assert n_run, f"{section}: nothing is run"


def test_the_page_of_another_package_would_fail():
    with pytest.raises(AssertionError, match="stands there 0 times"):
        changed("a\nb\nc\n", " x\n+y\n")
    with pytest.raises(AssertionError, match="stands there 2 times"):
        changed("a\nb\na\nb\n", " b\n+y\n")
    assert changed("a\nb\nc\n", " b\n+y\n") == "a\nb\ny\nc\n"
    assert changed("a\nb\nc\n", "-b\n+y\n") == "a\ny\nc\n"
    check_printed("fills 0.19... of it\nlast\n", "first\nfills 0.1988 of it\nbetween\nlast\n")
    with pytest.raises(AssertionError, match="is shown"):
        check_printed("fills 0.2\n", "fills 0.1988\n")

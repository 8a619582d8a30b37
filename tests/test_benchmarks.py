"""Tables of the benchmarks: read and written by one helper, in the formats that they have."""

import ast
import json
import os
import sys
from argparse import Namespace
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "benchmark_tables.py")
TABLES = sorted(FOLDER.glob("*.csv"))
sys.path.append(str(FOLDER))

from benchmark_tables import PROVENANCE, merge_rows, read_table, table_of, write_table  # noqa: E402


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_table_is_written_as_it_stands(table, tmp_path):
    """Those of before the helper, byte by byte: comments, quotes, ends of lines."""
    there = table.read_bytes()
    note = there.splitlines()[0].decode().removeprefix("# ") if there.startswith(b"#") else ""
    copy = tmp_path / table.name
    copy.write_bytes(there)  # the ends of its lines are kept
    rows = read_table(table)
    write_table(copy, rows, columns=list(rows[0]), note=note)
    assert copy.read_bytes() == there


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_it_is_run(script):
    text = script.read_text(encoding="utf-8")
    assert f"python tests/benchmarks/{script.name}" in (ast.get_docstring(ast.parse(text)) or "")
    assert "csv.writer" not in text
    assert "csv.DictWriter" not in text


def test_what_was_measured_with_is_kept_beside(tmp_path):
    for name, options in (("one", Namespace(seeds=20, figure=Path("x.png"), write=True)), ("other", None)):
        table = table_of(str(tmp_path / f"{name}.py"))
        assert read_table(table) == []
        write_table(table, [{"n": 1, "s": "2,5"}, {"n": 2}], options, note="a machine")
        assert table.read_text(encoding="utf-8") == '# a machine\nn,s\n1,"2,5"\n2,\n'
        assert read_table(table) == [{"n": "1", "s": "2,5"}, {"n": "2", "s": ""}]
    known = json.loads((tmp_path / PROVENANCE).read_text(encoding="utf-8"))
    assert set(known) == {"one.csv", "other.csv"}
    assert known["one.csv"]["options"] == {"seeds": 20}
    assert known["one.csv"]["cores"] == os.cpu_count()
    assert {"simsc", "numpy", "created"} <= set(known["other.csv"])
    with pytest.raises(ValueError, match="colour"):
        write_table(tmp_path / "one.csv", [{"n": 1, "colour": "red"}], columns=["n"])


def test_rows_measured_again_stand_where_they_stood():
    known = [{"n": "1", "seed": "0", "s": "5"}, {"n": "2", "seed": "0", "s": "6"}]
    new = [{"n": 3, "seed": 0, "s": "1"}, {"n": 1, "seed": 0, "s": "4"}]
    merged = merge_rows(known, new, ["n", "seed"])
    assert [(str(row["n"]), row["s"]) for row in merged] == [("1", "4"), ("2", "6"), ("3", "1")]

"""The tables of the benchmarks: each script has one, a CSV file of its name beside it, read and written here alone.

What a table was measured with (date, machine, cores, versions) stands in `provenance.json`, by the name of the
table; the scripts write it with the rows, so that tables hold numbers alone. Tables from before that file have none.
"""

import csv
import io
import json
import os
import platform
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simsc.io.provenance import provenance

PROVENANCE = "provenance.json"
Row = Mapping[str, object]


def table_of(script: str) -> Path:
    """Return the table of a script, given its `__file__`."""
    return Path(script).with_suffix(".csv")


def read_table(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table as they stand, without its notes; none if there is no table yet."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def write_table(
    table: Path, rows: Sequence[Row], options: Namespace | None = None, columns: Sequence[str] = (), note: str = ""
) -> None:
    """Write a table, and what it was measured with.

    Args:
        table: CSV file, from `table_of`.
        rows: values by column; a column that a row lacks stays empty.
        options: of the command line; its numbers (sizes, seeds, threads) go into the provenance.
        columns: names in their order; those of the row with most of them if none are given.
        note: a first line, which gets a # before it.

    Raises:
        ValueError: if a row has a column that the table has not.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or list(max(rows, key=len)), restval="", lineterminator=_line_end(table))
    writer.writeheader()
    writer.writerows(rows)
    head = f"# {note}\n" if note else ""
    table.write_bytes((head + text.getvalue()).encode())
    _write_provenance(table, vars(options or Namespace()))


def merge_rows(known: Iterable[Row], new: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """Return known rows, those of the same key replaced by new ones in their place, and then what is new.

    >>> merge_rows([{"n": "1", "s": "2.5"}, {"n": "2", "s": "5"}], [{"n": 1, "s": "2.4"}, {"n": 3, "s": "9"}], ["n"])
    [{'n': 1, 's': '2.4'}, {'n': '2', 's': '5'}, {'n': 3, 's': '9'}]
    """
    rows = {tuple(str(row[name]) for name in key): row for row in known}
    return list((rows | {tuple(str(row[name]) for name in key): row for row in new}).values())


def _line_end(table: Path) -> str:
    r"""Return how lines of a table end (some end with \r\n), so that its difference to the one before shows numbers."""
    return "\r\n" if table.exists() and b"\r\n" in table.read_bytes() else "\n"


def _write_provenance(table: Path, options: Mapping[str, Any]) -> None:
    path = table.with_name(PROVENANCE)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    numbers = {name: x for name, x in options.items() if isinstance(x, int | float) and not isinstance(x, bool)}
    known[table.name] = provenance(machine=platform.machine(), cores=os.cpu_count(), options=numbers)
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")

"""Write the classes of labels into their page, from the table that figures and pages read.

    python docs/label_table.py

The page is committed, so that it can be read without being built; a test checks that it is current.
"""

import re
from pathlib import Path

from simsc.core.label_classes import LABEL_CLASSES

PAGE = Path(__file__).parent / "explanation" / "order.md"
FIRST, LAST = "<!-- written by docs/label_table.py -->", "<!-- end of what it wrote -->"


def markdown() -> str:
    """Return the table as Markdown."""
    rows = [f"| `{row.name}` | {row.meaning} | {row.colour} |" for row in LABEL_CLASSES.values()]
    return "\n".join(["| label | NPs | colour |", "|---|---|---|", *rows])


def page(text: str) -> str:
    """Return the page, with the table as it is now."""
    pattern = f"(?<={re.escape(FIRST)}\n\n).*?(?=\n\n{re.escape(LAST)})"
    return re.sub(pattern, lambda _: markdown(), text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

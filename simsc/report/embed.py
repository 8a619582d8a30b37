"""Put figures and data into a page: SVG and PNG that need no other file, JSON that no text can break out of."""

import base64
import contextlib
import html
import io
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simsc.core.label_classes import CLASS_OF_KIND, LABEL_CLASSES
from simsc.core.stacking import layer_kinds

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NOT_IN_CLASS = re.compile(r"[^A-Za-z0-9-]")


def svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as an inline SVG element.

    Args:
        figure: the figure.
        name: prefix of every id within, so that several drawings share a page; letters and digits.
        alt: what the figure shows, for those who do not see it.
    """
    # Text stays text: small, searchable, read aloud.
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has more fonts
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 (drawn just now, not received)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):  # the style would reach the whole page
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            element.set(key.rpartition("}")[2], _prefixed(key.rpartition("}")[2], value, name))
    width = root.get("width", "")
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"width:{width};max-width:100%;height:auto"}
    title = ElementTree.Element("title")
    title.text = alt
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode")


def png(figure: Figure, alt: str, dpi: int = 130) -> str:
    """Return a figure as an <img> element with the picture inside it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    width = figure.get_figwidth() * 96
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" style="width:{width:.0f}px" src="data:image/png;base64,{data}">'


def json_script(identifier: str, data: Any) -> str:
    """Return data as a JSON script element; no character in it ends the element or begins another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{html.escape(identifier)}">{text}</script>'


def figure_html(content: str, caption: str) -> str:
    """Return a drawing with its caption; both are HTML."""
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def sequence_html(sequence: str) -> str:
    """Return a sequence in the colours of fcc and hcp; hcp-like layers are underlined too."""
    if not sequence:
        return '<span class="soft">not read</span>'
    letters = "".join(
        f'<span class="{css_class(CLASS_OF_KIND[kind])}">{text(letter)}</span>'
        for letter, kind in zip(sequence, layer_kinds(sequence), strict=True)
    )
    return f'<span class="sequence">{letters}</span>'


def css_class(label: str) -> str:
    """Return the class that elements of the page have which show NPs of a label."""
    return "np-" + _NOT_IN_CLASS.sub("-", label)


def css_of_labels() -> str:
    """Return the rules of all label classes: for text, and for the dots of keys."""
    return "".join(
        f".{css_class(name)} {{ color: {row.text_colour or row.colour}; }}\n"
        f".dot.{css_class(name)} {{ background: {row.colour}; }}\n"
        for name, row in LABEL_CLASSES.items()
    )


def text(value: object) -> str:
    """Return anything as text that HTML shows as it stands."""
    return html.escape(str(value))


@contextlib.contextmanager
def drawing_style() -> Iterator[None]:
    """Draw figures within this context as the page shows them."""
    with matplotlib.rc_context(
        {
            "font.size": 9.5,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.fontsize": 9,
        }
    ):
        yield


def _prefixed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return _REFERENCE.sub(lambda match: f"url(#{name}-{match[1]})", value)

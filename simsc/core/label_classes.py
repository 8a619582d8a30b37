"""The classes that labels of nanoparticles name: what each means, and how figures, pages and other programs show it.

One row a class. Figures, the views in 3D, their keys, exported files and the documentation read this table, so that a
class gets its looks here and nowhere else. Which classes a method gives is the method's own
(`simsc.classify.labels`); a class without a row is drawn in grey.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelClass:
    """How a class is shown.

    Args:
        name: as it stands in files and on the command line.
        meaning: what NPs of this class are, for keys and tables.
        colour: `#rrggbb` of points and spheres. Classes can be told apart with any common colour blindness.
        marker: Matplotlib's letter of the shape of points, another for each class.
        text_colour: of text on white, with a contrast of 4.5 : 1 or more; empty: `colour` has it.
        ovito_type: OVITO's number of the structure type; 0: it has none, "other".
    """

    name: str
    meaning: str
    colour: str
    marker: str
    text_colour: str = ""
    ovito_type: int = 0


LABEL_CLASSES = {
    row.name: row
    for row in (
        LabelClass("fcc", "fcc-like", "#1f6fb4", "o", ovito_type=1),
        LabelClass("hcp", "hcp-like", "#d1432b", "D", ovito_type=2),
        LabelClass("icosahedral", "icosahedral: five-fold axes through it", "#7a3fa0", "*", ovito_type=4),
        LabelClass("five-fold", "on a five-fold axis", "#c77db8", "p", text_colour="#a8559a"),
        LabelClass("bcc", "bcc-like", "#1b8a5a", "^", text_colour="#19804f", ovito_type=3),
        LabelClass("surface", "surface: no full shell of neighbours", "#8a8f98", "s", text_colour="#5a626d"),
        LabelClass("other", "other: none of these", "#b8860b", "X", text_colour="#8f6b08"),
    )
}
CLASS_OF_KIND = {"c": "fcc", "h": "hcp"}
"""The class of NPs in a layer between different neighbours (c), and between two that are alike (h)."""
CLOSE_PACKED = tuple(CLASS_OF_KIND.values())
"""The classes of close packing, which are listed even where no NP has them."""


def label_class(name: str) -> LabelClass:
    """Return the row of a class; grey, with its name for a meaning, if there is none.

    Example:
        >>> label_class("hcp").meaning, label_class("grain boundary").meaning
        ('hcp-like', 'grain boundary')
    """
    return LABEL_CLASSES.get(name) or LabelClass(name, name, "#4a4f57", "v")

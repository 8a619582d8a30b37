"""The forms that simsc has, by name: what `form_factor` makes, and `--form` on the command line offers.

To add one, write a file beside this one with a dataclass that keeps to `form.Form`, and a row here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from simsc.core.errors import InputError
from simsc.core.shapes import POLYHEDRA, SHAPES
from simsc.scattering.form_factors.core_shell import CoreShell
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.polyhedron import polyhedron
from simsc.scattering.form_factors.sphere import Sphere


@dataclass(frozen=True)
class FormKind:
    """One row of the table.

    Args:
        make: makes the form of its parameters.
        description: what it is, in a few words.
        needed: parameters without a default; `--form` offers the kinds that need none.
    """

    make: Callable[..., Form]
    description: str
    needed: tuple[str, ...] = ()


FORMS: Mapping[str, FormKind] = {
    "sphere": FormKind(Sphere, SHAPES["sphere"].description),
    **{name: FormKind(partial(polyhedron, name), SHAPES[name].description) for name in POLYHEDRA},
    "core_shell": FormKind(CoreShell, "a sphere in a shell of one thickness", needed=("shell_nm",)),
}
NEED_NOTHING = tuple(name for name, kind in FORMS.items() if not kind.needed)


def form_factor(name: str, **parameters: float) -> Form:
    """Return a form out of the table.

    Args:
        name: its name in `FORMS`.
        parameters: those of the form, such as the thickness of a shell.

    Raises:
        InputError: for a name that is not there, or parameters that the form does not have, or cannot do without.

    Example:
        >>> form_factor("core_shell", shell_nm=1.5).reach_nm(2.0)
        3.5
    """
    if name not in FORMS:
        raise InputError(f"form {name!r} is not known; available: {', '.join(FORMS)}")
    kind = FORMS[name]
    try:
        return kind.make(**parameters)
    except TypeError:
        needs = f"; it needs {', '.join(kind.needed)}" if kind.needed else ""
        raise InputError(f"form {name!r} cannot be made of {', '.join(parameters) or 'nothing'}{needs}") from None

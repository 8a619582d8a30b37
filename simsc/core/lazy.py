"""What packages say whose names are loaded when they are asked for first."""

import difflib
import sys
from collections.abc import Iterable


def unknown_attribute(module: str, name: str, offered: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module does not have, with the one that may have been meant.

    Example:
        >>> str(unknown_attribute("simsc.core", "sell", ["cell", "shapes"]))
        "module 'simsc.core' has no attribute 'sell'; did you mean 'cell'?"
    """
    near = difflib.get_close_matches(name, list(offered), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"{module}.__all__ lists what it has"
    # Python adds a hint of its own to an error that has neither a name nor an object yet.
    return AttributeError(f"module {module!r} has no attribute {name!r}; {hint}", obj=sys.modules.get(module))

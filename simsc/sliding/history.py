"""The stacking over time, from the order of NPs that a trajectory left behind."""

from pathlib import Path

from simsc.classify.order import read_order
from simsc.core.errors import InputError
from simsc.sliding.slips import StackingHistory, stacking_history


def read_history(folder: Path) -> StackingHistory:
    """Read the stacking over time of a periodic crystal from a folder that `write_order` wrote.

    Raises:
        InputError: if files are missing or damaged, or the crystal is finite.
    """
    try:
        order = read_order(folder)
        if not order.periodic:
            raise InputError("this is a finite crystal; slides are followed in periodic ones")
        return stacking_history(order.sequences, order.by_frame("layers"), order.time_ns, order.phases)
    except (ValueError, TypeError, RuntimeError, InputError) as error:
        raise InputError(f"{folder}: no stacking over time: {' '.join(str(error).split())}") from None

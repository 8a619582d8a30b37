"""The outcome of runs for their stackings, in words that cannot be taken for more than they say."""

from simsc.sliding.chance import Null
from simsc.sliding.energies import EnergyFit, SlipEnergy
from simsc.sliding.healing import RunHealing, SetHealing
from simsc.sliding.slips import CONFIRM, Slip, Slips

NULL_NAMES: dict[Null, str] = {
    "free": "any interface slides by itself",
    "closed": "any, but the cell stays orthogonal",
    "single_layer": "single layers only",
}
_LOST = (
    "At the end close-packed layers were read in {read} of the frames at most: the crystal has left close packing (see "
    "the labels of its NPs), so that slides and stackings are those of passing moments, and no p-value belongs to them."
)
FORGOTTEN = "p (one-sided) if the start is forgotten"
NOTHING_LASTED = f"No stacking lasted for {CONFIRM} frames in a row, so nothing can be said about slides."


def verdict(found: SetHealing) -> str:
    """Return what a run, or a set of independent runs, says about healing, in two or three sentences."""
    return _verdict_of_one(found) if len(found.runs) == 1 else _verdict_of_set(found)


def _verdict_of_one(found: SetHealing) -> str:
    run = found.runs[0]
    if run.lost:
        return f"{_LOST.format(read=percent(run.read_at_end))} This run says nothing about healing."
    if not run.n_slips:
        return (
            "No layer slid for good. This run says nothing about which stacking is preferred, and no p-value belongs "
            f"to it: its {run.h_end} hcp-like layers are those that it began with."
        )
    said = f"{_counted(run.n_slips)}; of {run.n_layers} layers {run.h_start} were hcp-like, and {run.h_end} are. "
    if run.remembers_start:
        said += f"These are fewer slides than layers, so the end still remembers the start. {_after_slips(found)}"
    else:
        said += f"If nothing preferred fcc, {run.h_end} or fewer hcp-like layers would be left in {_chances(found)}."
    return f"{said} One run is weak evidence whatever its p-value: replicas are needed."


def _verdict_of_set(found: SetHealing) -> str:
    total, n = sum(found.h_end), len(found.runs)
    if found.n_lost:
        read = percent(max(run.read_at_end for run in found.runs if run.lost))
        lost = _LOST.format(read=read)
        return f"{n} independent runs. In {found.n_lost} of them: {lost} The set says nothing about healing."
    still = sum(not run.n_slips for run in found.runs)
    said = f"{n} independent runs, {sum(found.n_slips)} slides, {total} hcp-like layers left in all. "
    if still == n:
        return f"{said}No layer slid for good in any of them: they say nothing about which stacking is preferred."
    if found.n_remembering:
        said += (
            f"In {found.n_remembering} of them fewer slides than layers were seen ({still} without any), so that their "
            f"ends still remember their starts. {_after_slips(found)}"
        )
    else:
        said += f"If nothing preferred fcc, {total} or fewer would be left in {_chances(found)}."
    return said


def _after_slips(found: SetHealing) -> str:
    if found.p_after_slips is None:
        return "What as many slides at random lead to was not computed (too many stackings), so no p-value holds."
    starts = "start" if len(found.runs) == 1 else "starts"
    return (
        f"From the same {starts}, as many slides at random leave so few hcp-like layers, or fewer, in "
        f"{percent(found.p_after_slips)} of cases (one-sided p = {found.p_after_slips:.2g}, if all interfaces slide "
        "alike)."
    )


def _chances(found: SetHealing) -> str:
    known = [p for p in found.p_values.values() if p is not None]
    low, high = min(known), max(known)
    span = percent(high) if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"
    return f"{span} of cases (one-sided; quote the largest, p = {high:.2g}, unless it is known how layers slide)"


MEANING = (
    "p is the probability that so few hcp-like layers, or fewer, are left although no stacking is better than any "
    "other (one-sided). It is not the probability that the crystal healed by chance, nor one minus that of healing, "
    "and a large p does not show that fcc and hcp are equally good. It holds only if the runs were chosen before "
    "their outcome was known."
)


def percent(probability: float) -> str:
    """Return a probability as a percentage of two digits."""
    value = 100 * probability
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.2g} %"


def energy(fit: EnergyFit | None) -> str:
    """Return an energy per hcp-like layer, kT, with its interval."""
    if fit is None:
        return "ruled out: such slides cannot have led to these ends"
    if fit.epsilon_kT != fit.epsilon_kT:
        return "no other end was possible"
    return f"{_number(fit.epsilon_kT)} ({_number(fit.low_kT)} to {_number(fit.high_kT)})"


def energy_from_slips(fit: SlipEnergy) -> str:
    """Return what the order in which interfaces slipped says of the energy per hcp-like layer."""
    n = fit.making + fit.keeping + fit.removing
    value = f"{_number(fit.epsilon_kT)} ({_number(fit.low_kT)} to {_number(fit.high_kT)}) kT"
    return (
        f"From which interfaces slid, energy per hcp-like layer: {value} (95 %; + prefers fcc); one-sided p of no "
        f"preference {fit.p_value:.2g}. Of {n} slides with a choice {fit.making} made two hcp-like layers, "
        f"{fit.removing} removed two, {fit.keeping} left as many. This needs neither ends that have forgotten their "
        "starts, nor that all interfaces slide alike."
    )


def _number(value: float) -> str:
    return f"{value:+.2f}".replace("+inf", "+∞").replace("-inf", "−∞").replace("-", "−")


def moved(slip: Slip) -> str:
    """Return which layers slipped; layers are numbered from 1, as in the diagram of the stack."""
    if slip.kind == "interface":
        return f"all above the interface of layers {slip.layer + 1} and {slip.layer + 2}"
    return f"layer {slip.layer + 1} alone"


def signs(steps: tuple[int, ...]) -> str:
    """Return steps as + and −."""
    return " ".join("+" if step > 0 else "−" for step in steps)


def run_lines(run: RunHealing) -> list[str]:
    """Return the lines on one run for a terminal."""
    start, end = run.slips.sequences
    lines = [f"{run.name}: {start} (h {run.h_start}) → {end} (h {run.h_end}), {_counted(run.n_slips)}"]
    lines += [
        f"  {slip.time_ns:>10.4g} ns  {moved(slip)}: {signs(slip.before)} → {signs(slip.after)}, "
        f"h {slip.h_before} → {slip.h_after}"
        for slip in run.slips.events
    ]
    return lines + ([] if run.slips.lasting else ["  (the last frame shows another stacking, or none)"])


def unread(slips: Slips) -> str:
    """Return a remark on a stacking that does not last to the end."""
    return "" if slips.lasting else " The last frame shows another stacking, or none, which has not lasted yet."


def _counted(n: int) -> str:
    return {0: "no slide", 1: "1 slide"}.get(n, f"{n} slides")

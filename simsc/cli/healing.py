"""`simsc healing`: which layers slid, and whether so few hcp-like ones are left by chance."""

from pathlib import Path

import click

from simsc.classify.order import ORDER_FILE, order_folder
from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import InputError
from simsc.report.healing_text import FORGOTTEN, MEANING, NULL_NAMES, energy, energy_from_slips, run_lines, verdict
from simsc.sliding.chance import NULLS
from simsc.sliding.energies import fit_energy
from simsc.sliding.healing import (
    SetHealing,
    healing_facts,
    run_healing,
    set_healing,
)
from simsc.sliding.slips import CONFIRM
from simsc.study.run_folder import RunFolder


@click.command(epilog=example("simsc healing study_run", "simsc healing run_1 run_2 run_3 --json"))
@click.argument("folders", metavar="RUN...", type=PATH, nargs=-1, required=True)
@click.option(
    "--confirm",
    type=click.IntRange(min=1),
    default=CONFIRM,
    show_default=True,
    help="Frames in a row that make a stacking count.",
)
@JSON
def healing(folders: tuple[Path, ...], confirm: int, as_json: bool) -> None:
    """Report which layers of RUNs slid, and whether so few hcp-like layers are left by chance.

    RUN is a run folder, one of replicas (those that are classified count), or one that `simsc classify -o` wrote. All
    together are one set of independent runs: do not choose them by their outcome.
    """
    found, seen = [], set()
    for folder in folders:
        for run in _runs(folder):
            if (order := order_folder(run).resolve()) in seen:
                raise InputError(f"{run}: is given twice; the runs of a set are independent")
            seen.add(order)
            if (outcome := run_healing(run, confirm)) is None:
                if not as_json:
                    click.echo(f"{run.name}: no stacking lasted for {confirm} frames in a row; left out")
                continue
            found.append(outcome)
    if not found:
        raise InputError(f"{folders[0]}: no stacking lasted for {confirm} frames in a row in any run")
    together = set_healing(found)
    _warn(together)
    print_result(as_json, healing_facts(together), _text(together))


def _runs(folder: Path) -> list[Path]:
    """Return the run folders in a folder: itself, or those of its replicas that are classified."""
    of_all = RunFolder(folder)
    if not of_all.is_begun or (study := of_all.study()).replicas is None:
        return [folder]
    replicas = [of_all.replica(variant.number).path for variant in study.variants()]
    classified = [run for run in replicas if (order_folder(run) / ORDER_FILE).is_file()]
    if not classified:
        raise InputError(f"{folder}: none of its {len(replicas)} replicas is classified yet")
    return classified


def _warn(found: SetHealing) -> None:
    """Warn, once, of runs whose ends remember their starts."""
    chances = [run.chance("free") for run in found.runs]
    fit_energy(found.h_end, [chance for chance in chances if chance is not None], found.n_slips)


def _text(found: SetHealing) -> str:
    lines = [line for run in found.runs for line in run_lines(run)]
    lines += ["", verdict(found)]
    if not found.informative:
        return "\n".join(lines)
    if found.energy_from_slips is not None:
        lines += ["", energy_from_slips(found.energy_from_slips)]
    lines += ["", f"{'slides by chance':>34}  {FORGOTTEN:>40}  energy per hcp-like layer, kT (95 %)"]
    for null in NULLS:
        p = found.p_values[null]
        lines.append(f"{NULL_NAMES[null]:>34}  {'-' if p is None else f'{p:.3g}':>40}  {energy(found.energies[null])}")
    return "\n".join([*lines, "", MEANING])

"""`simsc classify`: labels of one structure, or of all frames of a trajectory of any program."""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import click

from simsc.classify.labels import METHODS
from simsc.classify.order import write_order
from simsc.classify.over_time import FrameOrder, averages, frame_order, processes, timed_order
from simsc.classify.steinhardt import IDEAL
from simsc.cli.console import StageProgress
from simsc.cli.options import (
    FRAMES,
    JSON,
    PATH,
    example,
    origin,
    print_result,
    reading,
)
from simsc.core.errors import InputError, ResourceError
from simsc.core.processes import available_cores
from simsc.io.structure_files import Reading, chosen_frames
from simsc.io.whole_files import write_error
from simsc.md.frames import open_frames

_PATIENCE_S = 20.0  # with a Dask scheduler that does not answer


@click.command(
    epilog=example(
        "simsc classify lattice.h5 --json",
        "simsc classify study_run --average 5 -o order",
        "simsc classify dump.lammpstrj --select 'type 1' --frames 0:-1:10 --every-ns 0.01 -o order",
        "simsc classify run.xtc --topology run.tpr --select 'resname CORE' --centres residue",
    )
)
@click.argument("file", metavar="FILE_OR_RUN", type=PATH)
@click.option("--method", type=click.Choice(list(METHODS)), default="thermal", show_default=True, help="How to label.")
@click.option("--d-nn", "d_nn_nm", type=float, help="Nearest-neighbour distance, nm; estimated by default.")
@reading
@FRAMES
@click.option(
    "--average", type=click.IntRange(min=1), default=1, show_default=True, help="Frames to average centres over."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes; the default is one a core, if there is much to do."
)
@click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster to compute on, such as tcp://host:8786.")
@click.option("-o", "--output", type=PATH, help="Folder for order.h5, counts.csv and summary.json.")
@JSON
def classify(
    file: Path,
    method: str,
    d_nn_nm: float | None,
    reading: Reading,
    frames_text: str | None,
    average: int,
    jobs: int | None,
    dask: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Label each NP as fcc, hcp or neither, and read the stacking sequence, in one structure or over a trajectory.

    FILE is of simsc, a run folder (finished or not), or of another program: LAMMPS (text dump, data), GSD, XYZ, what
    ASE reads, and with --topology what MDAnalysis reads. Selected are atoms of the first frame.
    """
    opened = open_frames(file, reading)
    numbers = chosen_frames(frames_text, len(opened), file)
    if average > len(numbers):
        raise InputError(f"--average {average}: of {file} there are {len(numbers)} frames only")
    frames = averages(opened.frames(numbers), average)
    if output is None and len(numbers) == 1:
        superlattice = next(frames).superlattice
        _print_one(frame_order(superlattice, method, d_nn_nm), method, as_json)
        return
    with _folder(output) as folder, StageProgress() as progress:
        n = len(numbers)

        def on_frame(done: int) -> None:
            progress("classify", done / n, f"frame {done} of {n}" if done < n else "")

        n_nps = next(opened.frames(numbers[:1])).superlattice.n
        with _executor(dask, jobs, n, n_nps) as executor:
            summary = write_order(
                folder,
                timed_order(frames, method, executor, d_nn_nm),
                n,
                {"first": 0, "last": n - 1},
                origin(),
                on_frame=on_frame,
            )
    if as_json:
        print_result(as_json, {"frames": n, "n": n_nps, **summary})
    else:
        _print_summary(summary, n, n_nps)
        if output is not None:
            click.echo(f"{output}: order.h5, counts.csv, summary.json")


@contextlib.contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """Give the folder for the results: as asked, made if need be, or one that is removed afterwards."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="simsc-") as name:
            yield Path(name)
        return
    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise write_error(output, error) from None
    yield output


@contextlib.contextmanager
def _executor(address: str | None, jobs: int | None, n_frames: int, n_nps: int) -> Iterator[Executor | None]:
    """Give where to compute: on a Dask cluster, on processes of this machine, or here (None)."""
    if address is None:
        with processes(jobs or available_cores(), n_frames, n_nps if jobs is None else None) as executor:
            yield executor
        return
    if jobs is not None:
        raise InputError("--jobs: is for this machine; with --dask the cluster has its own workers")
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise InputError("--dask: needs the extra hpc; install it with: pip install 'simsc[hpc]'") from None
    try:
        client = distributed.Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ResourceError(f"--dask {address}: no scheduler answers ({' '.join(str(error).split())})") from None
    with client, client.get_executor() as executor:
        yield executor


def _print_one(order: FrameOrder, method: str, as_json: bool) -> None:
    labels = order.labels
    sequence = None if order.stacking is None else order.stacking.sequence
    if as_json:
        result = {
            "n": len(labels.labels),
            "counts": labels.counts,
            "labels": labels.labels,
            "probabilities": labels.probability.round(4),
            "sequence": sequence,
        }
        print_result(as_json, result)
        return
    click.echo(f"{len(labels.labels)} NPs, d_NN {order.bond_order.d_nn_nm:.4g} nm")
    for name, count in labels.counts.items():
        if count or name in IDEAL:
            click.echo(f"{name:>11}: {count}")
    click.echo(f"sequence: {sequence or 'no close-packed layers found'}")
    if sequence is None and method == "paper":
        click.echo("simsc: note: these labels know fcc and hcp only; without layers they may mean nothing", err=True)


def _print_summary(summary: dict[str, Any], n_frames: int, n_nps: int) -> None:
    click.echo(f"{n_nps} NPs, {n_frames} frames")
    states = [summary["first"], summary["last"]]
    times = [f"{state['time_ns']:.4g} ns" if state["time_ns"] is not None else "" for state in states]
    click.echo(f"{'':>11}  {'first':>10} {'last':>10}")
    if any(times):
        click.echo(f"{'time':>11}: {times[0]:>10} {times[1]:>10}")
    for name in states[0]["counts"]:
        counts = [state["counts"][name] for state in states]
        if any(counts) or name in IDEAL:
            click.echo(f"{name:>11}: {counts[0]:>10} {counts[1]:>10}")
    for name, state in zip(("first", "last"), states, strict=True):
        click.echo(f"sequence, {name}: {state['sequence'] or 'no close-packed layers found'}")
    click.echo("from the first to the last frame (expected numbers of NPs):")
    for name, row in summary["transitions"].items():
        click.echo(f"{name:>11} → " + ", ".join(f"{other} {count:.4g}" for other, count in row.items()))
    healing = summary["healing"]
    text = f"hcp to fcc for good: {healing['n']} NPs"
    if healing["n"]:
        unit = "ns" if "median_ns" in healing else "frame"
        value, low, high = (healing[f"{what}_{unit}"] for what in ("median", "lower", "upper"))
        text += f", median {'frame ' if unit == 'frame' else ''}{value:.4g} ({low:.4g} to {high:.4g})"
        text += " ns" if unit == "ns" else ""
    click.echo(text)

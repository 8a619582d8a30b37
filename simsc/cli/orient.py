"""The command `simsc orient`: how a lattice stands in an intensity."""

from pathlib import Path

import click
import numpy as np

from simsc.cli.console import working
from simsc.cli.options import (
    CELL,
    JSON,
    PATH,
    example,
    place_for_picture,
    print_result,
)
from simsc.core.cell import Cell
from simsc.correlation.first_peak import peak_of_profile, radial_profile
from simsc.experiment.bragg import find_peaks, orientation
from simsc.io.native import (
    read_intensity,
)

_WELL_INDEXED = 0.6  # part of the peaks


@click.command(epilog=example("simsc orient intensity.h5 --cell 16.8 17.0 17.8 58.7 60.8 68.5 --figure reciprocal.png"))
@click.argument("file", type=PATH)
@CELL
@click.option("--q-min", type=float, default=0.35, show_default=True, help="Smallest |q| of Bragg peaks, nm⁻¹.")
@click.option("--width", type=float, default=0.01, show_default=True, help="Standard deviation of a peak, nm⁻¹.")
@click.option("--tolerance", type=float, default=0.02, show_default=True, help="Of a peak from its place, nm⁻¹.")
@click.option(
    "--figure",
    type=PATH,
    callback=place_for_picture,
    help="Draw what is seen along directions of the lattice into this file.",
)
@JSON
def orient(
    file: Path,
    parameters: tuple[float, float, float, float, float, float],
    q_min: float,
    width: float,
    tolerance: float,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Find the orientation of a lattice of known cell in the intensity volume FILE, from its Bragg peaks."""
    volume, known_cell = read_intensity(file), Cell.from_parameters(*parameters)
    with working("orient"):
        peaks = find_peaks(volume, (q_min, volume.q_max_inv_nm), width)
        found = orientation(peaks, known_cell, tolerance)
        q, profile = radial_profile(volume)
    first = peak_of_profile(q[q > q_min / 2], profile[q > q_min / 2])
    edges = found.cell.vectors_nm / np.linalg.norm(found.cell.vectors_nm, axis=1)[:, None]
    lines = [
        f"{len(peaks.q_inv_nm)} Bragg peaks, {100 * found.indexed:.0f} % of them indexed",
        f"distance from reflections: {found.residual_inv_nm:.4f} nm⁻¹ (root mean square)",
        *([] if first is None else [f"first bright peak of the radial profile: {first:.4f} nm⁻¹"]),
        *(
            f"{name} along {edge[0]:+.4f} {edge[1]:+.4f} {edge[2]:+.4f}"
            for name, edge in zip("abc", edges, strict=True)
        ),
    ]
    names = ("a", "b", "c", "α", "β", "γ")
    cell = ", ".join(
        f"{name} {value:.3f}" + (f" ± {error:.3f}" if np.isfinite(error) else " (error unknown)")
        for name, value, error in zip(names, found.cell.parameters, found.standard_errors, strict=True)
    )
    lines.append(f"cell of the indexed peaks (nm, degrees): {cell}")
    if found.indexed < _WELL_INDEXED:
        click.echo(
            f"simsc: note: {100 * (1 - found.indexed):.0f} % of the peaks are of no such lattice: of another grain, of "
            "faults or walls, or the cell is another one (edges are nm)",
            err=True,
        )
    if figure is not None:
        from simsc.plot.reciprocal import reciprocal_space
        from simsc.plot.style import save  # Matplotlib takes a second to load

        save(reciprocal_space(volume, found, peaks), figure)
        lines.append(f"{figure}")
    facts = {
        "peaks": len(peaks.q_inv_nm),
        "indexed": found.indexed,
        "residual_inv_nm": found.residual_inv_nm,
        "first_peak_inv_nm": first,
        "edges": edges,
        "cell": found.cell.parameters,
        "cell_standard_errors": found.standard_errors,
        "figure": figure,
    }
    print_result(as_json, facts, *lines)

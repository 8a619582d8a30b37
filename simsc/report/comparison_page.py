"""One page for two finished runs: what differs between their studies, and what came of each."""

from pathlib import Path

import numpy as np

from simsc.core.errors import InputError, SimscError
from simsc.core.stacking import same_stacking
from simsc.correlation.compare import compare_maps
from simsc.io.whole_files import write_text
from simsc.plot.annealing import fcc_over_time, spacing_against_temperature
from simsc.plot.correlation import correlation_difference, correlation_line, correlation_maps
from simsc.plot.scattering import radial_profile, zeros_of_sphere
from simsc.report import interactive
from simsc.report.document import COARSE, document
from simsc.report.embed import drawing_style, figure_html, png, sequence_html, svg, text
from simsc.report.order_section import stacks_html
from simsc.report.study_table import differences
from simsc.report.system_view import Shown, counts_text, system_html, viewer_data
from simsc.study.results import Results, read_results
from simsc.study.run_folder import STATES

NAMES = ("A", "B")


def write_comparison(first: Path, second: Path, report: Path) -> None:
    """Write the page of two finished runs.

    Args:
        first: folder of one; A on the page.
        second: folder of the other; B on the page.
        report: HTML file to write, whole or not at all.

    Raises:
        InputError: if both are one run; naming a run that is not finished, a result that is missing, or a page that
            cannot be written.
    """
    folders = dict(zip(NAMES, (first, second), strict=True))
    if first.resolve() == second.resolve():
        raise InputError(f"{first} and {second}: are one run; give two")
    runs = {name: read_results(folder) for name, folder in folders.items()}
    with drawing_style():
        write_text(report, comparison_page(runs, {name: str(folder) for name, folder in folders.items()}))


def comparison_page(runs: dict[str, Results], folders: dict[str, str]) -> str:
    """Return the whole page as HTML."""
    shown = {name: Shown(run, "after") for name, run in runs.items()}
    volumes = {name: run.states["after"].intensity for name, run in runs.items()}
    maps = {name: run.states["after"].correlation for name, run in runs.items()}
    return document(
        "Two runs, A and B",
        "; ".join(
            f"{name}: {' — '.join(filter(None, (run.study.title, folders[name])))}" for name, run in runs.items()
        ),
        (
            ("summary", "Outcome of each run", _summary(runs)),
            ("studies", "Differences between the studies", _differences(runs)),
            ("system", "After annealing, in three dimensions", system_html(shown)),
            ("sequence", "Stacking and order", _order(runs)),
            ("thermo", "Nearest-neighbour distance", _thermo(runs)),
            ("scattering", "Scattered intensity after annealing", _scattering(runs)),
            ("correlation", "Correlation maps after annealing", _correlation(runs)),
        ),
        {"viewer-data": viewer_data(shown), "field-data": interactive.field_data(volumes, maps)},
    )


def _summary(runs: dict[str, Results]) -> str:
    rows = ""
    for name, run in runs.items():
        for state in STATES:
            what = run.states[state]
            temperature_K, d_nn_nm = (run.trajectory.thermo[key][what.frame] for key in ("temperature_K", "d_nn_nm"))
            rows += (
                f'<tr><th scope="row">{name}, {state}</th><td class="number">{temperature_K:.0f}</td>'
                f'<td class="number">{d_nn_nm:.3f}</td><td>{counts_text(what.counts)}</td>'
                f"<td>{sequence_html(what.sequence)}</td></tr>"
            )
    sequences = [run.states["after"].sequence for run in runs.values()]
    if not all(sequences):
        said = "A sequence could not be read, so the stackings are not compared."
    elif same_stacking(*sequences):
        said = "After annealing both have the same stacking."
    else:
        said = "After annealing their stackings differ."
    note = "" if any(run.all_atom for run in runs.values()) else f'<div class="note" role="note">{COARSE}</div>'
    return f"""<p class="lead"><strong>{said}</strong> Two runs are two samples: a difference between them does not show
its cause.</p>
{note}<div class="scroll"><table><thead><tr><th scope="col">run</th><th scope="col" class="number">temperature (K)</th>
<th scope="col" class="number">d<sub>NN</sub> (nm)</th><th scope="col">labels</th>
<th scope="col">sequence</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _differences(runs: dict[str, Results]) -> str:
    found = differences(*(run.study for run in runs.values()))
    if not found:
        return "<p>Both runs are of the same study.</p>"
    rows = ""
    for key, *values in found:
        cells = "".join(f"<td>{text(value)}</td>" for value in values)
        rows += f'<tr><th scope="row">{text(key)}</th>{cells}</tr>'
    head = "".join(f'<th scope="col">{name}</th>' for name in runs)
    return f"""<div class="scroll"><table><thead><tr><th scope="col">setting</th>{head}</tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _order(runs: dict[str, Results]) -> str:
    sequences, titles = [], []
    for name, run in runs.items():
        sequences += [run.states[state].sequence for state in STATES]
        titles += [f"{name}, {state}" for state in STATES]
    line = svg(
        fcc_over_time({name: run.order for name, run in runs.items()}),
        "counts",
        "Fraction of fcc-like NPs over time.",
    )
    return stacks_html(sequences, titles) + figure_html(line, "Fraction of NPs that are fcc-like.")


def _thermo(runs: dict[str, Results]) -> str:
    drawn = spacing_against_temperature({name: run.trajectory for name, run in runs.items()})
    return figure_html(
        svg(drawn, "spacing", "Nearest-neighbour distance of both runs against temperature."),
        "Each point is an instantaneous value.",
    )


def _scattering(runs: dict[str, Results]) -> str:
    states = {name: run.states["after"] for name, run in runs.items()}
    radii = {run.study.nanoparticle.core_radius_nm for run in runs.values()}
    profile = radial_profile(
        {name: state.correlation for name, state in states.items()}, radius_nm=radii.pop() if len(radii) == 1 else None
    )
    return (
        interactive.surface_html({name: state.intensity for name, state in states.items()})
        + "<h3>Radial profile</h3>"
        + figure_html(
            svg(profile, "profile", "Mean intensity on spheres of q of both runs."),
            "Mean intensity on each sphere. Lines: reflections of fcc and hcp with d from q₁ of B." + _zeros(runs),
        )
    )


def _zeros(runs: dict[str, Results]) -> str:
    """Say where the form factors of the cores are zero: no reflection is seen there."""
    said = []
    for name, run in runs.items():
        q = run.states["after"].correlation.q2_inv_nm
        zeros = zeros_of_sphere(run.study.nanoparticle.core_radius_nm, float(q[0]), float(q[-1]))
        said += [f"{name}: {', '.join(f'{zero:.3f}' for zero in zeros)} nm⁻¹"] if zeros else []
    return f" The form factor of the cores is zero at |q| = {'; '.join(said)}." if said else ""


def _correlation(runs: dict[str, Results]) -> str:
    maps = {name: run.states["after"].correlation for name, run in runs.items()}
    first, second = maps.values()
    return (
        f"<p>{_alike(runs)}</p>"
        + figure_html(
            png(correlation_maps(maps), "Correlation maps of both runs after annealing."),
            "Circles: expected in fcc; squares: in hcp only; dashed: Bragg rods.",
        )
        + interactive.readout_html(maps)
        + "<h3>B minus A</h3>"
        + figure_html(
            png(
                correlation_difference(first, second, NAMES),
                "Difference of the correlation maps, B minus A.",
            ),
            "Orange is higher in B, purple in A, at equal q₂ / q₁."
            + (" They are equal everywhere." if np.array_equal(first.ccf, second.ccf, equal_nan=True) else ""),
        )
        + "<h3>At q₂ ≈ q₁</h3>"
        + figure_html(
            svg(correlation_line(maps), "line", "Correlation at q2 near q1 against Δ, of both runs."),
            "Dotted: angles between different 111 reflections of fcc.",
        )
    )


def _alike(runs: dict[str, Results]) -> str:
    """Say how alike the maps are at equal q2 / q1."""
    first, second = (run.states["after"].correlation for run in runs.values())
    try:
        found = compare_maps(first, second.at_q1(first.q1_inv_nm))
    except SimscError as error:
        return f"The maps cannot be compared: {text(error)}."
    spread = found.pearson_error
    uncertainty = f" ± {spread:.3f}" if spread is not None and np.isfinite(spread) else ""
    return (
        f"q₁ is {first.q1_inv_nm:.4f} nm⁻¹ in A and {second.q1_inv_nm:.4f} nm⁻¹ in B. At equal q₂ / q₁ the correlation "
        f"coefficient of the maps is {found.pearson:.3f}{uncertainty} (1: equal but for a factor and an offset)."
    )

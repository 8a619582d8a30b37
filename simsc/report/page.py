"""One self-contained page for a run: it works offline, on paper and with a screen reader.

Nothing that comes from a study reaches the page unescaped, and the page's policy lets only its own script run.
"""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.label_classes import CLOSE_PACKED
from simsc.core.stacking import same_stacking
from simsc.io.whole_files import write_text
from simsc.plot.annealing import spacing_against_temperature, thermo
from simsc.report import interactive
from simsc.report.document import COARSE, document
from simsc.report.embed import css_class, drawing_style, figure_html, sequence_html, svg, text
from simsc.report.healing_section import healing_section
from simsc.report.nanoparticle_section import nanoparticle_section
from simsc.report.order_section import order_section, sequence_section
from simsc.report.scattering_section import correlation_section, scattering_section
from simsc.report.study_table import study_table
from simsc.report.system_view import Shown, system_html, viewer_data
from simsc.study.results import Results, State, read_results
from simsc.study.run_folder import STATES


def write_report(folder: Path, report: Path) -> None:
    """Write the page of a finished run.

    Args:
        folder: run folder with all stages finished.
        report: HTML file to write, whole or not at all.

    Raises:
        InputError: naming a result that is missing or cannot be read, or a page that cannot be written.
    """
    with drawing_style():
        write_text(report, page(read_results(folder)))


def page(results: Results) -> str:
    """Return the whole page as HTML."""
    title = results.study.title or f"Annealing of {results.study.superlattice.stacking}"
    all_atom = () if results.all_atom is None else (("nanoparticle", "The nanoparticle", nanoparticle_section),)
    sections = (
        ("summary", "Study and result", summary_section),
        *all_atom,
        ("system", "The system in three dimensions", system_section),
        ("order", "Bond order", order_section),
        ("sequence", "Stacking sequence", sequence_section),
        ("healing", "Did it heal?", healing_section),
        ("thermo", "Thermodynamics", thermo_section),
        ("scattering", "Scattered intensity", scattering_section),
        ("correlation", "Correlation maps", correlation_section),
        ("provenance", "Provenance", provenance_section),
    )
    made = _provenance(results)
    return document(
        title,
        f"Report of a run of simsc {made['simsc']}, {_when(made)}",
        [(key, name, write(results)) for key, name, write in sections],
        {"viewer-data": viewer_data(_shown(results)), "field-data": _field_data(results)},
    )


def summary_section(results: Results) -> str:
    """Return the headline result, what it is worth, and the study as a table."""
    section = results.study.scattering
    replicate = " × ".join(str(n) for n in section.replicate)
    numbers = " and ".join(
        f"{name}, {state.n_scatterers} NPs ({state.intensity.diameter_nm or 0:.0f} nm across)"
        for name, state in results.states.items()
    )
    cards = "".join(_state_card(name, results.states[name], results) for name in STATES)
    return f"""
<div class="headline">{cards}</div>
<p class="lead"><strong>{_comparison(results)}</strong></p>
<div class="note" role="note">{"" if results.all_atom else COARSE}
<p><strong>The scattering is that of a replicated cell.</strong> A finite crystal is needed, so the annealed cell was
repeated {replicate} times and {"the largest ball cut out of it" if section.shape == "ball" else "used as one block"}:
{numbers}. All copies hold the same NP centres, so there is less disorder than in a real crystal, and the period of
the cell shows in the scattering.</p></div>
{study_table(results.study)}"""


def system_section(results: Results) -> str:
    """Return the two views in 3D and their controls."""
    return system_html(_shown(results))


def thermo_section(results: Results) -> str:
    """Return the thermodynamics over time and the spacing against temperature."""
    series = results.trajectory.thermo
    over_time = svg(
        thermo(results.trajectory),
        "thermo",
        f"Temperature from {series['temperature_K'].min():.0f} to {series['temperature_K'].max():.0f} K, potential "
        "energy, volume and pressure over time.",
    )
    spacing = svg(
        spacing_against_temperature(results.trajectory, results.study.anneal.phases),
        "spacing",
        f"Nearest-neighbour distance, {series['d_nn_nm'].min():.2f} to {series['d_nn_nm'].max():.2f} nm, against "
        "temperature.",
    )
    return (
        figure_html(
            over_time, "Instantaneous values. In so small a system the pressure fluctuates by far more than 1 atm."
        )
        + "<h3>Nearest-neighbour distance against temperature</h3>"
        + figure_html(
            spacing,
            "If heating and cooling fall on one line, the spacing follows the temperature without hysteresis."
            if {-1, 1} <= {np.sign(phase.stop_K - phase.start_K) for phase in results.study.anneal.phases}
            else "Each point is an instantaneous value.",
        )
    )


def provenance_section(results: Results) -> str:
    """Return versions, seed, run times and digests."""
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{results.records[name]["seconds"]:.1f}</td>'
        f"<td>{text(_when(record))}</td><td>{_versions(record)}</td></tr>"
        for name in results.records
        if (record := results.records[name]["provenance"])
    )
    total = sum(results.records[name]["seconds"] for name in results.records)
    digests = "".join(
        f'<tr><th scope="row">{text(f"{name}/{file}")}</th><td><code>{text(digest)}</code></td></tr>'
        for name in results.records
        for file, digest in results.records[name]["outputs"].items()
    )
    return f"""
<p>Seed of all random numbers: <strong>{results.study.seed}</strong>. The same study with the same seed gives the same
superlattice, velocities and radii; the anneal also depends on the number of ranks and on the build of LAMMPS.</p>
<div class="scroll"><table><caption>Stages</caption><thead><tr><th scope="col">stage</th>
<th scope="col" class="number">run time (s)</th><th scope="col">finished</th><th scope="col">made with</th></tr></thead>
<tbody>{rows}</tbody><tfoot><tr><th scope="row">all</th><td class="number">{total:.1f}</td><td></td><td></td></tr>
</tfoot></table></div>
<details><summary>SHA-256 digests of all files</summary><div class="scroll"><table><thead><tr><th scope="col">file</th>
<th scope="col">digest</th></tr></thead><tbody>{digests}</tbody></table></div></details>
<details><summary>The resolved study file</summary><pre><code>{text(results.study.to_toml())}</code></pre></details>"""


def _state_card(name: str, state: State, results: Results) -> str:
    thermo = results.trajectory.thermo
    numbers = " · ".join(
        f'<span class="{css_class(kind)}">{n} {escape(kind)}</span>'
        for kind, n in state.counts.items()
        if n or kind in CLOSE_PACKED
    )
    return (
        f'<div class="state"><h3>{name.capitalize()}: {thermo["temperature_K"][state.frame]:.0f} K, '
        f'{state.time_ns:.4g} ns</h3><p class="numbers">{numbers}</p>'
        f"<p>Sequence {sequence_html(state.sequence)}{_as_built(state, results)}<br>"
        f'<span class="soft">d<sub>NN</sub> = {thermo["d_nn_nm"][state.frame]:.3f} nm</span></p></div>'
    )


def _as_built(state: State, results: Results) -> str:
    """Say that other letters are the same stacking as that of the study."""
    built = results.study.superlattice.stacking
    if not state.sequence or state.sequence == built or not same_stacking(state.sequence, built):
        return ""
    return f' <span class="soft">(the same stacking as {text(built)})</span>'


def _comparison(results: Results) -> str:
    before, after = (results.states[state] for state in STATES)
    change = after.counts.get("fcc", 0) - before.counts.get("fcc", 0)
    total = sum(before.counts.values())
    if change:
        counts = f"{abs(change)} {'more' if change > 0 else 'fewer'} of the {total} NPs are fcc-like than before."
    else:
        counts = "The numbers of fcc-like and hcp-like NPs are unchanged."
    if not (before.sequence and after.sequence):
        return f"{counts} A sequence could not be read, so the stackings are not compared."
    if before.sequence == after.sequence:
        return f"{counts} The stacking is unchanged."
    if same_stacking(before.sequence, after.sequence):
        return (
            f"{counts} The two sequences are the same periodic stacking, read from another layer or in the opposite "
            "direction."
        )
    return f"{counts} The stacking changed."


def _shown(results: Results) -> dict[str, Shown]:
    return {name: Shown(results, name) for name in STATES}


def _field_data(results: Results) -> dict[str, Any]:
    """Return what fields.js draws."""
    states = results.states
    return interactive.field_data(
        {name: states[name].intensity for name in STATES}, {name: states[name].correlation for name in STATES}
    )


def _versions(record: dict[str, Any]) -> str:
    return text(", ".join(f"{key} {value}" for key, value in record.items() if key != "created"))


def _when(record: dict[str, Any]) -> str:
    return str(record["created"]).replace("T", " ").replace("+00:00", " UTC")


def _provenance(results: Results) -> dict[str, Any]:
    record: dict[str, Any] = list(results.records.values())[-1]["provenance"]
    return record

"""One self-contained page for a run: it works offline, on paper and with a screen reader.

Nothing that comes from a study reaches the page unescaped, and the page's policy lets only its own script run.
"""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.stacking import same_stacking
from simsc.correlation.peaks import expected_peaks
from simsc.io.whole_files import write_text
from simsc.plot import (
    annealing as figures,
)
from simsc.plot import (
    nanoparticle as nanoparticle_figures,
)
from simsc.plot import (
    scattering as scattering_figures,
)
from simsc.report import interactive
from simsc.report.document import PAPER, document
from simsc.report.embed import drawing_style, figure_html, png, sequence_html, svg, text
from simsc.report.healing_section import healing_section
from simsc.report.study_table import study_table
from simsc.report.system_view import Shown, counts_text, system_html, viewer_data
from simsc.study.results import Results, State, read_results
from simsc.study.run_folder import STATES

_BETWEEN_111_DEG = float(np.degrees(np.arccos(1 / 3)))
_NEAR_ZERO = 0.03  # of q: so near to a zero of the form factor a reflection cannot be seen
COARSE = """<p><strong>An accelerated preview.</strong> The model is coarse-grained: its ligands are
soft and its dynamics fast, so its time is not real time, and it has not been shown to prefer fcc over hcp.</p>"""


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


_CENSUS = {
    "atoms": "atoms",
    "core_atoms": "atoms of the lattice",
    "hydroxyls": "OH groups",
    "protons": "protons on lattice O",
    "fe2": "Fe²⁺",
    "fe3": "Fe³⁺",
    "charge_e": "charge (e)",
    "ligands": "ligands",
    "coverage_per_nm2": "ligands per nm²",
    "bound": "ligands bound",
    "cis": "cis C=C",
    "closest_angstrom": "closest contact (Å)",
    "interior_ideal": "interior Fe with ideal coordination",
}


def nanoparticle_section(results: Results) -> str:
    """Return pictures and a census of the first NP, and how its crystal came to rest."""
    assert results.all_atom is not None
    found = results.all_atom
    head = "".join(f'<th scope="col" class="number">{text(name)}</th>' for name in found.censuses)
    rows = {
        label: [f"{census[key]:.4g}" if isinstance(census[key], float) else f"{census[key]}" for census in columns]
        for key, label in _CENSUS.items()
        if (columns := list(found.censuses.values()))
    }
    for mode in ("bridging", "chelating", "monodentate", "free"):
        rows[f"ligands {mode}"] = [str(census["binding"][mode]) for census in found.censuses.values()]
    table = "".join(
        f'<tr><th scope="row">{text(label)}</th>'
        + "".join(f'<td class="number">{text(value)}</td>' for value in values)
        + "</tr>"
        for label, values in rows.items()
    )
    return (
        figure_html(
            png(nanoparticle_figures.portraits(found.structures), "The core, with OH groups, and with its ligands."),
            "Iron orange, oxygen red, carbon grey, hydrogen white; one scale.",
        )
        + figure_html(
            png(
                nanoparticle_figures.portraits(found.structures[1:], cut=True),
                "The same, without the half that is nearer to the eye.",
            ),
            "The same, without the half that is nearer to the eye.",
        )
        + f"""<div class="scroll"><table><caption>What the first nanoparticle is made of</caption>
<thead><tr><th scope="col">what</th>{head}</tr></thead><tbody>{table}</tbody></table></div>"""
        + figure_html(
            svg(
                nanoparticle_figures.spacing_series(found.crystal),
                "rest",
                "Nearest-neighbour distance of the fcc crystal during its equilibration, with the drift at its end.",
            ),
            "Nearest-neighbour distance of the fcc crystal while it comes to rest, before it is stacked anew. As "
            "long as the dashed line falls, the crystal has not come to rest.",
        )
    )


def system_section(results: Results) -> str:
    """Return the two views in 3D and their controls."""
    return system_html(_shown(results))


def order_section(results: Results) -> str:
    """Return the q₄–q₆ figure of the start, the hottest frame and the end."""
    thermo, order = results.trajectory.thermo, results.order
    first, last = results.states["before"].frame, results.states["after"].frame
    hottest = int(np.flatnonzero(thermo["target_K"] >= thermo["target_K"].max() - 1e-6)[-1])
    frames = (first, hottest, last)
    titles = [
        f"{name}: {thermo['temperature_K'][k]:.0f} K, {order.time_ns[k]:.4g} ns"
        for name, k in zip(("before", "hottest", "after"), frames, strict=True)
    ]
    said = "; ".join(f"{title}, {counts_text(order.counts(k))}" for title, k in zip(titles, frames, strict=True))
    scatter = svg(figures.order_scatter(order, frames, titles), "order", f"Scatter of q4 and q6 of every NP: {said}.")
    return f"""
<p>Steinhardt's q₄ and q₆ over the 12 nearest neighbours of each NP, as in Fig. 5d of {PAPER}; labels by the method
“{text(results.study.order.method)}”. Crosses mark the perfect lattices; the further a cloud lies from its cross, the
more the NPs vibrate or the more their cell is strained.</p>
{figure_html(scatter, "Each point is one NP. Circles: fcc-like; diamonds: hcp-like.")}"""


def sequence_section(results: Results) -> str:
    """Return the stacks of layers, the time line and the table of changes."""
    order = results.order
    sequences = [results.states[state].sequence for state in STATES]
    said = "; ".join(f"{state}: {sequence or 'not read'}" for state, sequence in zip(STATES, sequences, strict=True))
    unread = sum(not sequence for sequence in order.sequences)
    note = f" In {unread} of {len(order.sequences)} frames no sequence could be read." if unread else ""
    stack = svg(figures.stacking_diagram(sequences, STATES), "stack", f"Stacks of layers. {said}.")
    line = svg(figures.count_timeline(order), "counts", "Number of fcc-like and hcp-like NPs over time.")
    return f"""
<p>A layer whose two neighbours are alike is hcp-like (red, with a dot), one between different neighbours is fcc-like
(blue). The crystal is periodic: a sequence has no first layer of its own, so sequences that differ only in where they
start, in the names of the letters or in their direction are the same stacking; they are written from the
longest run of fcc on.{note}</p>
<div class="pair">{figure_html(stack, "Layers from bottom to top, shifted sideways as A, B and C.")}
{figure_html(line, "Labels over time; phases are named above.")}</div>
{_changes_table(results)}"""


def thermo_section(results: Results) -> str:
    """Return the thermodynamics over time and the spacing against temperature."""
    thermo = results.trajectory.thermo
    series = svg(
        figures.thermo_series(results.trajectory),
        "thermo",
        f"Temperature from {thermo['temperature_K'].min():.0f} to {thermo['temperature_K'].max():.0f} K, potential "
        "energy, volume and pressure over time.",
    )
    spacing = svg(
        figures.spacing_against_temperature(results.trajectory, results.study.anneal.phases),
        "spacing",
        f"Nearest-neighbour distance, {thermo['d_nn_nm'].min():.2f} to {thermo['d_nn_nm'].max():.2f} nm, against "
        "temperature.",
    )
    return (
        figure_html(
            series, "Values at single instants. So small a system fluctuates in pressure by far more than 1 atm."
        )
        + "<h3>Nearest-neighbour distance against temperature</h3>"
        + figure_html(
            spacing,
            "If heating and cooling fall on one line, the spacing follows the temperature without delay."
            if {-1, 1} <= {np.sign(phase.stop_K - phase.start_K) for phase in results.study.anneal.phases}
            else "Every point is one instant.",
        )
    )


def scattering_section(results: Results) -> str:
    """Return the slices of log I(q) and the radial profiles."""
    maps = {state: results.states[state].correlation for state in STATES}
    volumes = {state: results.states[state].intensity for state in STATES}
    q1 = maps["after"].q1_inv_nm
    step = float(np.diff(volumes["after"].q_axes_inv_nm[0][:2])[0])
    slices = png(
        scattering_figures.intensity_slices(volumes, q1),
        "Slices of the logarithm of the scattered intensity through the planes nearest qz = 0, qy = 0 and qx = 0, "
        "before (top) and after (bottom): Bragg peaks, with streaks along qz where the stacking is faulted.",
        dpi=110,
    )
    profile = svg(
        scattering_figures.radial_profiles(maps, radius_nm=results.study.nanoparticle.core_radius_nm),
        "profile",
        "Mean intensity on spheres of q before and after, with the reflections of fcc and hcp marked.",
    )
    return (
        interactive.surface_html(volumes)
        + "<h3>Slices</h3>"
        + figure_html(
            slices,
            "Intensity of the finite crystal, logarithmic, one colour scale for all; layers were built normal to z. "
            f"Each plane is the one of the grid nearest the origin (within {step / 2:.2g} nm⁻¹). Dotted ring: "
            f"|q| = q₁ = {q1:.3f} nm⁻¹. Streaks along qz are Bragg rods, whose pattern tells how layers follow each "
            "other. As the cell was replicated, its stacking repeats for ever, so that a rod is a row of spots, like "
            "that of a polytype; in a crystal with faults here and there it is smooth. The grain between the peaks "
            "comes from the spread of core radii.",
        )
        + "<h3>Radial profile</h3>"
        + figure_html(
            profile,
            "Mean intensity on each sphere. Lines: reflections of fcc and hcp with d from q₁ (after: "
            f"{scattering_figures.spacing_nm(q1):.2f} nm, as along the stacking; d_NN above is the mean of all twelve "
            "neighbours in a cell that may be strained). Intensity at reflections of hcp alone speaks of hcp layers "
            f"or of rods.{_zeros(results)}",
        )
    )


def correlation_section(results: Results) -> str:
    """Return the maps, their difference and the line at q2 ≈ q1."""
    before, after = (results.states[state].correlation for state in STATES)
    maps = {"before": before, "after": after}
    angle = scattering_figures.CLEAR_OF_SELF_DEG
    coverage = min(float(m.coverage.min()) for m in maps.values())
    measured = (
        "All pairs of directions" if coverage > 0.9999 else f"{100 * coverage:.0f} % or more of pairs of directions"
    )
    return (
        "<p>C(q₁, q₂, Δ) is the correlation of the intensity on the sphere q₁, where fcc has 111, with that on the "
        f"sphere q₂ at the angle Δ, as in Fig. 3c of {PAPER}. Colour scales leave out Δ below {angle:.0f}° and "
        f"above {180 - angle:.0f}°, where peaks meet themselves. {measured} contribute.</p>"
        + figure_html(
            png(
                scattering_figures.correlation_maps(maps),
                "Correlation maps before and after, Δ from 0 to 180 degrees against q2; circles mark peaks expected in "
                "fcc, squares those only in hcp, dashed lines the Bragg rods.",
            ),
            "Read it so: bright spots within circles come from fcc (those at 0°, 90° and 180° from hcp too), spots "
            "within squares from hcp or from rods, and intensity along the dashed arcs from faults in the stacking, "
            "which draw peaks out into rods. Grey: outside of the q₂ of that map.",
        )
        + interactive.readout_html(maps)
        + "<h3>What annealing changed</h3>"
        + figure_html(
            png(
                scattering_figures.correlation_difference(before, after),
                "Difference of the correlation maps, after minus before.",
            ),
            "Orange grew, purple fell, white stayed; the colours span far less than in the maps. Healing of faults "
            "would show as arcs purple all along (heavy dashes: 111 along the stacking). Orange beside purple means "
            "that a spot moved, with strain of the cell for one; expect it even where the stacking is unchanged.",
        )
        + "<h3>At q₂ ≈ q₁</h3>"
        + figure_html(
            svg(
                scattering_figures.correlation_line(maps),
                "line",
                "Correlation at q2 near q1 against Δ, before and after; dotted lines at 70.5 and 109.5 degrees.",
            ),
            "Different 111 reflections of fcc correlate at the dotted lines, 70.5° and 109.5°: of maxima at these "
            f"lines, higher ones mean more fcc. {_nearest_maxima(maps)} Maxima beside the lines come from rods of "
            "other stackings.",
        )
    )


def _zeros(results: Results) -> str:
    """Say where the form factor of the cores has zeros, and which reflections they blot out."""
    last = results.states["after"].correlation
    q_low, q_high = float(last.q2_inv_nm[0]), float(last.q2_inv_nm[-1])
    zeros = scattering_figures.zeros_of_sphere(results.study.nanoparticle.core_radius_nm, q_low, q_high)
    if not zeros:
        return ""
    said = ", ".join(f"{q:.3f}" for q in zeros)
    near = sorted(
        {
            f"{peak.family} of {structure}"
            for structure in ("fcc", "hcp")
            for peak in expected_peaks(structure, scattering_figures.spacing_nm(last.q1_inv_nm), (q_low, q_high))
            if any(abs(peak.q2_inv_nm - q) < _NEAR_ZERO * q for q in zeros)
        }
    )
    lost = f" {', '.join(near)} cannot be seen for it, here and in the maps." if near else ""
    return f" Black and dotted: where the form factor of the cores is zero (|q| = {said} nm⁻¹).{lost}"


def _nearest_maxima(maps: dict[str, CorrelationMap]) -> str:
    """Say where the maxima nearest to the angle between 111 reflections of fcc are."""
    said = []
    for name, correlation in maps.items():
        row = int(np.abs(correlation.q2_inv_nm - correlation.q1_inv_nm).argmin())
        line, delta = correlation.ccf[row], correlation.delta_deg
        inner = (line[1:-1] > line[:-2]) & (line[1:-1] > line[2:])
        inner &= np.abs(delta[1:-1] - 90) < 90 - scattering_figures.CLEAR_OF_SELF_DEG
        if inner.any():
            tops = delta[1:-1][inner]
            said.append(f"{name} at {tops[np.abs(tops - _BETWEEN_111_DEG).argmin()]:.1f}°")
    return f"The maximum nearest to the first lies {', '.join(said)}." if said else ""


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
        f'<span class="{escape(kind)}">{n} {escape(kind)}</span>'
        for kind, n in state.counts.items()
        if n or kind in ("fcc", "hcp")
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
            f"{counts} The two sequences are one and the same periodic stacking, read from another start or in another "
            "direction."
        )
    return f"{counts} The stacking changed."


def _changes_table(results: Results) -> str:
    """Return the frames in which the phase or the sequence changed."""
    order, rows, last, known = results.order, "", None, ""
    for k, (phase, sequence) in enumerate(zip(order.phases, order.sequences, strict=True)):
        if (phase, sequence) == last:
            continue
        if not sequence:
            remark = "could not be read"
        elif not known:
            remark = "first reading"
        elif sequence == known:
            remark = "same"
        else:
            remark = "same stacking, other start" if same_stacking(sequence, known) else "changed"
        counts = order.counts(k)
        cells = "".join(f'<td class="number">{counts[name]}</td>' for name in order.classes)
        rows += (
            f'<tr><td class="number">{order.time_ns[k]:.4g}</td><td>{text(phase)}</td>{cells}'
            f"<td>{sequence_html(sequence)}</td><td>{remark}</td></tr>"
        )
        last, known = (phase, sequence), sequence or known
    head = "".join(f'<th scope="col" class="number">{text(name)}</th>' for name in order.classes)
    return f"""<div class="scroll limit" tabindex="0" role="region" aria-label="Changes of phase or sequence"><table>
<caption>Frames in which the phase or the sequence changed</caption><thead><tr>
<th scope="col" class="number">time (ns)</th><th scope="col">phase</th>{head}<th scope="col">sequence</th>
<th scope="col">stacking against the one before</th></tr></thead><tbody>{rows}</tbody></table></div>"""


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

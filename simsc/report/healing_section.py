"""What a report says about healing: what slid and when, and the number of hcp-like layers against chance."""

from simsc.plot import healing as healing_figures
from simsc.report import healing_text
from simsc.report.embed import figure_html, sequence_html, svg, text
from simsc.sliding.chance import NULLS
from simsc.sliding.healing import (
    RunHealing,
    SetHealing,
    healing_of,
    set_healing,
)
from simsc.sliding.slips import hopping_rates, stacking_history
from simsc.study.results import Results


def healing_section(results: Results) -> str:
    """Return what slid and when, the number of hcp-like layers against chance, and what it is worth."""
    order = results.order
    run = healing_of("run", stacking_history(order.sequences, order.layers, order.time_ns, order.phases))
    if run is None:
        return f"<p>{healing_text.NOTHING_LASTED}</p>"
    found = set_healing([run])
    start, end = run.slides.sequences
    chance = (
        f"Probability of each number of hcp-like layers by chance, with {run.h_start} at the start and {run.h_end} at "
        "the end."
    )
    slid = f"Number of hcp-like layers over time, and {run.n_slides} slides of layers."
    return f"""
<p class="lead"><strong>{healing_text.verdict(found)}</strong></p>
<p>From {sequence_html(start)} to {sequence_html(end)}, read from the same layer on.{
        healing_text.unread(run.slides)
    } Whether a
step from one layer to the next is + (A to B to C) or − is all that matters; a layer between unlike steps is hcp-like.
All layers above an interface can slide, which turns one step, or one hcp-like layer alone, which turns the two beside
it.</p>
{
        figure_html(
            svg(healing_figures.slides_over_time(run), "slides", slid),
            "A slide counts when the new stacking stays for "
            "some frames; what slides to and fro between two frames goes unseen.",
        )
    }
{
        figure_html(
            svg(healing_figures.hcp_against_chance(found), "chance", chance),
            "Grey: what is left by chance if no stacking "
            "is preferred and the start is forgotten, for three ways in which layers may slide.",
        )
    }
{chance_table(found) if found.says_something else ""}
{_slides_table(run)}{_rates_table(run)}"""


def chance_table(found: SetHealing) -> str:
    """Return p-values and energies for each way in which layers may slide, and what they mean."""
    rows = ""
    for null in NULLS:
        p = found.p_values[null]
        rows += (
            f'<tr><th scope="row">{healing_text.NULL_NAMES[null]}</th>'
            f'<td class="number">{"–" if p is None else f"{p:.3g}"}</td>'
            f"<td>{healing_text.energy(found.energies[null])}</td></tr>"
        )
    fit = found.energy_of_slides
    slid = "" if fit is None else f"<p><strong>{healing_text.energy_from_slides(fit)}</strong></p>"
    memory = (
        f"<p><strong>{found.n_remembering} of {len(found.runs)} ends still remember their starts</strong> (fewer "
        "slides than layers): this table does not hold for them.</p>"
        if found.n_remembering
        else ""
    )
    return f"""{slid}<div class="scroll"><table><caption>If each end had forgotten its start</caption><thead><tr>
<th scope="col">how layers slide</th><th scope="col" class="number">{healing_text.FORGOTTEN}</th>
<th scope="col">energy per hcp-like layer, kT (95 %; + prefers fcc)</th></tr></thead><tbody>{rows}</tbody></table></div>
<div class="note" role="note">{memory}<p>{healing_text.MEANING}</p></div>"""


def _slides_table(run: RunHealing) -> str:
    rows = "".join(
        f'<tr><td class="number">{slide.time_ns:.4g}</td><td>{text(slide.phase)}</td>'
        f"<td>{healing_text.moved(slide)}</td>"
        f"<td>{healing_text.signs(slide.before)} → {healing_text.signs(slide.after)}</td>"
        f"<td>{slide.h_before} → {slide.h_after}</td></tr>"
        for slide in run.slides.slides
    )
    if not rows:
        return ""
    return f"""<div class="scroll limit" tabindex="0" role="region" aria-label="Slides of layers"><table>
<caption>Slides</caption><thead><tr><th scope="col" class="number">time (ns)</th><th scope="col">phase</th>
<th scope="col">what slid</th><th scope="col">steps</th><th scope="col">hcp-like layers</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _rates_table(run: RunHealing) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(phase)}</th>'
        + "".join(
            f'<td class="number">{rate.slides}</td><td class="number">{rate.rate_per_ns:.2g} '
            f"({rate.low_per_ns:.2g} to {rate.high_per_ns:.2g})</td>"
            for rate in rates.values()
        )
        + "</tr>"
        for phase, rates in hopping_rates(run.slides).items()
    )
    heads = "".join(
        f'<th scope="col" class="number">{what}</th><th scope="col" class="number">rate per {place} and ns (95 %)</th>'
        for what, place in (("interfaces that slid", "interface"), ("single layers that slid", "layer"))
    )
    return f"""<div class="scroll"><table><caption>How often layers slid</caption><thead><tr><th scope="col">phase</th>
{heads}</tr></thead><tbody>{rows}</tbody></table></div>"""

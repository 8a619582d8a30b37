"""What a report says about the first nanoparticle of an all-atom study: pictures, census, equilibration."""

from simsc.plot.nanoparticle import portraits, spacing_series
from simsc.report.embed import figure_html, png, svg, text
from simsc.study.results import Results

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
    """Return pictures and a census of the first NP, and the equilibration of its crystal."""
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
            png(portraits(found.structures), "The core, with OH groups, and with its ligands."),
            "Iron orange, oxygen red, carbon grey, hydrogen white; one scale.",
        )
        + figure_html(
            png(
                portraits(found.structures[1:], cut=True),
                "The same, with the half that is nearer to the viewer cut away.",
            ),
            "The same, with the half that is nearer to the viewer cut away.",
        )
        + f"""<div class="scroll"><table><caption>Composition of the first nanoparticle</caption>
<thead><tr><th scope="col">quantity</th>{head}</tr></thead><tbody>{table}</tbody></table></div>"""
        + figure_html(
            svg(
                spacing_series(found.crystal),
                "rest",
                "Nearest-neighbour distance of the fcc crystal during its equilibration, with the drift at its end.",
            ),
            "Nearest-neighbour distance of the fcc crystal while it is equilibrated, before its layers are stacked "
            "anew. As long as the dashed line falls, the crystal has not reached equilibrium.",
        )
    )

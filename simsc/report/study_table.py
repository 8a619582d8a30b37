"""A study as a table, beside the preset that holds the paper's protocol."""

import functools
import json
import tomllib

from simsc.models.heads import SPHERES
from simsc.report.embed import text
from simsc.study.schema import NanoparticleSection, PhaseSection, Study, preset_text


def study_table(study: Study) -> str:
    """Return the study beside the preset that holds the paper's protocol."""
    paper = Study.model_validate_json(_paper_json())
    rows = "".join(
        f'<tr><th scope="row">{text(key)}</th><td>{text(value)}</td><td>'
        + ("same" if reference == value else text(reference or "absent"))
        + "</td></tr>"
        for key, value, reference in _side_by_side(study, paper)
    )
    return f"""<div class="scroll"><table><caption>The study, beside the preset with the paper’s full protocol</caption>
<thead><tr><th scope="col">what</th><th scope="col">this study</th><th scope="col">preset “paper”</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def differences(one: Study, other: Study) -> list[tuple[str, str, str]]:
    """Return what differs between two studies: what, and how it is in each; all as text."""
    here, there = _readable(one), _readable(other)
    rows = [(key, here.get(key, "–"), there.get(key, "–")) for key in dict.fromkeys([*here, *there])]
    return [row for row in rows if row[1] != row[2]]


def _side_by_side(study: Study, paper: Study) -> list[tuple[str, str, str]]:
    here, there = _readable(study), _readable(paper)
    return [(key, here.get(key, "absent"), there.get(key, "")) for key in dict.fromkeys([*here, *there])]


def _described(phase: PhaseSection) -> str:
    if phase.kind == "minimise":
        return "energy minimised"
    kind = "" if phase.kind == "npt" else f", {phase.kind}"
    if phase.kind == "deform":
        kind = f", cell scaled by {' × '.join(f'{factor:g}' for factor in phase.scale)}"
    if phase.start_K != phase.stop_K:
        return f"{phase.start_K:g} → {phase.stop_K:g} K in {phase.duration_ns:g} ns{kind}"
    return f"{phase.start_K:g} K for {phase.duration_ns:g} ns{kind}"


def _readable(study: Study) -> dict[str, str]:
    lattice, anneal, scattering, correlation = study.superlattice, study.anneal, study.scattering, study.correlation
    phases = {f"phase “{phase.name}”": _described(phase) for phase in anneal.phases}
    first, last, step = correlation.q2_over_q1
    return {
        "stacking": lattice.stacking,
        "NPs in the cell": f"{2 * len(lattice.stacking) * lattice.lateral[0] * lattice.lateral[1]}",
        "nearest-neighbour distance at the start": "that of the equilibrated fcc crystal"
        if lattice.d_nn_nm is None
        else f"{lattice.d_nn_nm:g} nm",
        "core radius": f"{study.nanoparticle.core_radius_nm:g} nm",
        **_cores(study.nanoparticle),
        "force field": anneal.force_field
        if study.all_atom is None
        else f"all atoms: {study.all_atom.ligand}, iron {study.all_atom.iron}, {study.all_atom.constraints}",
        "pressure and coupling": f"{anneal.pressure_atm:g} atm, {anneal.coupling}",
        **phases,
        "frames saved every": f"{anneal.output_every_ns:g} ns",
        "method of labels": study.order.method,
        "scattering before, after": f"“{scattering.before}”, “{scattering.after}”; last {scattering.frames} frames",
        "crystal that scatters": f"cell × {' × '.join(map(str, scattering.replicate))}, {scattering.shape}",
        "width of core radii": f"{scattering.core_radius_std_nm:g} nm",
        "intensity grid": f"{scattering.grid}³ points to {scattering.q_max_inv_nm:g} nm⁻¹",
        "correlation map": f"q₂ / q₁ from {first:g} to {last:g} by {step:g}; {correlation.n_delta} angles",
        "seed": str(study.seed),
    }


def _cores(nanoparticle: NanoparticleSection) -> dict[str, str]:
    """Return what is said of the cores of a coarse-grained model where they are not the usual ones."""
    if nanoparticle.dressing == SPHERES:
        return {}
    coverage = nanoparticle.coverage_per_nm2
    cores = f"{nanoparticle.shape.replace('_', ' ')}, {nanoparticle.orientation} orientation"
    return {"cores": cores if coverage is None else f"{cores}, {coverage:g} ligands per nm²"}


@functools.cache
def _paper_json() -> str:
    return json.dumps(tomllib.loads(preset_text("paper")))

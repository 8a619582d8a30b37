"""Write the keys of a study file into its page, from the schema that simsc checks studies with.

    python docs/study_table.py

Types, limits and defaults come from `simsc.study.schema`; the words about each key stand here. It fails if a key has
none, or if there are words about a key that is gone. The page is committed, so that it can be read without being built;
a test checks that it is current.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simsc.study.schema import PHASE_KEYS, Study

PAGE = Path(__file__).parent / "reference" / "study.md"
BEGIN = "<!-- what follows was written by docs/study_table.py -->"
SECTIONS = {
    "": "The study itself",
    "superlattice": "`[superlattice]`",
    "nanoparticle": "`[nanoparticle]`",
    "all_atom": "`[all_atom]`, in place of a coarse-grained model",
    "all_atom.phases": "`[[all_atom.phases]]`, the equilibration of the fcc crystal",
    "anneal": "`[anneal]`",
    "anneal.phases": "`[[anneal.phases]]`",
    "order": "`[order]`",
    "scattering": "`[scattering]`",
    "correlation": "`[correlation]`",
    "replicas": "`[replicas]`",
    "replicas.vary": "`[[replicas.vary]]`",
}
WORDS = {
    "title": "Heads the report.",
    "seed": "Of all random numbers; replicas count on from it.",
    "superlattice.stacking": "One letter A, B or C a layer; the cell is periodic.",
    "superlattice.d_nn_nm": "Initial nearest-neighbour distance, nm; the pressure sets it. More than the "
    "diameter of the cores, and so near that ligands meet. Needed; leave it out with `[all_atom]`.",
    "superlattice.lateral": "Repeats of the 2-NP rectangle within each layer.",
    "nanoparticle.core_radius_nm": "Core radius, nm; of a polyhedron, that of the sphere of the same volume. "
    "Each coarse-grained model has a range, such as 1.5 to 4.",
    "nanoparticle.shape": "Of the cores of a coarse-grained model. Scattering takes spheres all the same.",
    "nanoparticle.coverage_per_nm2": "Ligands per nm² of core; by default that of the force field.",
    "nanoparticle.orientation": "`aligned`: ⟨111⟩ of all cores across the layers; else each at random.",
    "all_atom.shape": "Of the carved core.",
    "all_atom.facets": "Energies of facets (Wulff shape), such as `{ 111 = 1.0, 100 = 1.1 }`; in place of `shape`.",
    "all_atom.crystal": "CIF of another crystal; empty for magnetite. Relative to the study file.",
    "all_atom.lattice_angstrom": "Lattice constant of magnetite, Å.",
    "all_atom.centre": "Point of the crystal at the centre of the core, "
    "a Wyckoff site or fractions of the cell; it sets the ratio of Fe to O.",
    "all_atom.least_oxygens": "O that every iron ends up with, hydroxyl groups added, unless it has fewer in the "
    "crystal; `all`: as many as there.",
    "all_atom.iron": "Lennard-Jones set of iron; see the README of `magnetite`.",
    "all_atom.hydroxyl": "Charge of the O in hydroxyl groups: that of ClayFF, −0.950 e, or −1.000 e.",
    "all_atom.ligand": "A ligand that simsc has, or a file of `simsc parameterise`, relative to the study file.",
    "all_atom.coverage_per_nm2": "Ligands per nm² of core.",
    "all_atom.count": "So many ligands, instead of a coverage.",
    "all_atom.binding": "How heads are placed; most bridge two Fe after relaxation.",
    "all_atom.swap_tetrahedral": "Whether Fe²⁺ may come to tetrahedral sites too.",
    "all_atom.independent": "NPs with chance of their own; the others are copies.",
    "all_atom.orientation": "Cubic axes of the cores along those of the crystal, or at random.",
    "all_atom.constraints": "Time step of 1, 2 or 4 fs.",
    "all_atom.cutoff_angstrom": "Of Lennard-Jones and of the real-space Coulomb sum, Å.",
    "all_atom.kspace_accuracy": "Relative error of forces that PPPM is asked for.",
    "all_atom.compress_ns": "How long the dilute fcc crystal is compressed, ns.",
    "all_atom.compress_K": "At this temperature, K.",
    "all_atom.phases": "What follows; below.",
    "all_atom.output_every_ns": "Centres are kept so often, ns.",
    "all_atom.checkpoint_every_ns": "By default ten times `output_every_ns`.",
    "anneal.force_field": "`oleate_super_ligand`, `oleate_martini` or `oleate_one_site`. Leave it out with "
    "`[all_atom]`.",
    "anneal.pressure_atm": "Pressure, atm.",
    "anneal.coupling": "What of the cell follows the pressure: its volume, its edges, or its angles too.",
    "anneal.thermostat": "By default the one that gives the model its own dynamics.",
    "anneal.output_every_ns": "Centres and orientations of the NPs are kept so often, ns.",
    "anneal.thermo_every_ns": "Thermodynamics; by default `output_every_ns`.",
    "anneal.snapshot_every_ns": "All atoms (DCD); by default none.",
    "anneal.checkpoint_every_ns": "By default ten times `output_every_ns`.",
    "anneal.phases": "One after another; below.",
    "order.method": "How NPs are labelled; see [bond order and labels](../explanation/order.md).",
    "order.average_frames": "Centres are averaged over so many frames first.",
    "scattering.before": "Name of the phase whose last frames scatter as the state before.",
    "scattering.after": "Likewise, as the state after.",
    "scattering.frames": "Intensities of so many frames are averaged.",
    "scattering.replicate": "Repeats of the cell, of which the finite crystal is cut; no more than 5 million NPs.",
    "scattering.shape": "What is cut.",
    "scattering.core_radius_std_nm": "Standard deviation of the core radius, nm; at most a quarter of it.",
    "scattering.q_max_inv_nm": "The grid goes from −q to q along each axis, nm⁻¹; at least 8.5 / `d_nn_nm`.",
    "scattering.grid": "Points along each axis.",
    "correlation.q2_over_q1": "First, last and step of q2, in units of q1, the bright peak nearest to 111 of "
    "fcc; 10 000 steps at most.",
    "correlation.n_delta": "Angles Δ from 0° to 180°.",
    "replicas.seeds": "How many seeds, counted on from `seed`, or a list of them.",
    "replicas.vary": "What varies; of several, every combination.",
    "replicas.vary.keys": "Keys of the study that take the same value, such as `anneal.phases[heat].stop_K`.",
    "replicas.vary.values": "The values, one after another.",
}
PHASE_WORDS = {
    "name": "Name of the phase, which others refer to.",
    "kind": "Constant pressure, constant volume, change of the cell, or minimisation.",
    "start_K": "Initial temperature, K; not of `minimise`.",
    "stop_K": "At the end, K; it goes linearly. Likewise.",
    "duration_ns": "Duration, ns; likewise.",
    "pressure_atm": "Instead of that of the section; `npt` only.",
    "coupling": "Instead of that of the section; `npt` only.",
    "thermostat": "Instead of that of the section; not of `minimise`.",
    "scale": "By how much the edges of the cell change; `deform` only.",
    "longest_timestep_fs": "Shorten the time step to this, fs.",
}
for _section in ("anneal.phases", "all_atom.phases"):
    WORDS |= {f"{_section}.{key}": words for key, words in PHASE_WORDS.items()}


def markdown() -> str:
    """Return all sections as Markdown.

    Raises:
        ValueError: if `WORDS` has other keys than the schema.
    """
    schema = Study.model_json_schema()
    rows = {name: list(_rows(schema, name)) for name in SECTIONS}
    keys = {f"{name}.{key}".lstrip(".") for name in rows for key, *_ in rows[name]} - SECTIONS.keys() | {
        name for name in SECTIONS if name in WORDS
    }
    if odd := keys ^ WORDS.keys():
        raise ValueError(f"docs/study_table.py: schema and words differ in {', '.join(sorted(odd))}")
    parts = []
    for name, title in SECTIONS.items():
        needed = ", needed" if _is_needed(schema, name) else ""
        parts += [f"## {title}{needed}", "", "| key | value | default | |", "|---|---|---|---|"]
        for key, kind, default in rows[name]:
            if f"{name}.{key}".lstrip(".") not in SECTIONS or name:
                parts.append(f"| `{key}` | {kind} | {default} | {WORDS[f'{name}.{key}'.lstrip('.')]} |")
        parts.append("")
    return "\n".join(parts)


def _rows(schema: dict[str, Any], section: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, kind of value, and default of a section."""
    node = schema
    for part in filter(None, section.split(".")):
        node = _section(schema, node["properties"][part])
    for key, value in node["properties"].items():
        of_a_ramp = section.endswith("phases") and key in PHASE_KEYS["npt"][0]
        default = "needed" if of_a_ramp or key in node.get("required", ()) else _default(value)
        yield key, _kind(schema, value), default


def _is_needed(schema: dict[str, Any], section: str) -> bool:
    """Tell whether a section has to be there, if those around it are."""
    *outer, own = section.split(".")
    node = schema
    for part in outer:
        node = _section(schema, node["properties"][part])
    return own in node.get("required", ())


def _section(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a property, an optional one or a list of it, holds."""
    for one in (value, value.get("items", {}), *value.get("anyOf", ())):
        if "$ref" in one:
            return schema["$defs"][one["$ref"].rsplit("/", 1)[1]]
    raise ValueError(f"docs/study_table.py: {value} is no section")


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None:
        return "–"
    if isinstance(default, list) and default and isinstance(default[0], dict):
        return "three phases: " + ", ".join(phase["name"] for phase in default)
    return f"`{json.dumps(default)}`"


def _kind(schema: dict[str, Any], value: dict[str, Any]) -> str:
    """Return the kind of a value, and its limits, in words."""
    if "anyOf" in value:
        return " or ".join(_kind(schema, one) for one in value["anyOf"] if one.get("type") != "null")
    if "$ref" in value:
        return "section"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    kind = value.get("type")
    if kind == "array":
        if "prefixItems" in value:
            return "[" + ", ".join(_kind(schema, one) for one in value["prefixItems"]) + "]"
        return "list" if "$ref" in value["items"] or not value["items"] else f"list of {_kind(schema, value['items'])}"
    if kind == "object":
        return "table"
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "`true`, `false`"}[str(kind)]
    if "minimum" in value and "maximum" in value:
        return f"{words}, {_number(value['minimum'])} to {_number(value['maximum'])}"
    for key, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("maximum", "≤")):
        if key in value:
            words += f" {sign} {_number(value[key])}"
    return words


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if value > 9999 else str(value)
    return f"{value:g}"


def page(text: str) -> str:
    """Return the page, with the tables as they are now below its introduction."""
    return text.split(BEGIN)[0] + BEGIN + "\n\n" + markdown().strip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

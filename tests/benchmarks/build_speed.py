"""Build one capped nanoparticle, and the 24-NP cell, with simsc and with packmol and moltemplate, in one run.

    python tests/benchmarks/build_speed.py [--packmol PATH] [--moltemplate PATH] [--write]

packmol (https://m3g.github.io/packmol, `pip install packmol`) places the same oleates about the same core: heads in a
shell at the surface, tails outward, no two atoms of different molecules nearer than 2 Å. It knows neither force field
nor charges: it is asked for coordinates only, and stops when it has found them or after its default number of loops.
moltemplate (https://moltemplate.org, `pip install moltemplate`) writes the LAMMPS data file of the 24-NP cell from the
same molecules with explicit force field types. simsc does both, with protons, charges and oxidation states besides.
"""

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.census import closest_contact_angstrom
from simsc.builders.close_packed import close_packed
from simsc.builders.functionalize import Nanoparticle, functionalize
from simsc.builders.nanoparticle import Core, carve, magnetite
from simsc.builders.nanoparticle_file import write_xyz
from simsc.builders.restack import fcc_orientation, primitive_fcc
from simsc.builders.surface import hydroxylate
from simsc.forcefield.ligand import Ligand, load_ligand
from simsc.forcefield.magnetite import load_magnetite
from simsc.models.all_atom import dress_all_atom

RESULT = table_of(__file__)
PAPER = "ABCABCABABAB"


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packmol", default=shutil.which("packmol"))
    parser.add_argument("--moltemplate", default=shutil.which("moltemplate.sh"))
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which another program is stopped (>)")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    ligand, parameters = load_ligand("oleate_gaff_resp/gaff"), load_magnetite()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        core = carve(magnetite(), 4.0)
        built = functionalize(hydroxylate(core), ligand, parameters, np.random.default_rng(1))
        own_np = time.perf_counter() - begin
        begin = time.perf_counter()
        lattice = close_packed(PAPER, 9.0)
        system = dress_all_atom(lattice, [built], Rotation.concatenate([fcc_orientation(PAPER)] * 24), parameters)
        (folder / "own.data").write_text(system.data)
        own_cell = time.perf_counter() - begin
        begin = time.perf_counter()
        alone = dress_all_atom(primitive_fcc(9.0), [built], Rotation.identity(1), parameters)
        (folder / "alone.data").write_text(alone.data)
        own_file = time.perf_counter() - begin
        rows = [
            ("one NP", "simsc", own_np, built.n, closest_contact_angstrom(built)),
            ("one NP, data file", "simsc", own_file, alone.n_atoms, ""),
            ("24 NPs, data file", "simsc", own_cell, system.n_atoms, ""),
        ]
        if arguments.packmol:
            try:
                found = packmol(arguments.packmol, folder, core, ligand, built, arguments.limit)
            except subprocess.TimeoutExpired:
                found = (arguments.limit, 0, "")
            rows.append(("one NP", "packmol", *found))
        for copies, what in ((1, "one NP, data file"), (24, "24 NPs, data file")) if arguments.moltemplate else ():
            try:
                seconds, n = moltemplate(arguments.moltemplate, folder, built, copies, arguments.limit)
            except subprocess.TimeoutExpired:
                seconds, n = arguments.limit, 0
            rows.append((what, "moltemplate", seconds, n, ""))
    own = {what: seconds for what, program, seconds, *_ in rows if program == "simsc"}
    table = [
        (
            what,
            program,
            f"{'>' * (n == 0)}{seconds:.1f}",
            f"{'>' * (n == 0)}{seconds / own[what]:.1f}",
            n or "stopped",
            closest if closest == "" else f"{closest:.2f}",
        )
        for what, program, seconds, n, closest in rows
    ]
    header = ("what", "program", "seconds", "ratio_to_simsc", "atoms", "closest_contact_angstrom")
    print(*header, sep="\t")
    for row in table:
        print(*row, sep="\t")
    if arguments.write:
        write_table(RESULT, [dict(zip(header, row, strict=True)) for row in table], arguments)
        print(f"{RESULT} written on {platform.machine()}")


def packmol(
    program: str, folder: Path, core: Core, ligand: Ligand, built: Nanoparticle, limit: float
) -> tuple[float, int, float]:
    """Let packmol place the oleates of `built`; returns seconds, atoms, and the closest contact of two molecules, Å."""
    write_xyz(folder / "core.xyz", core.elements, core.positions_angstrom)
    write_xyz(folder / "ligand.xyz", ligand.elements, ligand.geometry)
    outer = np.linalg.norm(core.positions_angstrom, axis=1).max()
    length = np.linalg.norm(ligand.geometry - ligand.geometry[ligand.carboxylate[0]], axis=1).max()
    carbon, first, second = (i + 1 for i in ligand.carboxylate)
    tip = int(np.argmax(np.linalg.norm(ligand.geometry - ligand.geometry[carbon - 1], axis=1))) + 1
    (folder / "packmol.inp").write_text(
        f"""tolerance 2.0
seed 1
filetype xyz
output packed.xyz
structure core.xyz
  number 1
  fixed 0. 0. 0. 0. 0. 0.
end structure
structure ligand.xyz
  number {built.n_ligands}
  inside sphere 0. 0. 0. {outer + length + 6:.2f}
  atoms {first} {second}
    inside sphere 0. 0. 0. {outer + 3:.2f}
  end atoms
  atoms {tip}
    outside sphere 0. 0. 0. {outer + 0.7 * length:.2f}
  end atoms
end structure
"""
    )
    begin = time.perf_counter()
    with open(folder / "packmol.inp") as script:
        subprocess.run([program], stdin=script, cwd=folder, capture_output=True, check=False, timeout=limit)
    seconds = time.perf_counter() - begin
    rows = [line.split() for line in (folder / "packed.xyz").read_text().splitlines()[2:]]
    positions = np.array([[float(word) for word in row[1:4]] for row in rows])
    packed = positions[core.n :].reshape(built.n_ligands, ligand.n, 3)
    only_core = Nanoparticle(
        positions[: core.n],
        np.array(["FeO3" if element == "Fe" else "O" for element in core.elements]),
        np.empty((0, 2), dtype=int),
        ligand,
        packed,
        core.area_nm2,
        core.diameter_nm,
    )
    return seconds, len(positions), closest_contact_angstrom(only_core)


def moltemplate(program: str, folder: Path, built: Nanoparticle, copies: int, limit: float) -> tuple[float, int]:
    """Let moltemplate write the data file of several copies of an NP; returns seconds and atoms."""
    ligand = built.ligand
    types = sorted({atom.type for atom in ligand.atoms})
    masses = {atom.type: atom.mass_g_per_mol for atom in ligand.atoms}
    kinds = sorted(set(built.core_kinds))
    parameters = load_magnetite()
    lines = ['import "forms.lt"', "NP {", '  write("Data Atoms") {']
    core = zip(built.core_kinds, parameters.charges_e(built.core_kinds), built.core_positions_angstrom, strict=True)
    for i, (kind, charge, (x, y, z)) in enumerate(core):
        lines.append(f"    $atom:c{i} $mol:core @atom:/{kind} {charge:.6f} {x:.4f} {y:.4f} {z:.4f}")
    lines.append("  }")
    lines.append('  write("Data Bonds") {')
    lines += [f"    $bond:b{b} @bond:/oh $atom:c{i} $atom:c{j}" for b, (i, j) in enumerate(built.core_bonds)]
    lines.append("  }")
    for k, positions in enumerate(built.ligand_positions_angstrom):
        lines.append('  write("Data Atoms") {')
        for i, (atom, (x, y, z)) in enumerate(zip(ligand.atoms, positions, strict=True)):
            lines.append(f"    $atom:l{k}_{i} $mol:l{k} @atom:/{atom.type} {atom.charge_e:.6f} {x:.4f} {y:.4f} {z:.4f}")
        lines.append("  }")
        terms = (("bond", ligand.bonds), ("angle", ligand.angles), ("dihedral", ligand.dihedrals))
        for name, listed in (*terms, ("improper", ligand.impropers)):
            lines.append(f'  write("Data {name.capitalize()}s") {{')
            for t, term in enumerate(listed):
                atoms = " ".join(f"$atom:l{k}_{i}" for i in term.atoms)
                of = "-".join(ligand.atoms[i].type for i in term.atoms)
                lines.append(f"    ${name}:l{k}_{t} @{name}:/{of} {atoms}")
            lines.append("  }")
    lines.append("}")
    (folder / "np.lt").write_text("\n".join(lines) + "\n")
    forms = ['write_once("Data Masses") {']
    forms += [f"  @atom:/{kind} {parameters.species[kind].mass_g_per_mol}" for kind in kinds]
    forms += [f"  @atom:/{name} {masses[name]}" for name in types]
    (folder / "forms.lt").write_text("\n".join([*forms, "}"]) + "\n")
    system = ['import "np.lt"']
    system += [f"np{k} = new NP.move(0, 0, {90 * k})" for k in range(copies)]
    box = ['write_once("Data Boundary") {', "  0 90 xlo xhi", "  0 90 ylo yhi", f"  0 {90 * copies} zlo zhi", "}"]
    (folder / "system.lt").write_text("\n".join([*system, *box]) + "\n")
    # Its shell script starts whatever `python` comes first.
    environment = {**os.environ, "PATH": f"{Path(program).resolve().parent}:{os.environ['PATH']}"}
    begin = time.perf_counter()
    subprocess.run(
        [program, "-atomstyle", "full", "-nocheck", "system.lt"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
        timeout=limit,
    )
    seconds = time.perf_counter() - begin
    header = (folder / "system.data").read_text()[:400]
    return seconds, int(header.split(" atoms")[0].split()[-1])


if __name__ == "__main__":
    main()

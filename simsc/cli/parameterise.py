"""The command `simsc parameterise`: all parameters of another ligand."""

from pathlib import Path

import click

from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import InputError


@click.command(
    "parameterise",
    epilog=example(
        "simsc parameterise 'CCCCCCCCCCCCCCCCCC(=O)[O-]' --name stearate --charges am1bcc -o stearate.json",
        "simsc parameterise oleate.mol2 --name oleate --force-field gaff2 -o oleate.json",
    ),
)
@click.argument("molecule", metavar="SMILES_OR_MOL2")
@click.option("--name", required=True, help="What to call the ligand.")
@click.option(
    "--charges",
    type=click.Choice(["resp", "am1bcc"]),
    help="resp (RHF/6-31G*, the default) or am1bcc (quick); a mol2 file keeps its own.",
)
@click.option(
    "--force-field", type=click.Choice(["gaff", "gaff2"]), default="gaff", show_default=True, help="Which one."
)
@click.option("--conformers", default=4, show_default=True, help="How many RESP fits together.")
@click.option("--work", type=PATH, help="Folder where RESP keeps what is finished, to go on from after a stop.")
@click.option("-o", "--output", type=PATH, required=True, help="Ligand file (JSON) to write.")
@JSON
def parameterise(
    molecule: str,
    name: str,
    charges: str | None,
    force_field: str,
    conformers: int,
    work: Path | None,
    output: Path,
    as_json: bool,
) -> None:
    """Give a carboxylate, by SMILES with its charge or as a .mol2 file, all parameters of GAFF or GAFF2.

    RESP charges of a C18 chain take hours: an RHF/6-31G* geometry and potential for each conformer.
    """
    from simsc.forcefield.ligand import write_ligand
    from simsc.forcefield.parameterise import parameterise as parameterised

    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}")
    ligand = parameterised(
        molecule, name, charges, force_field, conformers, work, progress=lambda line: click.echo(line, err=True)
    )
    write_ligand(output, ligand)
    print_result(
        as_json,
        {"output": output, "n": ligand.n, "force_field": ligand.force_field, "charge_model": ligand.charge_model},
        f"{output}: {ligand.n} atoms, {ligand.force_field}, charges {ligand.charge_model}",
    )

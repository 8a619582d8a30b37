"""The command `simsc info`: what a file or folder is, and what made it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np

from simsc.builders.nanoparticle_file import read_nanoparticle
from simsc.classify.order import ORDER_FILE, read_order
from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import photon_energy_kev
from simsc.experiment.frame_formats import FRAME_FORMATS
from simsc.experiment.series import read_series
from simsc.io.hdf5 import kind_of, open_hdf5, read_provenance
from simsc.io.kinds import (
    CORRELATION_MAP,
    INTENSITY,
    NANOPARTICLE,
    ORDER,
    SHELLS,
    SUPERLATTICE,
    TRAJECTORY,
    Kind,
)
from simsc.io.native import read_intensity, read_map, read_superlattice
from simsc.io.volume_formats import VOLUME_FORMATS, read_raw, volume_format
from simsc.md.frames import open_frames
from simsc.study.contents import contents_of
from simsc.study.run_folder import RunFolder

_UNITS = {
    " inv nm": " (nm⁻¹)",
    " nm and degrees": " (nm, degrees)",
    " degrees": " (degrees)",
    " kev": " (keV)",
    " nm": " (nm)",
    " um": " (µm)",
    " ns": " (ns)",
    " m": " (m)",
    " s": " (s)",
}
Facts = dict[str, Any]


@click.command(
    epilog=example("simsc info intensity.h5", "simsc info scan/scan_master.h5", "simsc info study_run --json")
)
@click.argument("file", metavar="FILE_OR_RUN", type=PATH)
@JSON
def info(file: Path, as_json: bool) -> None:
    """Identify a file or folder (a structure, an intensity, a map, detector frames, a run …), and show what made it.

    Of files of other programs it shows what simsc reads in them, and what has to be given as options.
    """
    facts, advice = _describe(file)
    made = _made(file)
    shown = [f"{file}: {facts['kind']}"]
    shown += [f"  {_in_words(name)}: {_value(value)}" for name, value in facts.items() if name != "kind"]
    shown += [f"  {_in_words(name)}: {_value(made[name])}" for name in ("simsc", "created", "command") if name in made]
    shown += [] if advice is None else [f"  next: {advice}"]
    print_result(as_json, {"file": file, **facts, "provenance": made, "next": advice}, *shown)


def _describe(file: Path) -> tuple[Facts, str | None]:
    """Return what a file holds, and which command takes it."""
    match contents_of(file):
        case "run":
            study = RunFolder(file).study()
            kind = "a run of a study" if study.replicas is None else "replicas of a study"
            return {"kind": kind, "title": study.title}, f"simsc status {file}"
        case "order":
            return _describe(file / ORDER_FILE)
        case "annealing":
            return {"kind": TRAJECTORY.name, **_of_trajectory(file)}, TRAJECTORY.advice(file)
        case "study":
            return {"kind": "a study, or settings"}, f"simsc run {file}"
        case "own HDF5":
            own = kind_of(file)
            assert own is not None
            return {"kind": own.name, **_OWN[own](file)}, own.advice(file)
        case "HDF5 of another program":
            return _of_hdf5(file)
        case "frames":
            return _of_frames(file)
        case "volume":
            return _of_volume(file)
        case "structure":
            return _of_structure(file)


def _of_superlattice(file: Path) -> Facts:
    return _structure(read_superlattice(file))


def _structure(superlattice: Superlattice) -> Facts:
    facts: Facts = {"n_nps": superlattice.n}
    if superlattice.radii_nm is not None:
        facts["core_radius_nm"] = float(superlattice.radii_nm.mean())
        facts["core_radius_std_nm"] = float(superlattice.radii_nm.std())
    else:
        facts["core_radius_nm"] = None
    if superlattice.cell is not None:
        facts["cell_nm_and_degrees"] = superlattice.cell.parameters
        facts["periodic"] = "".join("abc"[k] for k in range(3) if superlattice.cell.periodic[k]) or "none"
    else:
        facts["extent_nm"] = np.ptp(superlattice.positions_nm, axis=0)
    facts["orientations"] = superlattice.orientations is not None
    return facts


def _of_intensity(file: Path) -> Facts:
    volume = read_intensity(file)
    steps = [float(axis[1] - axis[0]) for axis in volume.q_axes_inv_nm]
    measured = 1.0 if volume.measured is None else float(volume.measured.mean())
    return {
        "voxels": list(volume.intensity.shape),
        "q_from_inv_nm": [float(axis[0]) for axis in volume.q_axes_inv_nm],
        "q_to_inv_nm": [float(axis[-1]) for axis in volume.q_axes_inv_nm],
        "step_inv_nm": steps,
        "measured_part": measured,
        "variance": volume.variance is not None,
    }


def _of_shells(file: Path) -> Facts:
    with open_hdf5(file) as handle:
        q, (_, rings, points) = handle["q"][:], handle["intensity"].shape
        facts: Facts = {"spheres": len(q)}
        facts |= {"q_from_inv_nm": float(q[0]), "q_to_inv_nm": float(q[-1]), "rings": rings, "points_a_ring": points}
        facts["variance"] = "variance" in handle
    return facts


def _of_map(file: Path) -> Facts:
    found = read_map(file)
    return {
        "q1_inv_nm": found.q1_inv_nm,
        "q2_from_inv_nm": float(found.q2_inv_nm[0]),
        "q2_to_inv_nm": float(found.q2_inv_nm[-1]),
        "values": list(found.ccf.shape),
        "bin_degrees": found.bin_deg,
        "coverage": [float(found.coverage.min()), float(found.coverage.max())],
        "variance": found.variance is not None,
    }


def _of_trajectory(file: Path) -> Facts:
    frames = open_frames(file)
    last = next(frames.frames([len(frames) - 1]))
    facts = {"frames": len(frames), "last_frame_ns": last.time_ns, "last_phase": last.phase}
    return facts | _structure(last.superlattice)


def _of_order(file: Path) -> Facts:
    order = read_order(file.parent)
    return {"frames": len(order), "n_nps": order.n}


def _of_nanoparticle(file: Path) -> Facts:
    nanoparticle = read_nanoparticle(file)
    return {
        "core_atoms": len(nanoparticle.core_kinds),
        "ligands": len(nanoparticle.ligand_positions_angstrom),
        "core_diameter_nm": nanoparticle.diameter_nm,
    }


def _of_hdf5(file: Path) -> tuple[Facts, str]:
    """Describe HDF5 of another program: detector frames, or what may be a volume."""
    try:
        return _of_frames(file)
    except InputError as error:
        known = volume_format(file)
        if known is not None and known.package:
            return _of_volume(file)
        with open_hdf5(file) as handle:
            volumes: list[str] = []
            handle.visititems(
                lambda name, item: volumes.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 3 else None
            )
        if not volumes:
            raise InputError(f"{error} (and no dataset in it has three dimensions, as a volume would)") from None
        shown = ", ".join(volumes[:3]) + (" …" if len(volumes) > 3 else "")
        facts = {"kind": "HDF5 of another program, no detector frames", "three_dimensional": shown}
        return facts, f"simsc import-volume {file} --help"


def _of_volume(file: Path) -> tuple[Facts, str]:
    """Describe a volume of another program as far as it can be read without options."""
    facts: Facts = {"kind": "a volume of another program"}
    known = volume_format(file)
    if known is None or not known.named:  # else its arrays may have to be named first
        shape = read_raw(file, {}).arrays["intensity"].shape
        if len(shape) != 3:
            raise InputError(f"{file}: holds an array of shape {shape}; a volume has three dimensions")
        facts["voxels"] = list(shape)
    return facts, f"simsc import-volume {file} --help"


def _of_frames(file: Path) -> tuple[Facts, str]:
    """Describe detector frames; None is what their files do not say, so that import needs an option."""
    series = read_series(file)
    angles, wavelength, pixel = series.angles_deg, series.wavelength_nm, series.pixel_m
    return {
        "kind": "detector frames",
        "frames": series.n,
        "pixels": list(series.shape),
        "bad_pixels": None if series.bad is None else int(series.bad.sum()),
        "angles_degrees": None if angles is None else [float(angles.min()), float(angles.max())],
        "energy_kev": None if wavelength is None else photon_energy_kev(wavelength),
        "distance_m": series.distance_m,
        "pixel_um": None if pixel is None else [1e6 * x for x in pixel],
        "beam_centre_row_column": series.beam_centre_px,
        "exposure_s": None if series.exposure_s is None else float(np.mean(series.exposure_s)),
    }, f"simsc import {shlex.quote(str(file))} -o intensity.h5"


def _of_structure(file: Path) -> tuple[Facts, str]:
    try:
        frames = open_frames(file)
    except InputError as error:
        known = [", ".join(one.name for one in formats) for formats in (FRAME_FORMATS, VOLUME_FORMATS)]
        raise InputError(f"{error}; nor is it known as detector frames ({known[0]}) or a volume ({known[1]})") from None
    last = next(frames.frames([len(frames) - 1]))
    facts: Facts = {"kind": "a structure of another program", "frames": len(frames)}
    return facts | _structure(last.superlattice), f"simsc classify {file}"


_OWN: dict[Kind, Callable[[Path], Facts]] = {
    SUPERLATTICE: _of_superlattice,
    INTENSITY: _of_intensity,
    SHELLS: _of_shells,
    CORRELATION_MAP: _of_map,
    TRAJECTORY: _of_trajectory,
    ORDER: _of_order,
    NANOPARTICLE: _of_nanoparticle,
}


def _made(file: Path) -> Facts:
    """Return what made a file of simsc; nothing for others."""
    return read_provenance(file) if file.is_file() and h5py.is_hdf5(file) else {}


def _in_words(name: str) -> str:
    """Return a name with its unit as people write them."""
    words = name.replace("n_nps", "NPs").replace("_", " ")
    for unit, shown in _UNITS.items():
        if words.endswith(unit):
            return words.removesuffix(unit) + shown
    return words


def _value(value: Any) -> str:
    if value is None:
        return "not told"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_value(x) for x in (value.tolist() if isinstance(value, np.ndarray) else value))
    return json.dumps(value) if isinstance(value, dict) else str(value)

"""Checkpoints of a run: two generations on disk, each whole and verified, or not there.

A checkpoint is a LAMMPS restart file, the parts of the trajectory up to it, and a small JSON that names them with their
SHA-256. The JSON is written last: what it does not name was never part of the run, and is swept away. LAMMPS itself
takes a restart file with a flipped bit without a word.
"""

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simsc.core.errors import ResourceError, SimscWarning, StudyError
from simsc.io.digests import file_digest, text_digest
from simsc.io.whole_files import write_text

FORMAT = "simsc checkpoint 2"
_GENERATIONS = 2
_NAME = re.compile(r"checkpoint_\d{6,}\.json")
_OURS = re.compile(r"(checkpoint_\d{6,}\.(json|restart)|part_\d{6,}j?\.h5|snapshot_\d{6,}\.dcd)")
# What a process that was killed, or met a full disk, was about to write: LAMMPS's files, and those of `whole_file`.
_HALF = re.compile(r"((checkpoint|snapshot)_\d{6,}\.(restart|dcd)|annealed\.data|\..+\.\d+)\.partial")


@dataclass(frozen=True)
class Checkpoint:
    """A state from which a run goes on.

    Attributes:
        segments: segments of the protocol that are done.
        step: step of the protocol.
        restart: name of the LAMMPS restart file.
        parts: names of the parts of the trajectory, in their order.
        snapshots: names of the files with the positions of all atoms, in their order.
        digests: SHA-256 of every file named.
        physics: what decides about the trajectory; a run with other physics does not go on from here.
        first_cell_angstrom: (3, 3) cell when the protocol began, or its last deformation ended, Å.
        phase_cell_angstrom: (3, 3) cell when the phase began that goes on here, Å.
        history: what the segments ran on (`LammpsSession.runs_on`), one entry for each change.
    """

    segments: int
    step: int
    restart: str
    parts: tuple[str, ...]
    snapshots: tuple[str, ...]
    digests: dict[str, str]
    physics: dict[str, Any]
    first_cell_angstrom: list[list[float]]
    phase_cell_angstrom: list[list[float]]
    history: tuple[dict[str, Any], ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All files that belong to it."""
        return (self.restart, *self.parts, *self.snapshots)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whose files are on disk, and remove what only older generations needed.

    Raises:
        ResourceError: if it cannot be written.
    """
    content = json.dumps(asdict(checkpoint), sort_keys=True)
    text = json.dumps({"format": FORMAT, "sha256": text_digest(content), "content": json.loads(content)}, indent=1)
    write_text(folder / f"checkpoint_{checkpoint.segments:06d}.json", text)
    sweep(folder)


def newest_checkpoint(folder: Path, physics: dict[str, Any]) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, None if a run never began here.

    Nothing but a later analysis needs snapshots: one that is gone was removed by somebody, and the run goes on
    without it, with a `SimscWarning`. One that is there and damaged is not passed over.

    Args:
        folder: folder of the run.
        physics: what the run is to compute, for comparison.

    Raises:
        StudyError: if the run in the folder computes something else; names the keys.
        ResourceError: if there are checkpoints, but none is whole.
    """
    names = _names(folder)
    problems = []
    for name in reversed(names):
        found = _read(folder / name)
        if found is None:
            problems.append(f"{name} is damaged")
            continue
        found, gone = _without_removed(folder, found)
        damaged = first_damaged(folder, found, found.files)
        if damaged is not None:
            problems.append(f"{damaged} is damaged")
            continue
        check_physics(folder, found.physics, physics)
        if gone:
            warnings.warn(f"{folder}: goes on without {', '.join(gone)}, removed", SimscWarning, stacklevel=2)
        return found
    if problems:
        spare = any("snapshot_" in problem for problem in problems)
        remedy = "restore these files, or remove the snapshot to go on without it" if spare else "restore these files"
        raise ResourceError(
            f"{folder}: has no whole checkpoint ({'; '.join(problems)}); {remedy}, or remove the folder to start from "
            "the beginning"
        )
    return None


def _without_removed(folder: Path, checkpoint: Checkpoint) -> tuple[Checkpoint, list[str]]:
    """Return a checkpoint without the snapshots that are gone, and their names."""
    gone = [name for name in checkpoint.snapshots if not (folder / name).exists()]
    kept = tuple(name for name in checkpoint.snapshots if name not in gone)
    digests = {name: value for name, value in checkpoint.digests.items() if name not in gone}
    return replace(checkpoint, snapshots=kept, digests=digests), gone


def first_damaged(folder: Path, checkpoint: Checkpoint, names: Sequence[str]) -> str | None:
    """Return the first of some files of a checkpoint that is not as it was written, None if all are."""
    return next((name for name in names if not _is_whole(folder / name, checkpoint.digests.get(name, ""))), None)


def check_whole(folder: Path, checkpoint: Checkpoint, names: Sequence[str]) -> None:
    """Raise a `ResourceError` if a file of a checkpoint is not as it was written."""
    damaged = first_damaged(folder, checkpoint, names)
    if damaged is not None:
        raise ResourceError(
            f"{folder / damaged}: was damaged after it had been written; check the disk and start again"
        )


def check_physics(folder: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise a `StudyError` that names the first key in which the physics of a run differs from what is asked."""
    asked = json.loads(json.dumps(asked))
    changed = [key for key in sorted(asked.keys() | there.keys()) if asked.get(key) != there.get(key)]
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise StudyError(
            f"{folder}: holds a run with another {key}: {there.get(key, 'absent')!r} there, "
            f"{asked.get(key, 'absent')!r} asked{more}; give a new folder, or what it was begun with"
        )


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that can be read, without verifying its files: for looking on while a run goes."""
    return next(filter(None, (_read(folder / name) for name in reversed(_names(folder)))), None)


def sweep(folder: Path) -> None:
    """Remove what no kept generation names: older generations, and orphans of a crash."""
    names = _names(folder)
    kept = {name: found for name in names if (found := _read(folder / name)) is not None}
    generations = list(kept)[-_GENERATIONS:]
    # Where the newest one is damaged nothing is removed: someone may want to mend it. The next one takes its place.
    if names and names[-1] not in kept:
        return
    needed = {file for name in generations for file in (name, *kept[name].files)}
    for path in folder.iterdir():
        if (_OURS.fullmatch(path.name) or _HALF.fullmatch(path.name)) and path.name not in needed:
            path.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """Return the names of all checkpoints, the oldest first."""
    return sorted((p.name for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=lambda name: int(name[11:-5]))


def _read(path: Path) -> Checkpoint | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        content = values["content"]
        if values["format"] != FORMAT or values["sha256"] != text_digest(json.dumps(content, sort_keys=True)):
            return None
        content |= {key: tuple(content[key]) for key in ("parts", "snapshots", "history")}
        return Checkpoint(**content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_whole(path: Path, expected: str) -> bool:
    try:
        return file_digest(path) == expected
    except OSError:  # missing, or on a bad sector
        return False

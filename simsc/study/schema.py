"""The study file: what may stand in it, its defaults, and messages that name file, key and remedy."""

import difflib
import itertools
import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from simsc.builders.nanoparticle import MAGNETITE_LATTICE_ANGSTROM, centre_fractions
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import MOST_Q2, N_DELTA, Q2_OVER_Q1
from simsc.core.errors import InputError, StudyError
from simsc.core.nested import flat, replaced
from simsc.core.shapes import SHAPES, miller_indices
from simsc.core.stacking import check_stacking
from simsc.forcefield.ligand import load_ligand, read_ligand
from simsc.md.equilibrate import COMPRESSION
from simsc.md.protocol import Coupling, Kind, Phase, Protocol, phase_temperatures_K
from simsc.models.all_atom import TIMESTEPS_FS
from simsc.models.coarse_grained import DEFAULT, Breach, coarse_grained
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import Thermostat
from simsc.study.messages import described

# What each kind of phase needs, and what means nothing to it.
PHASE_KEYS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "npt": (("start_K", "stop_K", "duration_ns"), ("scale",)),
    "nvt": (("start_K", "stop_K", "duration_ns"), ("scale", "pressure_atm", "coupling")),
    "deform": (("start_K", "stop_K", "duration_ns", "scale"), ("pressure_atm", "coupling")),
    "minimise": (
        (),
        ("start_K", "stop_K", "duration_ns", "longest_timestep_fs", "thermostat", "scale", "pressure_atm", "coupling"),
    ),
}
_PROTOCOL_KEYS = [field.name for field in fields(Protocol) if field.name != "phases"]
Count = Annotated[int, Field(ge=1, le=1000)]
LARGEST_SEED = 2**31 - 1
_MOST_SCATTERERS = 5_000_000  # NPs of the finite crystal: gigabytes, and far beyond what frames of one cell can show
_SHOWN = 5  # errors of one study at a time
_AS_PAPER = 1.9 / 1.1
_BEYOND_111 = 1.1  # times |q| of 111: a grid that ends before shows no Bragg peak at all
Seed = Annotated[int, Field(ge=1, le=LARGEST_SEED)]
if TYPE_CHECKING:
    ShapeName = str
    CoreShape = str
else:
    ShapeName = Literal[tuple(SHAPES)]
    CoreShape = Literal[tuple(name for name in reversed(SHAPES) if SHAPES[name].of_atoms)]  # the default first


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SuperlatticeSection(_Section):
    """The superlattice to build."""

    stacking: str
    d_nn_nm: PositiveFloat | None = None
    lateral: tuple[Count, Count] = (1, 1)

    @field_validator("stacking")
    @classmethod
    def _close_packed(cls, value: str) -> str:
        try:
            check_stacking(value)
        except InputError as error:
            raise ValueError(str(error)) from None
        return value


class NanoparticleSection(_Section):
    """The nanoparticle; all but the radius are of coarse-grained models."""

    core_radius_nm: PositiveFloat
    shape: ShapeName = "sphere"
    coverage_per_nm2: PositiveFloat | None = None
    orientation: Literal["random", "aligned"] = "random"

    @property
    def dressing(self) -> Dressing:
        """What the cores of a coarse-grained model look like."""
        return Dressing(self.shape, self.coverage_per_nm2, self.orientation == "aligned")


class PhaseSection(_Section):
    """One phase of the protocol; temperature goes linearly from `start_K` to `stop_K`."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    kind: Kind = "npt"
    start_K: PositiveFloat = 300.0
    stop_K: PositiveFloat = 300.0
    duration_ns: Annotated[float, Field(ge=0)] = 0.0
    pressure_atm: float | None = None
    coupling: Coupling | None = None
    thermostat: Thermostat | None = None
    scale: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    longest_timestep_fs: PositiveFloat | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "PhaseSection":
        given = self.model_fields_set
        needed, useless = PHASE_KEYS[self.kind]
        for key in needed:
            if key not in given:
                raise ValueError(f"{key}: is missing (a phase of kind {self.kind!r} needs it)")
        for key in useless:
            if key in given and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key}: means nothing in a phase of kind {self.kind!r}")
        if self.kind != "minimise" and self.duration_ns == 0:
            raise ValueError("duration_ns: must be above 0")
        return self


class AllAtomSection(_Section):
    """All atoms instead of super-ligands: the nanoparticle, and the fcc crystal that the superlattice is made of."""

    shape: CoreShape = "truncated_cuboctahedron"
    facets: dict[str, PositiveFloat] = {}
    crystal: str = ""
    lattice_angstrom: PositiveFloat = MAGNETITE_LATTICE_ANGSTROM
    centre: str | tuple[float, float, float] = "8a"
    least_oxygens: Annotated[int, Field(ge=0, le=6)] | Literal["all"] = 3
    iron: Literal["A", "B"] = "A"
    hydroxyl: Literal["clayff", "2025"] = "clayff"
    ligand: str = "oleate_gaff_resp/gaff"
    coverage_per_nm2: PositiveFloat = 4.8
    count: PositiveInt | None = None
    binding: Literal["monodentate", "bridging"] = "monodentate"
    swap_tetrahedral: bool = False
    independent: Literal[1, 4] = 1
    orientation: Literal["aligned", "random"] = "aligned"
    constraints: Literal["none", "hydrogens", "heavy_hydrogens"] = "hydrogens"
    cutoff_angstrom: Annotated[float, Field(ge=8, le=20)] = 9.0
    kspace_accuracy: Annotated[float, Field(ge=1e-8, le=1e-3)] = 1.0e-4
    compress_ns: PositiveFloat = 0.02
    compress_K: PositiveFloat = 450.0
    phases: Annotated[list[PhaseSection], Field(min_length=1)] = [  # of the equilibration of fcc
        PhaseSection(name="press", start_K=450.0, stop_K=500.0, duration_ns=0.04, pressure_atm=2000.0),
        PhaseSection(name="settle", start_K=500.0, stop_K=300.0, duration_ns=0.04),
        PhaseSection(name="rest", start_K=300.0, stop_K=300.0, duration_ns=0.1),
    ]
    output_every_ns: PositiveFloat = 0.002
    checkpoint_every_ns: PositiveFloat | None = None


class AnnealSection(_Section):
    """Annealing at constant pressure."""

    force_field: str = DEFAULT
    pressure_atm: float = 1.0
    coupling: Coupling = "tri"
    thermostat: Thermostat | None = None
    output_every_ns: PositiveFloat = 0.05
    thermo_every_ns: PositiveFloat | None = None
    snapshot_every_ns: PositiveFloat | None = None
    checkpoint_every_ns: PositiveFloat | None = None
    phases: Annotated[list[PhaseSection], Field(min_length=1)]


class OrderSection(_Section):
    """Labels of the nanoparticles."""

    method: Literal["thermal", "paper", "layers"] = "thermal"
    average_frames: PositiveInt = 1


class ScatteringSection(_Section):
    """The finite crystal that scatters, and the grid of its 3D intensity."""

    before: str
    after: str
    frames: PositiveInt = 3
    replicate: tuple[Count, Count, Count]
    shape: Literal["ball", "block"] = "ball"
    core_radius_std_nm: Annotated[float, Field(ge=0)] = 0.0
    q_max_inv_nm: PositiveFloat
    grid: Annotated[int, Field(ge=16, le=1024)] = 161


class CorrelationSection(_Section):
    """The correlation map; q1 is the bright peak nearest to 111 of fcc, q2 is given in units of q1."""

    q2_over_q1: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Q2_OVER_Q1
    n_delta: Annotated[int, Field(ge=2, le=100_000)] = N_DELTA

    @field_validator("q2_over_q1")
    @classmethod
    def _ascending(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not (value[1] > value[0] and 1 <= (value[1] - value[0]) / value[2] <= MOST_Q2):
            raise ValueError(f"needs [first, last, step] with first < last and 1 to {MOST_Q2} steps between")
        return value


class VarySection(_Section):
    """Keys that take the same value, and the values that they take."""

    keys: Annotated[list[str], Field(min_length=1)]
    values: Annotated[list[Any], Field(min_length=1, max_length=1000)]


class ReplicasSection(_Section):
    """The same study many times: with other random numbers, and with other values."""

    seeds: Annotated[int, Field(ge=1, le=10_000)] | Annotated[list[Seed], Field(min_length=1)] = 1
    vary: list[VarySection] = []

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: int | list[int]) -> int | list[int]:
        if isinstance(value, list) and len(set(value)) < len(value):
            raise ValueError("the same seed twice gives the same result twice")
        return value


class Study(_Section):
    """A whole study."""

    title: str = ""
    seed: Seed = 1
    superlattice: SuperlatticeSection
    nanoparticle: NanoparticleSection
    all_atom: AllAtomSection | None = None
    anneal: AnnealSection
    order: OrderSection = OrderSection()
    scattering: ScatteringSection
    correlation: CorrelationSection = CorrelationSection()
    replicas: ReplicasSection | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        names = [phase.name for phase in self.anneal.phases]
        for key in ("before", "after"):
            if (name := getattr(self.scattering, key)) not in names:
                raise ValueError(f"scattering.{key}: {name!r} is not a phase; phases are {', '.join(names)}")
        if self.scattering.core_radius_std_nm > self.nanoparticle.core_radius_nm / 4:
            raise ValueError("scattering.core_radius_std_nm: must not exceed a quarter of the core radius")
        cell = 2 * self.superlattice.lateral[0] * self.superlattice.lateral[1] * len(self.superlattice.stacking)
        if (n := cell * math.prod(self.scattering.replicate)) > _MOST_SCATTERERS:
            raise ValueError(
                f"scattering.replicate: {n:.2g} NPs, of {cell} in the cell; there must be no more "
                f"than {_MOST_SCATTERERS:.0e}"
            )
        if self.all_atom is None:
            self._check_coarse_grained()
        else:
            self._check_all_atom(self.all_atom)
        frames = dict.fromkeys(names, 0)
        for segment in self.protocol().segments(self.timestep_fs()):
            frames[names[segment.phase]] += len(segment.frames)
        for key in ("before", "after"):
            name = getattr(self.scattering, key)
            if frames[name] < self.scattering.frames:
                raise ValueError(
                    f"scattering.frames: phase {name!r} has {frames[name]} frame(s), not {self.scattering.frames}; "
                    "lower anneal.output_every_ns or scattering.frames"
                )
        try:
            self.variants()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def _check_all_atom(self, section: AllAtomSection) -> None:
        """Check what belongs to all atoms."""
        if self.superlattice.d_nn_nm is not None:
            raise ValueError(
                "superlattice.d_nn_nm: comes from the equilibrated fcc crystal; leave it out with all_atom"
            )
        if self.nanoparticle.dressing != SPHERES:
            raise ValueError("nanoparticle: shape, coverage_per_nm2 and orientation stand under all_atom")
        if self.anneal.force_field != DEFAULT:
            raise ValueError("anneal.force_field: is that of a coarse-grained model; leave it out with all_atom")
        for facet in section.facets:
            try:
                miller_indices(facet)
            except InputError as error:
                raise ValueError(f"all_atom.facets: {error}") from None
        try:
            if section.ligand.endswith(".json"):
                read_ligand(Path(section.ligand))
            else:
                load_ligand(section.ligand)
            centre_fractions(section.centre)
        except InputError as error:
            raise ValueError(f"all_atom: {error}") from None
        if COMPRESSION in (phase.name for phase in self.crystal_protocol().phases):
            raise ValueError(f"all_atom.phases: {COMPRESSION!r} is what comes before them; give another name")

    def _check_coarse_grained(self) -> None:
        """Check what belongs to a coarse-grained model."""
        d_nn_nm = self.superlattice.d_nn_nm
        if d_nn_nm is None:
            raise ValueError("superlattice.d_nn_nm: is missing")
        try:
            model = coarse_grained(self.anneal.force_field)
        except InputError as error:
            raise ValueError(f"anneal.force_field: {error}") from None
        breaches = [
            (breach.limit, self._in_words(breach))
            for breach in model.breaches(
                self.nanoparticle.core_radius_nm,
                phase_temperatures_K(_phases(self.anneal)),
                self.nanoparticle.dressing,
                d_nn_nm,
            )
        ]
        for limit, words in breaches:
            if limit != "temperature":
                raise ValueError(words)
        if self.scattering.q_max_inv_nm < (least := _BEYOND_111 * layer_momentum_transfer(d_nn_nm)):
            raise ValueError(
                f"scattering.q_max_inv_nm: up to {self.scattering.q_max_inv_nm:g} there is no Bragg peak; at d_NN "
                f"{d_nn_nm:g} nm it must be at least {least:.3g}, and {_AS_PAPER * least:.3g} shows what the paper does"
            )
        for _, words in breaches:
            raise ValueError(words)

    def _in_words(self, breach: Breach) -> str:
        """Return which key breaks a limit of the coarse-grained model, and how."""
        low, high = breach.allowed
        where = f"where the force field {self.anneal.force_field} holds"
        match breach.limit:
            case "core_radius":
                return f"nanoparticle.core_radius_nm: {breach.value:g} is outside {low:g} … {high:g} nm, {where}"
            case "dressing":
                return f"nanoparticle: {breach.message}; leave out shape, coverage_per_nm2 and orientation"
            case "overlap":
                return "superlattice.d_nn_nm: the cores overlap; it must exceed the core diameter"
            case "reach":
                return (
                    f"superlattice.d_nn_nm: at {breach.value:g} nm neighbours' ligands do not reach each other; it "
                    f"must not exceed {high:.3g} nm"
                )
            case "temperature":
                return f"anneal.{breach.which}: {breach.value:g} is outside {low:g} … {high:g} K, {where}"

    def protocol(self) -> Protocol:
        """Return the protocol of the annealing."""
        return _protocol(self.anneal, "anneal")

    def crystal_protocol(self) -> Protocol:
        """Return the protocol that brings the fcc crystal of an all-atom study to rest."""
        assert self.all_atom is not None
        return _protocol(self.all_atom, "all_atom")

    def timestep_fs(self) -> float:
        """Return the time step of the model, fs."""
        if self.all_atom is not None:
            return TIMESTEPS_FS[self.all_atom.constraints]
        return coarse_grained(self.anneal.force_field).timestep_fs

    def variants(self) -> list["Variant"]:
        """Return the studies of all replicas: every combination of what varies, each with every seed.

        Raises:
            InputError: naming a key that cannot vary, or a value that it cannot have.
        """
        section = self.replicas
        if section is None:
            return []
        seeds = section.seeds
        if isinstance(seeds, int):
            seeds = [(self.seed + k - 1) % LARGEST_SEED + 1 for k in range(seeds)]
        found = []
        for chosen in itertools.product(*(vary.values for vary in section.vary)):
            values = self.model_dump(mode="json")
            given: dict[str, Any] = {}
            for k, (vary, value) in enumerate(zip(section.vary, chosen, strict=True)):
                for key in vary.keys:
                    if key.split(".")[0] in ("replicas", "seed", "title"):
                        raise InputError(f"replicas.vary[{k}].keys: {key!r} cannot vary here")
                    try:
                        values = replaced(values, key, value)
                    except InputError as error:
                        raise InputError(f"replicas.vary[{k}].keys: {error}") from None
                given[vary.keys[0]] = value
            study = _varied(values | {"replicas": None}, given)
            found += [(seed, given, study.model_copy(update={"seed": seed})) for seed in seeds]
        return [Variant(number, *variant) for number, variant in enumerate(found)]

    def to_toml(self) -> str:
        """Return the study with all defaults filled in, as TOML."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def differences(self, other: "Study") -> dict[str, str]:
        """Return each key whose value differs in another study, with `value here → value there`."""
        here, there = flat(self.model_dump(mode="json")), flat(other.model_dump(mode="json"))
        return {
            key: f"{here.get(key, 'absent')!r} → {there.get(key, 'absent')!r}"
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
        }

    def has_replicas_of(self, other: "Study") -> bool:
        """Return whether every replica of another study is one of this, with the same number."""
        mine, theirs = ([(v.seed, v.values) for v in study.variants()] for study in (self, other))
        return (self.replicas is None) == (other.replicas is None) and mine[: len(theirs)] == theirs

    def sections(self, names: Sequence[str]) -> dict[str, Any]:
        """Return some sections as they are written to JSON."""
        values = self.model_dump(mode="json")
        return {name: values[name] for name in names}


@dataclass(frozen=True)
class Variant:
    """One replica of a study.

    Args:
        number: its number, from 0.
        seed: its seed.
        values: what varies, by the first of the keys that go together.
        study: the study of this replica alone.
    """

    number: int
    seed: int
    values: dict[str, Any]
    study: Study


def _varied(values: dict[str, Any], given: dict[str, Any]) -> Study:
    try:
        return Study.model_validate_json(json.dumps(values))
    except ValidationError as error:
        which = ", ".join(f"{key} = {value!r}" for key, value in given.items())
        raise InputError(f"replicas: with {which}: {described(dict(error.errors()[0]), values, Study)}") from None


def read_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        StudyError: in one line with the file, the key and what is allowed.
    """
    try:
        values = tomllib.loads(path.read_bytes().decode())
    except IsADirectoryError:
        raise StudyError(f"{path}: is a folder; give the study file, such as one of simsc new") from None
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is not a text file") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path}: is not valid TOML: {error}{_toml_hint(path, str(error))}") from None
    return study_from(values, str(path), path.parent)


def _toml_hint(path: Path, message: str) -> str:
    """Return what is probably meant in the line that is not TOML."""
    if (at := re.search(r"at line (\d+)", message)) is None:
        return ""
    line = path.read_text(encoding="utf-8").splitlines()[int(at[1]) - 1]
    if re.search(r"=\s*-?\d+,\d", line):
        return "; decimals have a point, not a comma"
    return "; text stands in quotes" if "Invalid value" in message else ""


def study_from(values: dict[str, Any], source: str = "study", folder: Path = Path()) -> Study:
    """Return the study of nested values, such as those of a preset with some of them changed, and check it.

    Args:
        values: sections and keys as in a study file.
        source: what error messages call them.
        folder: where files are that the values name; the current one by default.

    Raises:
        StudyError: in one line with the key and what is allowed.

    Example:
        >>> values = tomllib.loads(preset_text("preview"))
        >>> values["superlattice"]["stacking"] = "ABCACB"
        >>> study_from(values).superlattice.stacking
        'ABCACB'
    """
    values = _resolved(values, folder)
    try:
        # JSON, because strict checks of Python objects would refuse TOML's arrays where a pair is meant.
        return Study.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        # A misspelt key is missing elsewhere: name the misspelling.
        errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        more = f" (and {len(errors) - _SHOWN} more)" if len(errors) > _SHOWN else ""
        text = "; ".join(described(dict(one), values, Study) for one in errors[:_SHOWN])
        raise StudyError(f"{source}: {text}{more}") from None


def _resolved(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make names of files absolute: they are relative to the study, wherever it is read from."""
    section = values.get("all_atom")
    if not isinstance(section, dict):
        return values
    section = dict(section)
    for key, endings in (("ligand", (".json",)), ("crystal", ("",))):
        name = section.get(key)
        if isinstance(name, str) and name and name.endswith(endings):
            section[key] = str((folder / name).absolute())
    return {**values, "all_atom": section}


def preset_names() -> list[str]:
    """Return the names of the study files that `simsc new` can write."""
    return sorted(path.stem for path in _presets().glob("*.toml"))


def preset_text(name: str) -> str:
    """Return the text of a preset.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in preset_names():
        hint = difflib.get_close_matches(name, preset_names(), 1)
        meant = f"; did you mean {hint[0]!r}?" if hint else ";"
        raise InputError(f"preset {name!r} is not known{meant} presets: {', '.join(preset_names())}")
    return (_presets() / f"{name}.toml").read_text(encoding="utf-8")


def _presets() -> Path:
    return Path(__file__).parent / "presets"


def _phases(section: AnnealSection | AllAtomSection) -> tuple[Phase, ...]:
    return tuple(Phase(**phase.model_dump()) for phase in section.phases)


def _protocol(section: AnnealSection | AllAtomSection, key: str) -> Protocol:
    values = {name: value for name in _PROTOCOL_KEYS if (value := getattr(section, name, None)) is not None}
    try:
        return Protocol(_phases(section), **values)
    except InputError as error:
        raise ValueError(f"{key}.{error}") from None

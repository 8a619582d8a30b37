"""How LAMMPS uses a machine: threads, faster kernels, GPUs; checked against what its build has.

None of it is physics: it changes a trajectory in its last bits only, and those grow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from simsc.core.errors import InputError, ResourceError

Accelerator = Literal["auto", "none", "opt", "omp", "intel", "kokkos", "gpu"]
PACKAGES = {"opt": "OPT", "omp": "OPENMP", "intel": "INTEL", "kokkos": "KOKKOS", "gpu": "GPU"}
_GPU_INTERFACES = {"cuda", "hip", "sycl", "opencl"}
_ATOMS_A_THREAD = 2000  # with fewer, threads mostly wait for each other


@dataclass(frozen=True)
class Hardware:
    """What LAMMPS may use of each node.

    Args:
        threads: threads a rank.
        accelerator: `none`, `opt` (faster kernels for one thread), `omp` (threads), `intel` (vector units of any CPU,
            and threads), `kokkos` (GPUs, or threads), `gpu` (pair forces on GPUs), or `auto`: GPUs if there are to be
            any, else `omp` for several threads, else `opt`.
        gpus: GPUs a node.

    Raises:
        InputError: for `gpu` without GPUs, or GPUs for an accelerator that uses none.
    """

    threads: int = 1
    accelerator: Accelerator = "auto"
    gpus: int = 0

    def __post_init__(self) -> None:
        if self.accelerator == "gpu" and not self.gpus:
            raise InputError("--accelerator gpu: needs the number of GPUs a node (--gpus)")
        if self.gpus and self.accelerator in ("none", "opt", "omp", "intel"):
            raise InputError(f"--accelerator {self.accelerator}: uses no GPUs; take kokkos or gpu, or leave out --gpus")

    def for_system(self, n_atoms: int, ranks: int) -> "Hardware":
        """Return the same with no more threads than a system can use."""
        return replace(self, threads=max(1, min(self.threads, n_atoms // (_ATOMS_A_THREAD * ranks))))

    def settled(self, packages: Collection[str], interfaces: Mapping[str, Any]) -> "Hardware":
        """Return the same with its accelerator decided, and checked.

        Args:
            packages: those of the LAMMPS build.
            interfaces: its `accelerator_config`, such as `{"KOKKOS": {"api": ["cuda"], …}, …}`.

        Raises:
            ResourceError: if the build lacks what is needed.
        """

        def for_gpus(name: str) -> bool:
            return bool(_GPU_INTERFACES & set(interfaces.get(PACKAGES[name], {}).get("api", ())))

        chosen = self.accelerator
        if chosen == "auto" and self.gpus:
            chosen = "kokkos" if for_gpus("kokkos") else "gpu"
        elif chosen == "auto":
            wanted: Accelerator = "omp" if self.threads > 1 else "opt"
            chosen = wanted if PACKAGES[wanted] in packages else "none"
        package = PACKAGES.get(chosen)
        if package is not None and package not in packages:
            raise ResourceError(
                f"--accelerator {chosen}: this LAMMPS was built without its package {package}; take another "
                "accelerator, or another build of LAMMPS"
            )
        if self.gpus and not for_gpus(chosen):
            raise ResourceError(
                f"--accelerator {chosen}: this LAMMPS has its package {package}, but not for GPUs; leave out --gpus, "
                "or take a build of LAMMPS for them"
            )
        return replace(self, accelerator=chosen, threads=self.threads if chosen in ("omp", "intel", "kokkos") else 1)

    def lammps_arguments(self) -> list[str]:
        """Return the arguments for LAMMPS; the accelerator has to be settled."""
        match self.accelerator:
            case "opt":
                return ["-sf", "opt"]
            case "omp":
                return ["-sf", "omp", "-pk", "omp", str(self.threads)]
            case "intel":
                # In double precision: mixed was slower where both were measured (docs/howto/cluster.md).
                return ["-sf", "intel", "-pk", "intel", "0", "omp", str(self.threads), "mode", "double"]
            case "kokkos":
                gpus = ["g", str(self.gpus)] if self.gpus else []
                return ["-k", "on", *gpus, "t", str(self.threads), "-sf", "kk"]
            case "gpu":
                return ["-sf", "gpu", "-pk", "gpu", str(self.gpus)]
        return []


ONE_THREAD = Hardware()

"""A real Slurm on this machine alone: munged, slurmctld and slurmd, without systemd, started and stopped by tests."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import wait_for

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={base}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=0,sched_interval=2
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=3600
PropagateResourceLimitsExcept=MEMLOCK
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP OverSubscribe=NO
"""


@contextmanager
def slurm(base: Path) -> Iterator[None]:
    """Start Slurm with everything it keeps in a folder; skips the test where it cannot run."""
    base.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root here")
    programs = {name: find(name) for name in ("munged", "slurmctld", "slurmd", "sbatch")}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}; Debian: apt-get install slurm-wlm munge)")
    before = os.environ.get("SLURM_CONF")
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (base / name).mkdir(mode=0o755)
    text = CONFIGURATION.format(host=host, base=base, ports=free_ports(2), cores=os.cpu_count())
    (base / "slurm.conf").write_text(text)
    os.environ["SLURM_CONF"] = str(base / "slurm.conf")
    key = base / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    base.chmod(0o755)
    munge = [f"--key-file={key}", f"--socket={base}/munge.socket", f"--pid-file={base}/munged.pid"]
    munge += [f"--log-file={base}/munged.log", f"--seed-file={base}/munge.seed", "--force"]
    daemons = [
        subprocess.Popen([programs["munged"], "--foreground", *munge], stderr=subprocess.DEVNULL),
    ]
    try:
        wait_for(lambda: (base / "munge.socket").exists(), 20)
        for name in ("slurmctld", "slurmd"):
            with open(base / f"{name}.out", "wb") as out:
                daemons.append(subprocess.Popen([programs[name], "-D"], stdout=out, stderr=out))
        wait_for(lambda: "idle" in said("sinfo", "--noheader", "--format=%T"), 60)
        yield
    finally:
        with contextlib.suppress(AssertionError):
            clear_queue()
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def clear_queue() -> None:
    """Cancel all jobs and wait until none is left."""
    subprocess.run(["scancel", f"--user={os.geteuid()}"], capture_output=True)
    wait_for(lambda: not said("squeue", "--noheader"), 60)


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()

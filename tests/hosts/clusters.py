"""Real clusters of two nodes on this machine for tests: started for a test, and only what was started is stopped."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "squeue")

_CONF = """\
ClusterName=curation
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
MessageTimeout=60
BatchStartTimeout=120
KillWait=1
CompleteWait=0
EpilogMsgTime=0
MinJobAge=600
ReturnToService=2
MailProg=/bin/true
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1 RealMemory=3000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1 RealMemory=3000
PartitionName=cpu Nodes=n1,n2 Default=YES State=UP
"""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on, below those that the system itself gives away."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(range(20_000, 32_000), 1000):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError("no free ports between 20000 and 32000")


def _wait(ready: Callable[[], bool], what: str, processes: list[subprocess.Popen], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{what}: {process.args[0]} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up in {seconds:g} s")
        time.sleep(0.2)


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """A Slurm cluster with the partition `cpu` of the nodes n1 and n2; gives its configuration file.

    Skips the test where Slurm is not installed or its daemons may not be started.
    """
    missing = [name for name in SLURM if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if missing:
        pytest.skip(f"Slurm is not installed ({missing[0]}): apt-get install slurmd slurmctld slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    folder.mkdir(parents=True)
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    control, first, second = free_ports(3)
    host = socket.gethostname().split(".")[0]
    conf.write_text(_CONF.format(folder=folder, host=host, control=control, first=first, second=second))
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + ":/usr/sbin"}
    kinds = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    munge = [f"--{kind}={folder}/munge.{kind.removesuffix('-file')}" for kind in kinds]
    commands = [
        ["munged", "--foreground", "--force", "--num-threads=1", *munge],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-N", "n1", "-f", str(conf)],
        ["slurmd", "-D", "-N", "n2", "-f", str(conf)],
    ]
    started: list[subprocess.Popen] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("ab") as log:
                kept = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL}
                started.append(subprocess.Popen(command, env=environment, **kept))
            if command[0] == "munged":
                _wait((folder / "munge.socket").exists, f"munged (see {folder})", started)

        def said(*command: str) -> list[str]:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return ["?"] if done.returncode else done.stdout.split()

        _wait(lambda: said("sinfo", "-h", "-N", "-o", "%t") == ["idle", "idle"], f"Slurm (see {folder})", started)
        try:
            yield conf
        finally:  # after a failure jobs may be left, whose processes would outlive the daemons
            said("scancel", "--user", "root")
            with contextlib.suppress(TimeoutError, RuntimeError):
                _wait(lambda: not said("squeue", "-h"), "the end of all jobs", started, 60)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

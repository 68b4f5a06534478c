"""Real clusters of two nodes on this machine for tests: started for a test, and only what was started is stopped."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
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
KillWait=1
CompleteWait=0
EpilogMsgTime=0
MinJobAge=600
ReturnToService=2
MailProg=/bin/true
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1 RealMemory=6000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1 RealMemory=6000
PartitionName=cpu Nodes=n1,n2 Default=YES State=UP
"""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def _wait(ready, what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
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
            log = (folder / f"{command[0]}.out").open("ab")
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            if command[0] == "munged":
                _wait((folder / "munge.socket").exists, "munged")

        def up() -> bool:
            done = subprocess.run(
                ["sinfo", "-h", "-N", "-o", "%t"], env=environment, capture_output=True, text=True, check=False
            )
            return done.stdout.split() == ["idle", "idle"]

        _wait(up, f"Slurm (see {folder})")
        yield conf
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

"""A SLURM cluster of two nodes, with accounting, on the loopback interface; its files are in one folder.

Each node claims 16 cores and four GPUs, so that the presets fit; SLURM does not check the claim.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.running import until

NODES = ("node1", "node2")
PACKAGES = "slurm-wlm slurmdbd munge mariadb-server-core mariadb-client-core"
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "mariadb", "unshare")
DATABASE = "slurm_acct_db"

SLURMDBD = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
"""

# cred_expire: a requeued job waits for the lifetime of a credential, two minutes by default.
SLURM = """
ClusterName=two
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.sock
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
GresTypes=gpu
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 RealMemory=128000 Gres=gpu:4\n"


def why_not() -> str | None:
    """Return why the cluster cannot run on this machine; None if it can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install {PACKAGES}"
    return None if os.geteuid() == 0 else "SLURM's daemons must be started by root"


@contextmanager
def two_nodes(folder: Path) -> Iterator[Mapping[str, str]]:
    """Start the cluster with its files in `folder`; yield the environment for its commands."""
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    port = _write_files(folder)
    with ExitStack() as running:

        def start(name: str, *command: str) -> None:
            running.enter_context(_daemon(name, command, folder, environment))

        def succeeds(*command: str) -> bool:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
            return done.returncode == 0

        def says(*command: str) -> str:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
            return done.stdout.strip()

        start("mariadbd", *_mariadbd(folder, port))
        start("munged", "munged", "--foreground", "--force", *_munge_files(folder))
        client = ("mariadb", "--no-defaults", f"--socket={folder}/database.sock", "--execute")
        grant = f"grant all on {DATABASE}.* to slurm@'127.0.0.1' identified by 'slurm'"
        until("the database", lambda: succeeds(*client, f"create database if not exists {DATABASE}; {grant}"))
        until("munge", (folder / "munge.sock").exists)
        start("slurmdbd", "slurmdbd", "-D")
        until("accounting", lambda: succeeds("sacctmgr", "-iQ", "add", "cluster", "two"))
        start("slurmctld", "slurmctld", "-D", "-i")
        for name in NODES:
            # In a mount namespace of its own, so that the names of the nodes are known to their jobs only.
            hosts = f'mount --bind "{folder}/hosts" /etc/hosts && exec slurmd -D -N {name}'
            start(name, "unshare", "--mount", "sh", "-c", hosts)
        until("the nodes", lambda: says("sinfo", "--noheader", "--states=idle", "--format=%D") == "2")
        try:
            yield environment
        finally:
            succeeds("scancel", "--user", getpass.getuser())
            until("the end of all jobs", lambda: says("squeue", "--noheader") == "")


def _write_files(folder: Path) -> int:
    """Write the configuration of the daemons; return the port of the database."""
    ports = _free_ports(3 + len(NODES))
    values = {"folder": folder, "host": socket.gethostname().split(".")[0], "user": getpass.getuser()}
    values |= dict(zip(("database", "dbd", "controller"), ports, strict=False))
    (folder / "munge.key").touch(mode=0o600)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "slurmdbd.conf").touch(mode=0o600)
    (folder / "slurmdbd.conf").write_text(SLURMDBD.format(**values))
    nodes = "".join(NODE.format(name=n, port=p, **values) for n, p in zip(NODES, ports[3:], strict=True))
    (folder / "slurm.conf").write_text(SLURM.format(**values) + nodes)
    (folder / "hosts").write_text(Path("/etc/hosts").read_text() + f"127.0.0.1 {' '.join(NODES)}\n")
    gpus = []
    for name in NODES:
        for number in range(4):
            os.mknod(folder / f"{name}-gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        gpus.append(f"NodeName={name} Name=gpu File={folder}/{name}-gpu[0-3]\n")
    (folder / "gres.conf").write_text("".join(gpus))
    for sub in ("state", *(f"spool-{name}" for name in NODES)):
        (folder / sub).mkdir()
    return ports[0]


def _mariadbd(folder: Path, port: int) -> list[str]:
    """Create an empty database; return the command that serves it."""
    common = ["--no-defaults", f"--user={getpass.getuser()}", f"--datadir={folder}/database"]
    make = ["mariadb-install-db", *common, "--auth-root-authentication-method=socket", "--skip-test-db"]
    subprocess.run(make, capture_output=True, timeout=120, check=True)
    where = [f"--socket={folder}/database.sock", "--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve"]
    return ["mariadbd", *common, *where]


def _munge_files(folder: Path) -> list[str]:
    names = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--{option}={folder}/munge.{ending}" for option, ending in names.items()]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _daemon(name: str, command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""Several machines of a Ray cluster on this one, each of its own processes: killed, told to go, surely ended."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import alive

from xlret.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 400.0
"""What anything may take on a busy machine before a test gives up."""
_MARK = "XLRET_TEST_MACHINE"
"""In the environment of every process of a machine: which cluster's it is, and which machine's."""
_ALIVE = 0
"""Of a node, in Ray's messages."""
_QUICK = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "8",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_worker_register_timeout_seconds": "240",
    "RAY_worker_niceness": "0",
    "OMP_NUM_THREADS": "1",
}
"""A dead machine is known after 8 s, not 15; one that is busy with other work has minutes."""


@dataclass
class Machine:
    """A raylet with all that it started, and for the head Ray's control store."""

    name: str
    mark: str
    node: Any
    """Ray's own (`ray._private.node.Node`)."""

    @property
    def node_id(self) -> str:
        """As Ray names it."""
        return str(self.node._node_id)

    def processes(self) -> list[int]:
        """Its living processes, those that run work among them."""
        return _marked(self.mark)

    def workers(self, title: str) -> list[int]:
        """Processes that Ray has given a title, such as `RayTrainWorker` or `ServeReplica:xlret:Shards0`."""
        return [process for process in self.processes() if title in _title(process)]

    def kill(self) -> None:
        """As when the power fails: nothing on it is told. Processes started meanwhile die too."""
        _kill_marked(self.mark)
        for infos in self.node.all_processes.values():
            for info in infos:
                info.process.wait(PATIENCE_S)


@dataclass
class Cluster:
    """A head and the machines that were added to it.

    Args:
        directory: short, since sockets are below it.
        environment: of all its machines and of the programs that use it, beside this process's.
        store_mb: of each machine's object store.
        spilling: where it puts what does not fit into that; None: below `directory`.
    """

    directory: Path
    environment: dict[str, str]
    store_mb: int
    spilling: Path | None
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def head(self) -> Machine:
        return self.machines["head"]

    @property
    def address(self) -> str:
        """Of the control store."""
        return str(self.head.node.gcs_address)

    def add(self, name: str, cpus: int = 0, **resources: float) -> Machine:
        """Starts a machine; the first is the head, without which there are no others. It is there when this returns."""
        from ray._private.node import Node
        from ray._private.parameter import RayParams

        is_head = not self.machines
        mark = f"{self.directory.name}-{name}"
        parameters = RayParams(
            num_cpus=cpus,
            num_gpus=0,
            resources=resources,
            object_store_memory=self.store_mb * 2**20,
            object_spilling_directory=None if self.spilling is None else str(self.spilling),
            min_worker_port=0,
            max_worker_port=0,
            node_manager_port=0,
            temp_dir=str(self.directory) if is_head else None,
            gcs_address=None if is_head else self.address,
            include_dashboard=False,
            include_log_monitor=False,
            no_monitor=True,
            # Named, since for ports that its agents choose the raylet waits 15 s at most.
            metrics_agent_port=free_port(),
            metrics_export_port=free_port(),
            dashboard_agent_listen_port=free_port(),
            runtime_env_agent_port=free_port(),
            env_vars={**self.environment, _MARK: mark},
        )
        os.environ[_MARK] = mark  # of what the raylet does not start
        try:
            with _patient():
                node = Node(parameters, head=is_head, shutdown_at_exit=False, spawn_reaper=False)
        except BaseException:
            _kill_marked(mark)
            raise
        machine = self.machines[name] = Machine(name, mark, node)
        return machine

    def nodes(self) -> set[str]:
        """Machines that Ray counts as alive."""
        from ray._raylet import GcsClient  # what `ray` itself asks

        listed = GcsClient(address=self.address).get_all_node_info(timeout=60)
        living = {node.hex() for node, about in listed.items() if about.state == _ALIVE}
        return {name for name, machine in self.machines.items() if machine.node_id in living}

    def drain(self, name: str, seconds: int) -> None:
        """Tells Ray that a machine goes: what `ray drain-node` in cluster/docker/drain.sh asks of the control store there."""
        from ray._raylet import GcsClient
        from ray.core.generated import autoscaler_pb2

        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline_ms = int(1000 * (time.time() + seconds))
        accepted, why_not = GcsClient(address=self.address).drain_node(
            self.machines[name].node_id, reason, "this machine goes", deadline_ms
        )
        assert accepted, why_not

    def start(self, *command: str, **more: str) -> "Program":
        """A program of ours that uses the cluster, such as `-m jobs.train RECIPE`."""
        inherited = {name: value for name, value in os.environ.items() if name != _MARK}
        environment = {**inherited, **self.environment, "RAY_ADDRESS": self.address, **more}
        return Program([sys.executable, *command], environment)

    def end(self) -> None:
        """Nothing of it is left."""
        for machine in reversed(self.machines.values()):
            machine.kill()


class Program:
    """A running program and what it has printed."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout or ()), daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """Everything that it has printed."""
        return "".join(list(self.lines))

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Its exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s: {self.said[-3000:]}") from None
        self._reader.join(5)
        return status

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
        """Waits for `condition` to give something true, while the program runs, and gives it."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert self.process.poll() is None, f"the program ended: {self.said[-3000:]}"
            assert time.monotonic() < end, f"did not come true within {seconds} s: {self.said[-3000:]}"
            time.sleep(0.05)
        return value

    def kill(self) -> None:
        """At once, with all of its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@contextmanager
def cluster(
    head_cpus: int = 0,
    store_mb: int = 100,
    spilling: Path | None = None,
    resources: Mapping[str, float] | None = None,
    **environment: str,
) -> Iterator[Cluster]:
    """A cluster with a head, which has `resources`; nothing of it is left when the block ends."""
    with tempfile.TemporaryDirectory(prefix="xf-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        made = Cluster(Path(directory), {**_QUICK, **environment}, store_mb, spilling)
        before = dict(os.environ)
        os.environ.update(made.environment)  # the control store is started with this process's
        try:
            made.add("head", head_cpus, **(resources or {}))
            yield made
        finally:
            made.end()
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _patient() -> Iterator[None]:
    """Ray gives a machine 30 s to start, fixed, which one that is busy with other work misses; here it has `PATIENCE_S`."""
    from ray._private import services

    look_up = services.get_node

    def get_node(address: str, node_id: str) -> Any:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return look_up(address, node_id)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    services.get_node = get_node
    try:
        yield
    finally:
        services.get_node = look_up


def _marked(mark: str) -> list[int]:
    """Living processes that were started with a mark."""
    wanted = f"{_MARK}={mark}".encode()
    processes = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [process for process in processes if wanted in _environment(process) and alive(process)]


def _kill_marked(mark: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while left := _marked(mark):
        assert time.monotonic() < end, left
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _environment(process: int) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""

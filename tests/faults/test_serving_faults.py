"""A service on two machines under load: one dies, one is told to go, the Serve controller dies. Nothing asked is lost."""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machines import PATIENCE_S, Cluster, Program, cluster
from made_releases import make_releases
from processes import Load

from xlret.ports import free_port
from xlret.serve.ray.start import fast_environment
from xlret.serve.settings import ServeSettings

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
SHARD = "ServeReplica:xlret:Shards0"
"""The title that Ray gives to the process of a shard replica."""


@dataclass
class Running:
    """The service, a job on a head and one more machine, each with a replica of the shards."""

    machines: Cluster
    program: Program
    address: str

    def shards(self, machine: str) -> list[int]:
        """Processes of its shard replicas on a machine."""
        return self.machines.machines[machine].workers(SHARD)

    def two_machines(self) -> None:
        """Waits until both machines have a replica of the shards; adds the second where it is gone."""
        if "right" not in self.machines.nodes():
            self.machines.add("right", 1, shards=1)
        self.program.until(lambda: self.shards("head") and self.shards("right"), PATIENCE_S)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Iterator[Running]:
    releases = make_releases(tmp_path_factory.mktemp("served"), corpora / "train")
    settings = ServeSettings(front="ray")
    with cluster(4, resources={"shards": 2.0, "front": 2.0}, **fast_environment(settings, Path("/tmp"))) as machines:
        machines.add("right", 1, shards=1)
        wanted = [
            "front=ray",
            "rerank=off",
            "log.stderr=false",
            "shard_groups=1",
            "encoder_in=replicas",
            "shard.resources={shards: 1}",
        ]
        wanted += ["shard.least=2", "shard.most=2", "ingress.resources={front: 1}", "encoder.resources={front: 1}"]
        words = [word for setting in wanted for word in ("--set", setting)]
        program = machines.start("-m", "jobs.serve", "--release", str(releases), "--port", str(free_port()), *words)
        address = program.until(lambda: re.search(r"serving on (\S+)", program.said))[1]
        yield Running(machines, program, address)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0, program.said


def test_the_serve_controller_dies(running: Running) -> None:
    """It is not on the way of a search; another one takes over."""
    running.two_machines()
    [controller] = running.machines.head.workers("ServeController")
    with Load(running.address, clients=2, timeout_ms=20_000) as load:
        load.wait(20)
        os.kill(controller, signal.SIGKILL)
        running.program.until(lambda: set(running.machines.head.workers("ServeController")) - {controller})
        load.wait(40)
        answers = load.stop()
    assert not load.failed()
    assert all(answer.whole for answer in answers)


def test_a_machine_with_a_shard_that_is_told_to_go_hands_over(running: Running) -> None:
    """The replica is gone from it before the machine is; no request has failed or missed hits."""
    running.two_machines()
    with Load(running.address, clients=2, tries=3, timeout_ms=20_000) as load:
        load.wait(20)
        running.machines.drain("right", seconds=200)
        running.program.until(lambda: not running.shards("right") and len(running.shards("head")) == 2)
        load.wait(20)
        running.machines.machines["right"].kill()
        load.wait(40)
        load.stop()
    check(load)


def test_a_machine_with_a_shard_dies(running: Running) -> None:
    """The other replica answers."""
    running.two_machines()
    with Load(running.address, clients=2, tries=3, timeout_ms=20_000) as load:
        load.wait(20)
        running.machines.machines["right"].kill()
        load.wait(40)
        running.program.until(lambda: "right" not in running.machines.nodes())
        load.wait(40)
        load.stop()
    check(load)


def check(load: Load) -> None:
    """Every search was answered in full. (A client that had kept a connection to the proxy of a machine that went makes another
    one; it was told nothing wrong.)"""
    assert not load.failed()
    assert {answer.status for answer in load.tried if isinstance(answer.status, int)} == {200}
    assert not [answer.body["partial_reason"] for answer in load.answers if not answer.whole]

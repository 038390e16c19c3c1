"""A service with two replicas of each kind: one of them killed or stopped is not noticed. And the service on a Ray cluster."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from made_releases import make_releases
from processes import ADMIN_KEY, LONG, Client, Load, Service, alive, service

from xlret.ports import free_port
from xlret.serve.ray.keeper import STAND_IN_S

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    return make_releases(tmp_path_factory.mktemp("served"), corpora / "train")


@pytest.fixture(scope="module")
def running(releases: Path) -> Iterator[Service]:
    two = [f"{kind}.{what}=2" for kind in ("ingress", "encoder", "shard") for what in ("least", "most")]
    with service(releases, *two, "health_s=1") as one:
        yield one


def both(running: Service, kind: str) -> list[int]:
    """The two replicas of a kind, when both are there."""
    return running.until(lambda: processes if len(processes := running.processes(kind)) == 2 else None)


@pytest.mark.parametrize("kind", ["shards 0", "encoder"])
def test_one_of_two_killed_replicas_costs_no_answer(running: Service, kind: str) -> None:
    running.whole()
    first, _ = both(running, kind)
    with Load(running.address) as load:
        load.wait(20)
        os.kill(first, signal.SIGKILL)
        load.wait(40)
        answers = load.stop()
    assert not load.failed()
    partial = [answer.body["partial_reason"] for answer in answers if not answer.whole]
    assert not partial
    assert first not in both(running, kind)


def test_one_of_two_stopped_shard_replicas_costs_time_and_no_answer(running: Service) -> None:
    running.whole()
    first, _ = both(running, "shards 0")
    with Load(running.address) as load:
        load.wait(20)
        os.kill(first, signal.SIGSTOP)
        try:
            load.wait(60)
        finally:
            os.kill(first, signal.SIGCONT)
        answers = load.stop()
    assert not load.failed()
    partial = [answer for answer in answers if not answer.whole]
    assert len(partial) <= len(answers) / 4
    assert all("did not answer in time" in answer.body["partial_reason"] for answer in partial)


def test_one_of_two_killed_ingresses_costs_no_answer_to_clients_that_try_again(running: Service) -> None:
    running.whole()
    first, _ = both(running, "ingress")
    with Load(running.address, tries=100) as load:
        load.wait(20)
        os.kill(first, signal.SIGKILL)
        load.wait(40)
        load.stop()
    assert not load.failed()
    assert first not in both(running, "ingress")


def test_all_replicas_swap_and_new_ones_start_with_the_right_release(running: Service) -> None:
    running.whole()
    with Load(running.address) as load:
        load.wait(10)
        for name in ("two", "one", "two"):
            assert running.swap(name).status == 200
            asked = [running.client().search(f"after the swap to {name} {count}") for count in range(10)]
            assert {answer.body["release"] for answer in asked} == {name}, "both ingresses have turned when the call returns"
        first, _ = both(running, "shards 0")
        os.kill(first, signal.SIGKILL)
        both(running, "shards 0")
        began = time.monotonic()
        load.wait(20)
        answers = load.stop()
    assert not load.failed()
    assert {answer.body["release"] for answer in answers if answer.began > began} == {"two"}

    def holdings() -> list[list[str]]:
        return [replica["holds"] for replica in running.status()["replicas"] if alive(replica["process"])]

    # The old release goes when nobody uses it; an ingress that died is waited for a while (control.GONE_S).
    running.until(lambda: len(held := holdings()) >= 6 and all(names == ["two"] for names in held))


def test_serve_deploy_on_a_cluster(releases: Path, tmp_path: Path) -> None:
    """`cluster/serve.yaml` as its first lines say, on a head node of its own."""
    ray, serve = (str(Path(sys.executable).with_name(name)) for name in ("ray", "serve"))
    with tempfile.TemporaryDirectory(prefix="xr-") as temporary:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"XLRET_RELEASES": str(releases), "XLRET_ADMIN_KEY": ADMIN_KEY, "OMP_NUM_THREADS": "1"}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a-token-for-this-test-only-0123456789"}
        command = [sys.executable, "-m", "jobs.serve", "--environment", f"{temporary}/front"]
        said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        # As a shell reads it: values are quoted.
        environment |= dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in said.splitlines())
        ports = {name: free_port() for name in ("port", "dashboard-port", "dashboard-agent-listen-port", "metrics-export-port")}
        head = [ray, "start", "--head", "--block", "--num-cpus=4", "--object-store-memory=300000000", "--disable-usage-stats"]
        head += [f"--{name}={port}" for name, port in ports.items()] + [f"--temp-dir={temporary}/ray"]
        with open(tmp_path / "head.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(head, stdout=log, stderr=log, env=environment, cwd=ROOT, start_new_session=True)
        try:
            config = yaml.safe_load((ROOT / "cluster" / "serve.yaml").read_text(encoding="utf-8"))
            config["http_options"] = {"host": "127.0.0.1", "port": free_port()}
            for kind in ("ingress", "encoder", "shard"):  # as much as a small machine bears
                config["applications"][0]["args"][kind] |= {"least": 1, "most": 1, "cpus": 0.5}
            (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
            deploy = [serve, "deploy", "-a", f"http://127.0.0.1:{ports['dashboard-port']}", str(tmp_path / "serve.yaml")]
            one = Service(process, f"http://127.0.0.1:{config['http_options']['port']}", [])

            def deployed() -> bool:
                said = subprocess.run(deploy, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
                one.lines[:] = [said.stdout, said.stderr]
                return said.returncode == 0

            one.until(deployed)
            client = Client(one.address)
            one.until(lambda: client.ask("GET", "/readyz").status == 200)
            one.whole()
            assert one.swap("two").status == 200
            assert client.search("anything").body["release"] == "two"
            assert one.find("/haproxy -db")
            shutdown = [serve, "shutdown", "-y", *deploy[2:4]]
            subprocess.run(shutdown, env=environment, cwd=ROOT, capture_output=True, check=True)
            one.until(lambda: client.ask("GET", "/healthz").status == "ConnectionRefusedError", STAND_IN_S / 2)
        finally:
            everything = list(Service(process, "", []).descendants())
            process.send_signal(signal.SIGTERM)
            process.wait(LONG)
            end = time.monotonic() + 30
            while any(alive(left) for left in everything) and time.monotonic() < end:
                time.sleep(0.1)
            for left in everything:
                if alive(left):
                    os.kill(left, signal.SIGKILL)

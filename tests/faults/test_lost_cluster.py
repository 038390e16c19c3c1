"""The control store of a cluster dies under a program that waits for Ray: one line and its status, not a trace of C++."""

import os
import signal
import time

import pytest
from machines import cluster

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
WAITING = """
import time
import ray
from xlret.session import ray_session

with ray_session():
    task = ray.remote(num_cpus=0)(lambda: time.sleep(100_000)).remote()
    print("waiting", flush=True)
    ray.get(task)
"""


def test_a_program_whose_cluster_is_gone_ends_with_a_line() -> None:
    with cluster(1) as machines:
        program = machines.start("-c", WAITING)
        program.until(lambda: "waiting\n" in program.said)
        os.kill(machines.head.node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
        died = time.monotonic()
        assert program.wait() == 1, program.said
        took_s = time.monotonic() - died
        errors = [line for line in program.lines if line.startswith("error:")]
        assert errors == [
            f"error: the Ray cluster at {machines.address} has not answered for 45 s (Connection refused); "
            "give the same command again when it is there: it goes on from what is whole\n"
        ], program.said
        assert "Traceback" not in program.said
        assert took_s < 60, "before Ray itself ends the program"

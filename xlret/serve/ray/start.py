"""Starting and stopping the service on a Ray of its own: the fast set-up of Ray Serve, and a stop that loses no request."""

import contextlib
import logging
import math
import os
import re
import resource
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from xlret.errors import UserError, user_error_in
from xlret.ports import bound_port, free_port
from xlret.release.once import VerifiedOnce
from xlret.serve.ray.guard import Guard, clear_leftovers
from xlret.serve.ray.haproxy import CONNECTIONS, install
from xlret.serve.ray.keeper import STOPPING
from xlret.serve.ray.log_lines import reading_lines
from xlret.serve.ray.watch import watching
from xlret.serve.settings import ConnectionSettings, ReplicaSettings, ServeSettings
from xlret.session import ray_session

READY_S = 120.0
"""How long the application may take to answer after Ray says that it runs."""
_HEADER_BYTES = 64 * 2**10
"""What HAProxy can hold of a request: the headers, and with them the beginning of the body."""
_MESSAGE = 512 * 2**20
"""Bytes of one message between replicas; Ray's own limit of 4 MiB is less than 64 queries with 1000 hits each."""


def fast_environment(settings: ServeSettings, directory: Path) -> dict[str, str]:
    """Environment variables for every process of Ray that make Ray Serve fast and its faults short.

    They count where Ray starts: before `ray start` on a cluster's machines, before `ray` is imported here. Measured with empty
    deployments on two cores: a search through two of them takes 4.6 ms against 23 ms, 790 requests/s against 170.

    Args:
        settings: `front` and `health_s`.
        directory: for HAProxy's files; its path must be short, because sockets are in it.
    """
    period = {
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": f"{settings.health_s / 2:g}",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "10",  # one that is slow is not dead; one that is dead says so at once
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_worker_niceness": "0",  # Ray's workers give way to every other process otherwise, the replicas among them
    }
    if settings.front == "ray":
        return {**period, "RAY_SERVE_LOG_TO_STDERR": "0"}
    drain_s = math.ceil(settings.deadline.drain_s)
    # The longest answer is that of a swap, which loads a release and waits for the ingresses.
    longest_s = max(settings.limits.timeout_ms / 1000, settings.deadline.load_s + settings.deadline.drain_s)
    return {
        **period,
        # Replicas talk gRPC to each other, and user code runs on their own event loop: no thread switch for each call.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(_MESSAGE),
        # HAProxy sends requests straight to the ingress replicas.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(install(directory)),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
        "RAY_SERVE_HAPROXY_MAXCONN": str(_most_connections(settings.connections)),
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(_HEADER_BYTES),
        CONNECTIONS: settings.connections.model_dump_json(),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(math.ceil(longest_s) + 30),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(drain_s + 10),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # Several services on one machine: ports and files of their own.
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(directory / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(directory / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(directory),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(directory / "state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(directory / "metrics.sock"),
    }


class Served(NamedTuple):
    """Where the service is."""

    address: str
    metrics: str
    """What Prometheus is to read."""


@contextmanager
def serving(settings: ServeSettings, on_loss: Callable[[str], None], once: VerifiedOnce | None = None) -> Iterator[Served]:
    """Serves until the block ends, on a Ray started here or, where RAY_ADDRESS names one, on that cluster; gives the addresses.

    On leaving, new requests are refused with 503 while those in work end (up to `deadline.drain_s`), then everything stops.
    On a Ray of its own, what an earlier service left here that was killed is ended and removed first; a guard does the same for
    this one.

    Args:
        settings: of the service.
        on_loss: called in a thread, with a sentence, when one of Ray's own processes has ended: nothing works from then on, and
            calls to Ray may not return, so it should end the program. (On a cluster Ray itself ends the program then.)
        once: as for `deployments.application`.

    Raises:
        UserError: no such release, or it cannot be served; the port is taken; the cluster was not started for this or serves
            already.
    """
    if os.environ.get("RAY_ADDRESS"):
        with _serving_on_cluster(settings, once) as served:
            yield served
        return
    clear_leftovers()
    guard = Guard()
    try:
        os.environ.update(fast_environment(settings, guard.directory))
        port = _checked_port(settings)
        lines = guard.directory / "log.sock" if settings.log.stderr else None
        with (
            ray_session(cpus=max(os.cpu_count() or 1, _cpus(settings)), host=settings.ray_host),
            watching(on_loss),
            contextlib.nullcontext() if lines is None else reading_lines(lines, lambda line: print(line, file=sys.stderr)),
            _deployed(settings, port, once, lines, lambda: (guard.directory / STOPPING).touch()) as served,
        ):
            yield served
    finally:
        guard.end()


@contextmanager
def _serving_on_cluster(settings: ServeSettings, once: VerifiedOnce | None) -> Iterator[Served]:
    """Serves on every machine of the cluster that RAY_ADDRESS names, as `xlret serve` does when it is a submitted job."""
    if settings.front == "haproxy" and os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") != "1":
        raise UserError(
            "the cluster's machines were not started for HAProxy; before `ray start` do "
            '`eval "$(xlret serve --environment DIR)"` on each, or say --set front=ray'
        )
    with ray_session():
        from ray.serve.context import _get_global_client

        if _get_global_client(raise_if_no_controller_running=False) is not None:
            raise UserError(
                "Ray Serve runs on this cluster already; `serve shutdown` ends it, serve deploy cluster/serve.yaml changes it"
            )
        from ray import serve

        try:
            with _deployed(settings, settings.port or free_port(settings.host), once, None, lambda: None) as served:
                yield served
        finally:
            serve.shutdown()


@contextmanager
def _deployed(
    settings: ServeSettings, port: int, once: VerifiedOnce | None, lines: Path | None, on_stop: Callable[[], None]
) -> Iterator[Served]:
    """The application on the Ray that this process is connected to, until the block ends.

    Args:
        lines: as for `deployments.application`.
        on_stop: called before anything is taken down.
    """
    # For this process only, whose handle of the control has no event loop to live on; Ray's are started.
    os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"] = "1"
    from ray import serve

    from xlret.serve.ray.deployments import APP, application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    at_once = False
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    try:
        http = {"host": settings.host, "port": port}
        serve.start(proxy_location="EveryNode", http_options=http, logging_config=quiet)
        try:
            serve.run(application(settings, once, lines), name=APP, route_prefix="/", logging_config=quiet)
        except RuntimeError as error:
            raise _why_not(APP) or error from error
        address = f"http://{_shown(settings.host)}:{port}"
        _wait_ready(address)
        yield Served(address, _metrics())
        _drain(settings)
    except KeyboardInterrupt:
        at_once = True
        raise
    except Exception as error:
        known = user_error_in(error)
        if known is not None:
            raise known from None
        raise
    finally:
        on_stop()
        if not at_once:
            serve.delete(APP)  # replicas end in order; Ray's own processes end with the session


def _checked_port(settings: ServeSettings) -> int:
    """The port to listen on, a free one for 0.

    Raises:
        UserError: the port is taken, or there is no such address here.
    """
    try:
        return bound_port(settings.host, settings.port) if settings.port else free_port(settings.host)
    except OSError as error:
        raise UserError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another --port (0: a free one) or --host"
        ) from error


def _most_connections(connections: ConnectionSettings) -> int:
    """How many connections HAProxy can hold: it wants two and a half open files for each, and some for itself."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections.total if files == resource.RLIM_INFINITY else min(connections.total, max(16, (files - 500) * 2 // 5))


def _cpus(settings: ServeSettings) -> int:
    """Ray's count of CPUs that all replicas fit into; on a smaller machine they share, which Ray need not know."""

    def most(replicas: ReplicaSettings) -> float:
        return replicas.highest * replicas.cpus

    groups = 1 if settings.shard_groups == "auto" else settings.shard_groups
    total = most(settings.ingress) + most(settings.encoder) + groups * most(settings.shard)
    return math.ceil(total + (0 if settings.rerank == "off" else most(settings.reranker))) + 1


def _wait_ready(address: str) -> None:
    """Waits until the endpoint says that it is ready.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + READY_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever http_proxy says
    while True:
        try:
            with direct.open(f"{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > end:
                raise TimeoutError(f"{address}/readyz does not answer: {error}") from error
        time.sleep(0.1)


def _why_not(app: str) -> Exception | None:
    """What kept the application from starting, as its replicas said it; Ray's own error names only their deployments."""
    from ray import serve

    status = serve.status().applications.get(app)
    deployments = status.deployments if status is not None else {}
    messages = [f"{name}: {deployment.message}" for name, deployment in deployments.items() if deployment.message]
    for text in messages:
        if known := re.search(r"(?:UserError|DataError|CorruptError)(?:\([^)]*\))?: (.+)", text):
            return UserError(known[1])
    return RuntimeError("the service did not start: " + "; ".join(messages)) if messages else None


def _metrics() -> str:
    import ray

    node = next(node for node in ray.nodes() if node["Alive"])
    return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"


def _drain(settings: ServeSettings) -> None:
    from ray import serve

    from xlret.serve.ray.deployments import APP, CONTROL

    seconds = settings.deadline.drain_s
    serve.get_deployment_handle(CONTROL, APP).drain.remote(seconds).result(timeout_s=seconds + 10)


def _shown(host: str) -> str:
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{name}]" if ":" in name and not name.startswith("[") else name

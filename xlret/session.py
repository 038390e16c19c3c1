"""A Ray to run on: the cluster that a job was submitted to, or one started here and stopped again."""

import ipaddress
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import ray_constants

from xlret.errors import UserError
from xlret.ports import free_port

_PATIENCE_S = 10.0
"""How long a cluster may take to answer the first bytes."""
_LONGEST_TEMPORARY = 107 - len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
"""Ray's sockets lie below its temporary directory, and the path of a socket has at most 107 bytes."""
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of HTTP/2, and so of Ray, says first: the preface and an empty frame of settings."""
_SETTINGS_FRAME = 4
_GONE_S = 45.0
"""How long a cluster may not answer before a program on it ends. After 60 s Ray itself ends it, with a trace of C++."""
_LOOK_S = 3.0


@contextmanager
def ray_session(
    cpus: int | None = None, object_store_gb: float = 1.0, host: str | None = None, *, tell_workers: bool = False
) -> Iterator[None]:
    """Connects to the cluster named by RAY_ADDRESS (as `ray job submit` sets it), else starts a local Ray.

    A local Ray gets at least two CPUs' worth of slots, a bounded object store, and is stopped when the block ends, errors
    included. Worker logs stay in Ray's session directory; jobs show their own progress. Where `RAY_TMPDIR` or `TMPDIR` is too
    long for sockets or not writable, a local Ray takes another directory; a home directory that is not writable is no matter.

    Args:
        cpus: slots of a local Ray; those of the machine by default.
        object_store_gb: size of its object store.
        host: address of this machine that a local Ray's processes listen on; by default Ray chooses.
        tell_workers: RAY_ADDRESS is set in all processes of the session. Where several Rays run on a machine, Ray's tools in
            a worker (those that clean up after a Ray Train that was started in it, say) would not know which one is theirs.

    Where a cluster goes away meanwhile, the program ends with status 1 and a line that says so: calls to Ray do not return.

    Raises:
        UserError: RAY_ADDRESS is no address of a cluster, or none answers within 30 s; no directory for a local Ray.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    on_cluster = address is not None and address not in ("", "local")
    with _own_sigterm():
        if address is not None and on_cluster:
            _connect(address, tell_workers=tell_workers)
        else:
            _start_local(max(2, cpus or os.cpu_count() or 2), int(object_store_gb * 2**30), host, tell_workers=tell_workers)
    try:
        with _watched(ray.get_runtime_context().gcs_address, _give_up) if on_cluster else nullcontext():
            yield
    finally:
        ray.shutdown()


@contextmanager
def _watched(address: str, on_loss: Callable[[str], None], gone_s: float = _GONE_S, look_s: float = _LOOK_S) -> Iterator[None]:
    """Calls `on_loss` once, in a thread, with a sentence, when nobody has taken connections at an address for `gone_s`."""
    host, _, port = address.rpartition(":")
    ended = threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not ended.wait(look_s):
            try:
                socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
                answered = time.monotonic()
            except OSError as error:
                if time.monotonic() - answered >= gone_s and not ended.is_set():
                    on_loss(f"the Ray cluster at {address} has not answered for {gone_s:.0f} s ({error.strerror or error})")
                    return

    thread = threading.Thread(target=watch, name="xlret-watch-cluster", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _give_up(sentence: str) -> None:
    print(f"error: {sentence}; give the same command again when it is there: it goes on from what is whole", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)  # nothing that asks Ray would return, `ray.shutdown` among it


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """SIGTERM stays what it was: Ray takes it over where it starts, in Python and in C++, where it aborts the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is None else handler)


def _connect(address: str, *, tell_workers: bool) -> None:
    """Connects to a cluster. Ray by itself tries for two minutes and more before it says that nobody answers."""
    remedy = "set it to HOST:PORT of the cluster's head (port 6379 by default) or unset it"
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in ("http", "https"):
        raise UserError(
            f"RAY_ADDRESS={address} is the address that `ray job submit` needs, and a job runs on the cluster itself; {remedy} "
            "(`ray job submit` reads RAY_API_SERVER_ADDRESS too)"
        )
    if address != "auto":
        try:
            parts = urlsplit(address if scheme else f"//{address}")
            host, port = parts.hostname, parts.port
        except ValueError:  # a port that is none
            host = port = None
        if scheme not in ("", "ray") or not host or not port:
            raise UserError(f"RAY_ADDRESS={address} is not of the form HOST:PORT, ray://HOST:PORT or auto; {remedy}")
        if os.environ.get("RAY_USE_TLS", "0") == "0" and (problem := _unanswered(host, port)) is not None:
            raise UserError(f"no Ray answers at RAY_ADDRESS={address}: {problem}; start one (ray start --head), {remedy}")
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="warning",
            **(_environment(address) if tell_workers and address != "auto" else {}),
        )
    except Exception as error:  # whatever it is, it comes of the address: Ray raises a dozen kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"cannot use the Ray cluster at RAY_ADDRESS={address}: {reason:.300}; {remedy}") from error


def _unanswered(host: str, port: int) -> str | None:
    """Why nothing that speaks Ray's protocol is reached at an address; None where something is."""
    hosts = [host]
    if host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        hosts.append(ray.util.get_node_ip_address())  # Ray too takes the machine's own address instead
    problem = ""
    for name in hosts:
        try:
            with socket.create_connection((name, port), _PATIENCE_S) as connection:
                connection.sendall(_HTTP2_HELLO)
                if len(hello := connection.recv(9)) > 3 and hello[3] == _SETTINGS_FRAME:
                    return None
            problem = problem or "what listens there is not Ray"
        except TimeoutError:
            problem = problem or f"nothing came back within {_PATIENCE_S:.0f} s"
        except OSError as error:
            problem = problem or str(error.strerror or error)
    return problem


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _environment(address: str) -> dict[str, Any]:
    """What `ray.init` is told so that all processes that it starts know the cluster's address."""
    return {"runtime_env": {"env_vars": {"RAY_ADDRESS": address}}}


def _start_local(cpus: int, object_store_bytes: int, host: str | None, *, tell_workers: bool) -> None:
    """A Ray of our own. Its start has 30 seconds, fixed, which a machine busy with other work may miss: then once more."""
    temporary = _temporary_directory()
    _make_token_possible()
    for may_fail in (True, False):
        environment: dict[str, Any] = {}
        if tell_workers:  # they are started with it, so the port has to be known before
            os.environ[ray_constants.GCS_PORT_ENVIRONMENT_VARIABLE] = str(port := free_port())
            environment = _environment(f"{host or ray.util.get_node_ip_address()}:{port}")
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                object_store_memory=object_store_bytes,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                _temp_dir=str(temporary),
                **({} if host is None else {"_node_ip_address": _reached_at(host)}),
                **environment,
            )
            return
        except Exception as error:  # Ray raises no narrower one here
            if not may_fail or "timed out during startup" not in str(error):
                raise
            ray.shutdown()
        finally:
            if tell_workers:
                del os.environ[ray_constants.GCS_PORT_ENVIRONMENT_VARIABLE]


def _temporary_directory() -> Path:
    """Where a local Ray keeps its sockets and logs: where it would by itself, or a shorter, writable directory."""
    wanted = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"
    for directory in (wanted, Path("/tmp/ray"), Path(f"/tmp/ray-{os.getuid()}"), Path("/var/tmp/ray"), Path("/dev/shm/ray")):
        absolute = Path(os.path.abspath(directory))
        if len(os.fsencode(absolute)) <= _LONGEST_TEMPORARY and _is_writable(absolute):
            return absolute
    raise UserError(
        f"Ray needs a directory that it can write to, with a path of at most {_LONGEST_TEMPORARY} bytes, and {wanted}, "
        "/tmp/ray and /var/tmp/ray are none; set RAY_TMPDIR"
    )


def _make_token_possible() -> None:
    """Ray writes the token of a new cluster to the home directory; where that cannot be, this process's own one is used."""
    if any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return
    try:
        kept = Path.home() / ".ray"
    except RuntimeError:  # a user without a home
        kept = Path(os.devnull)
    if not (os.access(kept / "auth_token", os.R_OK) or _is_writable(kept)):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _is_writable(directory: Path) -> bool:
    """Whether a file can be written to a directory, which is made where it is missing."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
    except OSError:
        return False
    return True


def _reached_at(host: str) -> str:
    """The address for a local Ray. It takes the loopback address for a wish to be reached from elsewhere, except where it
    thinks that there are no clusters; that is the switch for it, in this process and in those that it starts."""
    if host in ("127.0.0.1", "localhost"):
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        ray_constants.ENABLE_RAY_CLUSTER = False
    return host

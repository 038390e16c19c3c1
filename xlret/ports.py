"""Ports of this machine."""

import contextlib
import random
import socket
from pathlib import Path


def free_port(host: str = "127.0.0.1") -> int:
    """A port of an address of this machine that nobody listens on.

    It lies below those that the system gives to whoever asks for any, as Ray's processes do from now on: none of them takes it
    before it is used.

    Raises:
        OSError: there is no such address here.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    # Ray Serve's replicas listen on ports from 30000 on, Ray's workers below 20000.
    candidates = range(20_000, min(lowest, 30_000))
    for port in random.Random().sample(candidates, min(100, len(candidates))):
        with contextlib.suppress(OSError):
            return bound_port(host, port)
    return bound_port(host, 0)


def bound_port(host: str, port: int) -> int:
    """A port that can be listened on: the one given, any for 0."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        return int(listener.getsockname()[1])

"""Notices that Ray is gone: the processes of its own that this program started, without which nothing works."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xlret.serve.ray.processes import children, name_of

NEEDED = frozenset({"gcs_server", "raylet"})
"""Ray's control store and node manager. (The node's dashboard agent takes the raylet with it.)"""
_LOOK_S = 0.5


@contextmanager
def watching(on_loss: Callable[[str], None]) -> Iterator[None]:
    """Watches the `NEEDED` children of this process until the block ends.

    Args:
        on_loss: called once, in a thread of its own, with a sentence that says which one has ended.
    """
    watched = {os.pidfd_open(process): (name_of(process), process) for process in children(os.getpid())}
    watched = {descriptor: whose for descriptor, whose in watched.items() if whose[0] in NEEDED}
    ended = threading.Event()
    poll = select.poll()
    for descriptor in watched:
        poll.register(descriptor, select.POLLIN)

    def watch() -> None:
        while not ended.is_set():
            for descriptor, _ in poll.poll(1000 * _LOOK_S):
                if not ended.is_set():
                    name, process = watched[descriptor]
                    on_loss(f"Ray's {name} (process {process}) has ended, and with it the service")
                return

    thread = threading.Thread(target=watch, name="watch-ray", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(2 * _LOOK_S)
        for descriptor in watched:
            os.close(descriptor)

"""The service as a program: it serves until a signal stops it, and says on standard output what it is at.

It ends in every case: within `deadline.drain_s` and 10 s after a signal, whatever hangs, and at once, with status 1, when Ray
itself is gone, so that whoever started it (systemd, Kubernetes) starts it anew. The guard (guard.py) clears up after it.
"""

import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from xlret.errors import UserError
from xlret.release import resolve, verify_release
from xlret.release.once import VerifiedOnce
from xlret.serve.ray.start import Served, fast_environment, serving
from xlret.serve.settings import ServeSettings

STOP_S = 10.0
"""How long everything may take to end, besides the last requests."""


def serve_until_stopped(settings: ServeSettings) -> int:
    """Serves the release, on a Ray started here or the cluster of RAY_ADDRESS, and stops cleanly on SIGTERM or Ctrl-C; a
    second signal stops at once.

    To be called in the main thread of a program: it takes the two signals over.

    Args:
        settings: `release` is needed.

    Returns:
        The exit status: 0 after a clean stop, 130 after one at once. Where Ray is gone, or does not end in time, the program
        is ended from here with status 1 and a line on standard error.

    Raises:
        UserError: no release is named, there is none, or it cannot be served; the port is taken; as `serving`.
    """
    if settings.release is None:
        raise UserError("--release is needed: a release, or a directory of releases; xlret release makes one")
    once = VerifiedOnce()
    release = verify_release(resolve(Path(settings.release)), once)
    print(f"release {release.name}: {release.passages:,} passages in {', '.join(release.languages)}; starting", flush=True)
    stop = threading.Event()
    try:
        with serving(settings, _give_up, once) as served:
            _on_signal(stop)
            _show(served)
            stop.wait()
            _end_within(settings.deadline.drain_s + STOP_S)
            print("stopping: requests in work are answered first", flush=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        print("stopped at once", file=sys.stderr)
        return 130
    finally:
        once.forget()
    print("stopped", flush=True)
    return 0


def environment_lines(settings: ServeSettings, directory: Path) -> list[str]:
    """What a cluster's machines need in their environment before `ray start`, as lines for a shell.

    Args:
        settings: as for `fast_environment`.
        directory: for HAProxy's files; it is made if it is missing, for its owner only.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [f"export {name}={shlex.quote(value)}" for name, value in fast_environment(settings, directory).items()]


def _give_up(why: str) -> None:
    """Ends the program from any thread, with nothing that might wait for what does not answer any more."""
    print(f"error: {why}; start it again", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


def _end_within(seconds: float) -> None:
    timer = threading.Timer(seconds, _give_up, [f"not everything had ended after {seconds:g} s, so it was ended at once"])
    timer.daemon = True
    timer.start()


def _on_signal(stop: threading.Event) -> None:
    """Signals end the wait. (Before, and from the second on, they end the program as usual.)"""

    def heard(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, heard)
    signal.signal(signal.SIGINT, heard)


def _show(served: Served) -> None:
    address = served.address
    print(f"serving on {address} (web page: {address}/, description: {address}/docs; metrics: {served.metrics})", flush=True)
    body = '{"query": "What is the capital of France?", "top_k": 3}'
    print(f"  curl -s {address}/v1/search -H 'content-type: application/json' -d '{body}'", flush=True)

"""Serves a release over HTTP: `python -m jobs.serve --release DIR`."""

import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from jobs.cli import recipe_parser, run_job
from xlret.config import read_recipe
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.release import resolve, verify_release
from xlret.serve.ray.start import Served, fast_environment, serving
from xlret.serve.settings import ServeSettings

EXAMPLE = """\
  python -m jobs.serve --release runs/releases                  # the release that its alias `current` names
  python -m jobs.serve --release runs/releases/2026-05 --port 9000 --set shard.least=2
  XLRET_API_KEYS=... XLRET_ADMIN_KEY=... python -m jobs.serve --release runs/releases --host 0.0.0.0

Another release of the same directory comes in without a stop, and goes out again the same way:

  curl -X POST -H "Authorization: Bearer $XLRET_ADMIN_KEY" -d '{"release": "2026-06"}' \\
       -H 'content-type: application/json' http://127.0.0.1:8000/admin/release

Ctrl-C or SIGTERM: no new requests, those in work are answered, then it stops. A second one stops at once.
For a Ray cluster see cluster/serve.yaml.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Starts Ray, serves, and stops cleanly."""
    parser = recipe_parser("serve", "Serves a release over HTTP, with a web page at /.", EXAMPLE)
    parser.add_argument("--release", help="a release, or a directory of releases (its alias `current` is served)")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1: this machine only)")
    parser.add_argument(
        "--environment",
        type=Path,
        metavar="DIR",
        help="serve nothing; print what a cluster's machines need in their environment before `ray start` (cluster/serve.yaml)",
    )
    parser.add_argument("--port", type=int, help="port to listen on (default 8000; 0 takes a free one)")
    arguments = parser.parse_args(argv)
    given = {"release": arguments.release, "host": arguments.host, "port": arguments.port}
    overrides = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    settings = read_recipe(ServeSettings, arguments.recipe, [*overrides, *arguments.overrides])
    if arguments.environment is not None:
        return _environment(settings, expand_path(arguments.environment))
    if settings.release is None:
        raise UserError("--release is needed: a release, or a directory of releases; python -m jobs.release makes one")
    release = verify_release(resolve(Path(settings.release)))
    print(f"release {release.name}: {release.passages:,} passages in {', '.join(release.languages)}; starting Ray", flush=True)
    stop = threading.Event()
    try:
        with serving(settings) as served:
            _on_signal(stop)
            _show(served)
            stop.wait()
            print("stopping: requests in work are answered first", flush=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        print("stopped at once", file=sys.stderr)
        return 130
    print("stopped", flush=True)
    return 0


def _environment(settings: ServeSettings, directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in fast_environment(settings, directory).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _on_signal(stop: threading.Event) -> None:
    """Signals end the wait. (Before, and from the second on, they end the job as usual.)"""

    def heard(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, heard)
    signal.signal(signal.SIGINT, heard)


def _show(served: Served) -> None:
    address = served.address
    print(f"serving on {address} (web page: {address}/, description: {address}/docs; metrics: {served.metrics})", flush=True)
    body = '{"query": "What is the capital of France?", "top_k": 3}'
    print(f"  curl -s {address}/v1/search -H 'content-type: application/json' -d '{body}'", flush=True)


if __name__ == "__main__":
    run_job(main)

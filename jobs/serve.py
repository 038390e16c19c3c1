"""Serves a release over HTTP: `python -m jobs.serve --release DIR`."""

import json
from collections.abc import Sequence
from pathlib import Path

from jobs.cli import recipe_parser, run_job
from xlret.config import read_recipe
from xlret.files import expand_path
from xlret.serve.ray.run import environment_lines, serve_until_stopped
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
        print("\n".join(environment_lines(settings, expand_path(arguments.environment))))
        return 0
    return serve_until_stopped(settings)


if __name__ == "__main__":
    run_job(main)

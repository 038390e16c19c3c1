"""`xlret serve`: a release behind HTTP, with a web page."""

import json
from pathlib import Path

from cyclopts import App

from xlret.commands.frame import Overrides, new_app
from xlret.commands.keys import recipe_keys
from xlret.config import read_recipe
from xlret.files import expand_path
from xlret.serve.settings import ServeSettings

EPILOGUE = """\
examples:
  xlret serve --release runs/releases        # the release that `current` names
  xlret serve --release runs/releases/2026-05 --port 9000 --set shard.least=2
  XLRET_API_KEYS=... XLRET_ADMIN_KEY=... xlret serve --release runs/releases \\
      --host 0.0.0.0

Another release of the same directory comes in without a stop, and goes out
again the same way:

  curl -X POST -H "Authorization: Bearer $XLRET_ADMIN_KEY" \\
      -H 'content-type: application/json' -d '{"release": "2026-06"}' \\
      http://127.0.0.1:8000/admin/release

Ctrl-C or SIGTERM: no new requests, those in work are answered, then it stops.
A second one stops at once. As a submitted job it serves on all machines of
that cluster until `ray job stop`; cluster/serve.yaml deploys it without a job:

  ray job submit --working-dir . -- python -m jobs.serve --release runs/releases

What a recipe may say, each also by --set:

""" + recipe_keys(ServeSettings)
app: App = new_app("serve", "Serve a release over HTTP, with a web page.", EPILOGUE)


@app.default
def serve(
    recipe: str | None = None,
    /,
    *,
    release: str | None = None,
    host: str | None = None,
    port: int | None = None,
    environment: Path | None = None,
    overrides: Overrides = (),
) -> int:
    """Starts Ray, serves, and stops cleanly; where RAY_ADDRESS names a cluster, it serves there.

    Args:
        recipe: a YAML file
        release: a release, or a directory of releases (its alias `current` is served)
        host: address to listen on (by default 127.0.0.1: this machine only)
        port: port to listen on (by default 8000; 0 takes a free one)
        environment: serve nothing; print what a cluster's machines need in their environment before `ray start`
            (cluster/serve.yaml), with this directory for HAProxy's files
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
    """
    given = {"release": release, "host": host, "port": port}
    flags = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    settings = read_recipe(ServeSettings, recipe, [*flags, *overrides])
    from xlret.serve.ray.run import environment_lines, serve_until_stopped

    if environment is not None:
        print("\n".join(environment_lines(settings, expand_path(environment))))
        return 0
    return serve_until_stopped(settings)

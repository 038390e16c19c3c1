"""The log of requests, read back from its file after real requests."""

import asyncio
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from stand_in import House
from tied import QUESTIONS, SETTINGS

from xlret.errors import UserError
from xlret.serve.http.access import Keys
from xlret.serve.local_server import serve_local
from xlret.serve.record import RequestRecord
from xlret.serve.request_log import LineFile, RequestLog
from xlret.serve.settings import LogSettings

SECRET = 'a secret about Katze\r\n{"status": 200}'


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").split("\n")[:-1]]


def test_every_request_to_a_server_is_a_line(release: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "logs" / "requests.jsonl"
    settings = SETTINGS.model_copy(update={"log": LogSettings(file=path)})
    with serve_local(release, settings=settings, keys=Keys.from_texts(["key-of-somebody"])) as server:
        headers = {"authorization": "Bearer key-of-somebody", "x-request-id": "mine-1"}
        with httpx.Client(base_url=server.url, timeout=60) as client:
            client.post("/v1/search", json={"query": QUESTIONS["de"], "top_k": 3}, headers=headers)
            client.post("/v1/embeddings", json={"input": SECRET}, headers=headers)
            client.post("/v1/search", json={"query": SECRET, "top_k": 0}, headers=headers)
            client.get("/v1/info", headers={"authorization": "Bearer wrong-key-0"})
            client.get("/no%0d%0awhere?key=key-of-somebody")
    search, embeddings, bad, refused, nowhere = lines(path)
    assert search["request_id"] == "mine-1"
    assert (search["method"], search["route"], search["status"]) == ("POST", "/v1/search", 200)
    assert (search["release"], search["texts"], search["shards"]) == ("tied", 1, {"ok": 2, "failed": 0})
    assert set(search["took_ms"]) == {"read", "parse", "encode", "search", "rerank", "highlight", "total", "write"}
    assert search["took_ms"]["total"] <= search["ms"]
    assert search["source"] == "127.0.0.1"
    assert search["bytes_in"] > 0 < search["bytes_out"]
    assert search["time"].endswith("+00:00")
    assert "queries" not in search
    assert (embeddings["route"], embeddings["status"], embeddings["texts"]) == ("/v1/embeddings", 200, 1)
    assert (bad["status"], bad["error"]) == (422, "invalid_request")
    assert (refused["status"], refused["error"], refused["route"]) == (401, "unauthorized", None)
    assert (nowhere["path"], nowhere["status"]) == ("/no\r\nwhere", 401)
    written = path.read_text(encoding="ascii")
    for word in ("secret", "Katze", "Bienen", "key-of-somebody", "wrong-key-0"):
        assert word not in written
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [json.loads(line) for line in said] == lines(path)


def test_queries_are_in_it_only_where_asked_for_and_make_no_line(tmp_path: Path) -> None:
    async def run() -> None:
        house = House(log={"file": str(tmp_path / "log"), "stderr": False, "queries": True})
        async with house.client() as client:
            await client.post("/v1/search", json={"query": SECRET})

    asyncio.run(run())
    (line,) = lines(tmp_path / "log")
    assert line["queries"] == [SECRET]


def test_the_reason_of_a_500_and_of_a_503_is_in_the_log_and_not_in_the_answer(tmp_path: Path) -> None:
    async def run() -> list[httpx.Response]:
        house = House(log={"file": str(tmp_path / "log"), "stderr": False})
        async with house.client(raise_errors=False) as client:
            house.encoder.trouble.error = OSError("the disk /dev/broken\nis gone")
            unavailable = await client.post("/v1/search", json={"query": "cat"})
            house.gateway.gate.enter = None  # type: ignore[assignment, method-assign]
            unexpected = await client.post("/v1/search", json={"query": "cat"})
            return [unavailable, unexpected]

    unavailable, unexpected = asyncio.run(run())
    assert (unavailable.status_code, unexpected.status_code) == (503, 500)
    assert unexpected.json()["error"]["code"] == "internal"
    first, second = lines(tmp_path / "log")
    assert (first["status"], second["status"]) == (503, 500)
    assert first["exception"].rstrip().endswith("OSError: the disk /dev/broken\nis gone")
    assert "TypeError: 'NoneType' object is not callable" in second["exception"]
    assert "searching.py" in second["exception"]
    for answer in (unavailable, unexpected):
        assert "broken" not in answer.text
        assert "TypeError" not in answer.text
        assert "searching.py" not in answer.text
    assert second["request_id"] == unexpected.json()["error"]["request_id"]


def test_a_full_file_makes_way_and_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LineFile(path, 4096, 2)
    for number in range(1000):
        log.write(json.dumps({"number": number, "filling": "x" * 60}))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.lock"]
    numbers = [line["number"] for file in (tmp_path / "log.2", tmp_path / "log.1", path) for line in lines(file)]
    assert numbers == list(range(numbers[0], 1000))  # none lost in between
    assert all(file.stat().st_size < 4096 + 100 for file in tmp_path.iterdir())
    path.rename(tmp_path / "away")  # as logrotate does
    log.write("{}")
    assert path.read_text(encoding="ascii") == "{}\n"
    log.close()


def _write(path: Path, mark: int) -> None:
    log = LineFile(path, 8192, 50)
    for number in range(500):
        log.write(json.dumps({"mark": mark, "number": number, "filling": "x" * 100}))
    log.close()


def test_several_processes_write_to_one_file_without_mixing_or_losing_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path / "log", mark)) for mark in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    written = [line for path in tmp_path.glob("log*") if path.suffix != ".lock" for line in lines(path)]
    assert sorted((line["mark"], line["number"]) for line in written) == [(m, n) for m in range(3) for n in range(500)]


def test_a_file_that_cannot_be_written_is_said_at_the_start_and_a_full_disk_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"log of requests .*set log\.file"):
        RequestLog(LogSettings(file=tmp_path / "file" / "log"))
    log = RequestLog(LogSettings(file=tmp_path / "log", stderr=False))
    assert log._file is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._file._descriptor)
    os.close(full)
    (tmp_path / "log").unlink()
    (tmp_path / "log").symlink_to("/dev/full")
    for _ in range(3):
        log(RequestRecord("r", "GET", "/"))
    assert capsys.readouterr().err.count("No space left") == 1

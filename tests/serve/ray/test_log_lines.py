"""The request log's lines on their way from ingresses to the program."""

import json
import tempfile
import threading
from pathlib import Path

from xlret.serve.ray.log_lines import LineSender, reading_lines
from xlret.serve.record import RequestRecord


def test_lines_come_through_and_those_that_nobody_reads_cost_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as directory:
        path, lines = Path(directory) / "log.sock", list[str]()
        send = LineSender(path)
        send(RequestRecord("early", "GET", "/"))  # nobody reads yet
        with reading_lines(path, lines.append):
            for number in range(500):
                send(RequestRecord(f"r{number}", "POST", "/v1/search", queries=["a\r\nb"] * (number == 7)))
        send(RequestRecord("late", "GET", "/"))
        ids = [json.loads(line)["request_id"] for line in lines]
        assert ids == sorted(ids, key=lambda name: int(name[1:]))
        assert "early" not in ids
        assert len(ids) >= 10
        assert not any("\n" in line or "\r" in line for line in lines)


def test_a_reader_that_hangs_keeps_nobody_waiting() -> None:
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as directory:
        path = Path(directory) / "log.sock"
        send = LineSender(path)
        stuck = threading.Event()
        with reading_lines(path, lambda line: stuck.wait(20)):
            for number in range(20_000):
                send(RequestRecord(f"r{number}", "POST", "/v1/search"))
            stuck.set()

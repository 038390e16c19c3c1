import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from xlret.errors import UserError
from xlret.files import write_text
from xlret.training.checkpoint import checkpoint_path
from xlret.training.log import MetricLog, read_lines
from xlret.training.progress import ProgressLines, followed, remaining


def test_a_log_opened_at_a_step_forgets_what_came_after_it(tmp_path: Path) -> None:
    with MetricLog(tmp_path, 0) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1.0 / step})
    with MetricLog(tmp_path, 20) as log:
        log.write(30, {"loss": 0.5})
    assert [(line["step"], line["loss"]) for line in read_lines(tmp_path / "metrics.jsonl")] == [
        (10, 0.1),
        (20, 0.05),
        (30, 0.5),
    ]


def test_a_run_that_starts_anew_keeps_nothing(tmp_path: Path) -> None:
    for loss in (3.0, 2.0):
        with MetricLog(tmp_path, 0) as log:
            log.write(0, {"mul": loss}, "dev")
    assert [(line["step"], line["mul"]) for line in read_lines(tmp_path / "metrics.jsonl")] == [(0, 2.0)]


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "group": "train"}\n{"step": 2, "gro')
    assert [line["step"] for line in read_lines(path)] == [1]
    with MetricLog(tmp_path, 5) as log:
        log.write(6, {"loss": 1.0})
    assert [line["step"] for line in read_lines(path)] == [1, 6]


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.reports: list[int] = []
        self.checkpoints: list[tuple[int, Path]] = []

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        self.reports.append(step)

    def on_checkpoint(self, step: int, directory: Path) -> None:
        self.checkpoints.append((step, directory))


def test_a_driver_tells_what_other_processes_write_and_again_where_they_went_back(tmp_path: Path) -> None:
    path, told = tmp_path / "metrics.jsonl", Told()

    def write(*steps: int) -> None:
        write_text(path, "".join(json.dumps({"step": step}) + "\n" for step in steps))

    write(5)
    with followed(tmp_path, [told], poll_seconds=0.01):
        write(5, 10, 20, 30)
        checkpoint_path(tmp_path, 30).mkdir(parents=True)
        wait_until(lambda: len(told.checkpoints) == 1)
        write(5, 10)
        time.sleep(0.1)
        write(5, 10, 20)
    assert told.reports == [10, 20, 30, 20]
    assert told.checkpoints == [(30, checkpoint_path(tmp_path, 30))]


def test_what_a_callback_raises_reaches_the_driver(tmp_path: Path) -> None:
    class Refuses(Told):
        def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
            raise ValueError(f"no step {step}")

    with pytest.raises(ValueError, match="no step 1"), followed(tmp_path, [Refuses()], poll_seconds=0.01):  # noqa: PT012
        (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
        time.sleep(0.1)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_progress_shows_a_line_for_every_report() -> None:
    shown: list[str] = []
    lines = ProgressLines(40, shown.append)
    lines.on_report(10, {"step": 10, "group": "dev", "mo": 0.5, "cr": 0.25, "mul": 0.125, "rank_distance": 3.0, "best": True})
    train = {"loss": 2.5, "learning_rate": 1e-3, "pairs_per_second": 800.4, "data_wait_share": 0.011, "alpha": 0.5}
    lines.on_report(20, {"step": 20, "group": "train", "switch_ratio": 0.3, **train})
    assert shown[0] == "step 10/40  dev mAP: Mo 0.5000  Cr 0.2500  Mul 0.1250  rank distance 3.0  (best so far)"
    assert shown[1].startswith("step 20/40  loss 2.500  lr 1.0e-03  800 pairs/s  data wait 1.1%  alpha 0.50  switched 30%")
    assert shown[1].endswith("about 0 s left")


@pytest.mark.parametrize(
    ("step", "seconds", "expected"),
    [(10, 5.0, ""), (20, 10.0, "about 20 s left"), (20, 120.0, "about 4 min left"), (40, 9.0, "")],
)
def test_the_time_that_is_left(step: int, seconds: float, expected: str) -> None:
    assert remaining(step, 10, 40, seconds) == expected


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    log = MetricLog(tmp_path, 0)
    log._file.close()
    log._file = open("/dev/full", "a", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(UserError, match=r"no space left on the disk while writing .*metrics\.jsonl"):
        log.write(1, {"loss": 1.0})

import json
from pathlib import Path

from xlret.train.log import MetricLog, read_lines
from xlret.train.progress import as_line, followed


def test_a_log_opened_at_a_step_forgets_what_came_after_it(tmp_path: Path) -> None:
    with MetricLog(tmp_path, 0, "run") as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1.0 / step})
    with MetricLog(tmp_path, 20, "run") as log:
        log.write(30, {"loss": 0.5})
    assert [(line["step"], line["loss"]) for line in read_lines(tmp_path / "metrics.jsonl")] == [
        (10, 0.1),
        (20, 0.05),
        (30, 0.5),
    ]


def test_a_run_that_starts_anew_keeps_nothing(tmp_path: Path) -> None:
    for loss in (3.0, 2.0):
        with MetricLog(tmp_path, 0, "run") as log:
            log.write(0, {"mul": loss}, "dev")
    assert [(line["step"], line["mul"]) for line in read_lines(tmp_path / "metrics.jsonl")] == [(0, 2.0)]


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "group": "train"}\n{"step": 2, "gro')
    assert [line["step"] for line in read_lines(path)] == [1]
    with MetricLog(tmp_path, 5, "run") as log:
        log.write(6, {"loss": 1.0})
    assert [line["step"] for line in read_lines(path)] == [1, 6]


def test_progress_shows_every_report_and_says_when_the_run_went_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    dev = {"group": "dev", "mo": 0.5, "cr": 0.25, "mul": 0.125, "rank_distance": 3.0, "best": True}
    shown: list[str] = []
    with followed(path, 40, shown.append, poll_seconds=0.01):
        path.write_text("".join(json.dumps({"step": step, **dev}) + "\n" for step in (10, 20, 30)))
        while len(shown) < 3:
            pass
        path.write_text(json.dumps({"step": 10, **dev}) + "\n")
        while len(shown) < 4:
            pass
    assert shown[0] == "step 10/40  dev mAP: Mo 0.5000  Cr 0.2500  Mul 0.1250  rank distance 3.0  (best so far)"
    assert shown[3:] == ["  going on from step 10"]
    train = {"loss": 2.5, "learning_rate": 1e-3, "pairs_per_second": 800.4, "data_wait_share": 0.011, "alpha": 0.5}
    line = as_line({"step": 5, "group": "train", "switch_ratio": 0.3, **train}, 100, "about 9 s left")
    assert line == "step   5/100  loss 2.500  lr 1.0e-03  800 pairs/s  data wait 1.1%  alpha 0.50  switched 30%  about 9 s left"

"""A run as one HTML page: how it went, what its batches looked like, and what it was told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xlret.batches.explain import Explanation
from xlret.config import as_yaml
from xlret.files import write_json, write_text
from xlret.pages import render
from xlret.switch.show import Sample, sample_table
from xlret.training.log import read_lines
from xlret.training.settings import TrainJob

_DEV_METRICS = ("mo", "cr", "mul")


def write_report(directory: Path, job: TrainJob, samples: Sequence[Sample], batches: Explanation) -> Path:
    """Writes `report.html` and `batches.json`, when the run begins and again when it ends; returns the page's path.

    Args:
        directory: of the run, whose `metrics.jsonl` the curves are from. The page needs no other file.
        job: its settings.
        samples: texts of its batches.
        batches: what its batches are planned to hold and, when it has ended, do hold.
    """
    write_json(directory / "batches.json", batches.as_json())
    lines = read_lines(directory / "metrics.jsonl")
    train = [line for line in lines if line["group"] == "train"]
    dev = [line for line in lines if line["group"] == "dev"]
    path = directory / "report.html"
    page = render(
        "training/report.html",
        title=f"Run {job.name}",
        steps_done=train[-1]["step"] if train else 0,
        steps=job.steps,
        batch_size=job.plan.batch_size,
        loss_chart=line_chart([(line["step"], line["loss"]) for line in train]) if len(train) > 1 else None,
        dev_lines=[{"best": False, **line} for line in dev],
        dev_metrics=[name for name in _DEV_METRICS if dev and name in dev[0]],
        batches=batches,
        samples=sample_table(samples),
        settings=as_yaml(job),
    )
    write_text(path, page)
    return path


@dataclass(frozen=True)
class LineChart:
    """A line with its lowest and highest values at the axes, for the template to draw. Lengths are in pixels."""

    points: str
    """`x,y` of each point, as SVG has it."""
    low: str
    high: str
    first: str
    last: str
    width: int = 640
    height: int = 220
    left: int = 44
    top: int = 44
    right: int = 640 - 44
    bottom: int = 220 - 44


def line_chart(values: Sequence[tuple[float, float]]) -> LineChart:
    """Points (x, y) stretched to fill a chart; one value alone on an axis lies at its start.

    >>> line_chart([(0, 2.0), (10, 1.0)]).points
    '44.0,44.0 596.0,176.0'
    """
    xs, ys = [x for x, _ in values], [y for _, y in values]
    first, last, low, high = min(xs), max(xs), min(ys), max(ys)
    across = (LineChart.right - LineChart.left) / ((last - first) or 1)
    upwards = (LineChart.bottom - LineChart.top) / ((high - low) or 1)
    points = [f"{LineChart.left + (x - first) * across:.1f},{LineChart.bottom - (y - low) * upwards:.1f}" for x, y in values]
    return LineChart(" ".join(points), f"{low:.3g}", f"{high:.3g}", f"{first:,}", f"{last:,}")

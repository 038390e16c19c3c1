"""A run as one HTML page: how it went, what its batches looked like, and what it was told."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from xlret.config import as_yaml
from xlret.files import write_text
from xlret.switch.show import Sample, page_of, sample_table
from xlret.train.log import read_lines
from xlret.train.settings import TrainJob

_WIDTH, _HEIGHT, _MARGIN = 640, 220, 44
_SHOWN = ("mo", "cr", "mul")


def write_report(directory: Path, job: TrainJob, samples: Sequence[Sample]) -> Path:
    """Writes `report.html` from the run's `metrics.jsonl`, some of its training texts and its settings; returns its path.

    The page needs no other file. Written when the run begins and again when it ends.
    """
    lines = read_lines(directory / "metrics.jsonl")
    train = [line for line in lines if line["group"] == "train"]
    dev = [line for line in lines if line["group"] == "dev"]
    done = train[-1]["step"] if train else 0
    parts = [f"<p>{done:,} of {job.steps:,} steps, batches of {job.plan.batch_size} pairs.</p>"]
    if len(train) > 1:
        curve = [(line["step"], line["loss"]) for line in train]
        parts.append(f"<h2>Loss</h2>{line_chart(curve, 'training loss by step')}")
    if dev:
        parts.append(f"<h2>Held-out groups</h2>{_dev_table(dev)}")
    parts.append(f"<h2>Texts of the first batches, as trained on</h2>{sample_table(samples)}")
    parts.append(f"<h2>Settings</h2><pre>{escape(as_yaml(job))}</pre>")
    path = directory / "report.html"
    write_text(path, page_of(f"Run {job.name}", "\n".join(parts)))
    return path


def line_chart(points: Sequence[tuple[float, float]], label: str) -> str:
    """Points (x, y) joined by a line, as SVG with its lowest and highest values at the axes.

    >>> line_chart([(0, 2.0), (10, 1.0)], "loss").count("<text")
    4
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)

    def place(x: float, y: float) -> str:
        across = (x - left) / ((right - left) or 1)
        up = (y - low) / ((high - low) or 1)
        return f"{_MARGIN + across * (_WIDTH - 2 * _MARGIN):.1f},{_HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN):.1f}"

    bottom, end = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    texts = [
        (_MARGIN - 6, bottom, "end", f"{low:.3g}"),
        (_MARGIN - 6, _MARGIN, "end", f"{high:.3g}"),
        (_MARGIN, bottom + 18, "start", f"{left:,}"),
        (end, bottom + 18, "end", f"{right:,}"),
    ]
    written = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12">{text}</text>' for x, y, anchor, text in texts
    )
    axes = f'<path d="M{_MARGIN},{_MARGIN}V{bottom}H{end}" fill="none" stroke="#999"/>'
    line = f'<polyline points="{" ".join(place(x, y) for x, y in points)}" fill="none" stroke="#1d4ed8" stroke-width="1.5"/>'
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{axes}{line}{written}</svg>'


def _dev_table(dev: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in _SHOWN if name in dev[0]]
    head = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{line["step"]:,}{" (best)" if line.get("best") else ""}</th>'
        + "".join(f"<td>{line[name]:.4f}</td>" for name in names)
        + "</tr>"
        for line in dev
    )
    return f'<table><thead><tr><th scope="col">step</th>{head}</tr></thead><tbody>{rows}</tbody></table>'

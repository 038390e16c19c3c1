"""A run as one HTML page: how it went, what its batches held against what was planned, its texts, and what it was told."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xlret.batches.explain import Explanation
from xlret.batches.plan import BatchPlan
from xlret.config import as_yaml
from xlret.files import write_json, write_text
from xlret.pages import render
from xlret.switch.settings import SwitchSettings
from xlret.switch.show import Sample, sample_table
from xlret.training.curves import DEV_METRICS, Report, run_charts
from xlret.training.log import read_lines
from xlret.training.settings import TrainJob


def write_report(directory: Path, job: TrainJob, plan: BatchPlan, samples: Sequence[Sample], *, ended: bool) -> Path:
    """Writes `report.html` and `batches.json`, when the run begins and again when it has ended; returns the page's path.

    Args:
        directory: of the run, whose `metrics.jsonl` the curves are from. The page needs no other file.
        job: its settings.
        plan: of its batches.
        samples: texts of its batches.
        ended: whether all its batches were trained on, so that what they hold is counted: 0.1 ms or more a batch.
    """
    lines = read_lines(directory / "metrics.jsonl")
    train = [line for line in lines if line["group"] == "train"]
    dev = [line for line in lines if line["group"] == "dev"]
    batches = plan.explain(job.steps * job.accumulate, walk=ended)
    write_json(directory / "batches.json", batches.as_json())
    path = directory / "report.html"

    def planned_alpha(steps: int) -> float:
        return plan.mono_steps(steps * job.accumulate) / (steps * job.accumulate)

    page = render(
        "training/report.html",
        title=f"Run {job.name}",
        steps_done=train[-1]["step"] if train else 0,
        steps=job.steps,
        batch_size=job.plan.batch_size,
        facts=_facts(job.switch, batches, train),
        charts=run_charts(train, dev, planned_alpha),
        dev_lines=dev,
        dev_metrics={name: title for name, title in DEV_METRICS.items() if dev and name in dev[0]},
        best_step=max((line["step"] for line in dev if line.get("best")), default=None),
        batches=batches,
        samples=sample_table(samples),
        settings=as_yaml(job),
    )
    write_text(path, page)
    return path


class Fact(NamedTuple):
    """A row of the table of what was planned and what came of it."""

    name: str
    planned: str
    realised: str


def _facts(switch: SwitchSettings, batches: Explanation, train: Sequence[Report]) -> list[Fact]:
    """Kinds of batch, switching, speed; a dash for what is not known (yet) or was not planned."""

    def mean(name: str) -> float | None:
        """Over the run's time, from the reports."""
        seconds = sum(line["seconds"] for line in train)
        return sum(line[name] * line["seconds"] for line in train) / seconds if seconds else None

    facts = [
        Fact(f"{share.name} batches", f"{share.planned:.1%}", f"{share.realised:.1%}" if batches.walked else "–")
        for share in batches.kind_shares
    ]
    highest = max(switch.p) if isinstance(switch.p, tuple) else switch.p
    chance = f"at most {highest * switch.rows:.0%}" if switch.policy != "none" else "0%"
    facts.append(Fact("switched words, of those in languages with a lexicon", chance, _percent(mean("switch_ratio"))))
    speed = mean("pairs_per_second")
    facts.append(Fact("pairs a second", "–", "–" if speed is None else f"{speed:,.1f}"))
    return [*facts, Fact("time spent waiting for batches", "–", _percent(mean("data_wait_share")))]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"

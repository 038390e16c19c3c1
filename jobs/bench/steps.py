"""What a training step costs: `python -m jobs.bench.steps PART --encoder DIR --corpora DIR ...`.

A command of its own: each run has its own processes, which import little, so that their memory is that of training.
"""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs.bench.adapting import adapters
from jobs.bench.kinds import kinds
from jobs.bench.watched import Setting, Watched, watched
from xlret.commands.frame import call, new_app, run
from xlret.errors import UserError

FORMS: dict[str, dict[str, Any]] = {
    "padded, at once": {"tokens_per_forward": 1_000_000, "encoder": {"packed": False}},
    "padded, 2,048 tokens at a time": {"tokens_per_forward": 2048, "encoder": {"packed": False}},
    "packed": {},
    "packed, bfloat16": {"precision": "bfloat16"},
}
SPREADS = {"whole copies (DDP)": "none", "parts (FSDP2)": "fsdp"}


def forms(setting: Setting, console: Console) -> None:
    """One padded pass against micro-batches of a token budget, packed ones, and bfloat16."""
    first: Watched | None = None
    for number, (name, changes) in enumerate(FORMS.items()):
        cost = watched(setting.job(f"form-{number}", **changes))
        first = first or cost
        console.print(f"{name}: {_compared(cost, first, setting.pairs)}")


def spread(setting: Setting, console: Console) -> None:
    """Two processes over gloo, each with a whole copy of the encoder or with a part: the cost of the first of them."""
    first: Watched | None = None
    for name, sharding in SPREADS.items():
        cost = watched(setting.job(f"spread-{sharding}", ray={"workers": 2, "sharding": sharding}))
        first = first or cost
        losses = " ".join(f"{loss:.5f}" for loss in cost.losses)
        console.print(f"{name}: {_compared(cost, first, setting.pairs // 2)}; losses {losses}")


def _compared(cost: Watched, first: Watched, pairs: int) -> str:
    speed = f"{pairs / cost.seconds:.2f} pairs a second of the processor ({first.seconds / cost.seconds:.2f} times the first)"
    memory = f"memory {cost.memory_mb:,.0f} MB ({cost.memory_mb / first.memory_mb:.2f} times)"
    return f"{speed}, {memory}, {cost.held_mb:,.0f} MB between steps"


PARTS = {"forms": forms, "spread": spread, "adapters": adapters, "kinds": kinds}
app = new_app(
    "python -m jobs.bench.steps",
    "Measures training steps, in seconds of the processor and in memory above that of the imports.",
    "\n".join(f"  {name:10} {(part.__doc__ or '').splitlines()[0]}" for name, part in PARTS.items()),
)


@app.default
def steps(
    part: str,
    /,
    *,
    encoder: Path,
    corpora: tuple[Path, ...],
    directory: Path = Path("runs/benchmark-steps"),
    pairs: int = 32,
    steps: int = 4,
) -> int:
    """Measures one of the parts below.

    Args:
        part: see below
        encoder: to begin from
        corpora: prepared ones, to train on
        directory: where runs are kept
        pairs: of a step
        steps: of each run, 2 or more; the first is not timed
    """
    if part not in PARTS:
        raise UserError(f"unknown part {part!r}; allowed: {', '.join(PARTS)}")
    if steps < 2:
        raise UserError(f"--steps is {steps}; allowed is 2 or more, of which the first is not timed")
    setting = Setting(directory.resolve(), encoder.resolve(), tuple(path.resolve() for path in corpora), pairs, steps)
    PARTS[part](setting, Console(highlight=False, width=300))
    return 0


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))

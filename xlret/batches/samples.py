"""Texts of a run's batches for a person to look at: of each kind of batch, and switched ones where there are any."""

from collections import defaultdict

from xlret.batches.assemble import Assembler
from xlret.batches.plan import StepPlan
from xlret.switch.show import Sample
from xlret.switch.switched import Switched

_SEARCHED = 400
"""Steps that are looked at, by their languages alone."""
_BATCHES, _ROWS = 2, 3
"""Batches of each kind, and rows of each batch."""


def sample_texts(assemble: Assembler, steps: int) -> list[Sample]:
    """Queries and passages of a few rows as training sees them, row by row.

    Of each kind of batch the first two that have a text in a language that is switched, else the first two; of each batch the
    first three rows with a switched word, filled up with the first ones. So they show what switching does, not how often.

    Args:
        assemble: of the run.
        steps: batches of the run; the first 400 are searched.
    """
    samples = []
    for step in _chosen_steps(assemble, min(steps, _SEARCHED)):
        plan, queries, passages = assemble.switched_texts(step)
        for row in _chosen_rows(queries, passages):
            name = f"step {step}, {plan.kind}, row {row}"
            samples.append(Sample(f"{name}, query", plan.query_lang[row], queries[row]))
            samples.append(Sample(f"{name}, passage", plan.passage_lang[row], passages[row]))
    return samples


def _chosen_steps(assemble: Assembler, steps: int) -> list[int]:
    fitting: dict[str, list[int]] = defaultdict(list)
    others: dict[str, list[int]] = defaultdict(list)
    for step in range(steps):
        plan = assemble.plan.step(step)
        (fitting if _may_switch(assemble, plan) else others)[plan.kind].append(step)
    return sorted(step for kind in {*fitting, *others} for step in (fitting[kind] + others[kind])[:_BATCHES])


def _may_switch(assemble: Assembler, plan: StepPlan) -> bool:
    return any(assemble.may_switch(lang, "query") for lang in set(plan.query_lang)) or any(
        assemble.may_switch(lang, "passage") for lang in set(plan.passage_lang)
    )


def _chosen_rows(queries: list[Switched], passages: list[Switched]) -> list[int]:
    rows = range(len(queries))
    return sorted(sorted(rows, key=lambda row: queries[row].switched + passages[row].switched == 0)[:_ROWS])

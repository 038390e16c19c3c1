"""The content of evaluation.json: all numbers with the settings, versions and hardware they were made with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xlret.config import Settings
from xlret.evaluation import report
from xlret.evaluation.benchmarks import Benchmark
from xlret.evaluation.bias import mean_rank_correlation
from xlret.evaluation.evaluate import POOLED, Evaluation
from xlret.evaluation.metrics import mean
from xlret.evaluation.sets import RetrievalSet
from xlret.provenance import hardware, versions

CORRELATED = 100
"""The depth of mean rank correlation."""
_PACKAGES = ("xlret", "torch", "transformers", "tokenizers", "numpy")


def summary(
    encoder: str,
    settings: Settings,
    about: Benchmark | None,
    done: Sequence[tuple[RetrievalSet, Evaluation]],
    *,
    held_out: Sequence[str],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """All numbers of an evaluation; those at the top are means over the sets.

    Args:
        encoder: what was evaluated.
        settings: how.
        about: the benchmark; None for a corpus.
        done: retrieval sets and their evaluations.
        held_out: languages to be given by themselves; none leaves that out.
        seconds: wall time of each part.
    """
    found = [one for _, one in done]
    names = ("mo", "cr", "mul", "micro", "rank_distance")
    return {
        "encoder": encoder,
        "settings": settings.model_dump(mode="json"),
        **{name: mean(np.array([getattr(one, name) for one in found])) for name in names},
        **{name: mean(np.array([one.pooled[name] for one in found])) for name in POOLED},
        "held_out": {one.name: one.rows_of(held_out) for one in found} if held_out else None,
        "sets": [report.as_json(one) | _correlation(of, one) for of, one in done],
        "benchmark": about and {key: getattr(about, key) for key in ("name", "metric", "licence", "source", "revision")},
        "seconds": dict(seconds),
        "versions": versions(_PACKAGES),
        "hardware": hardware(),
    }


def _correlation(of: RetrievalSet, one: Evaluation) -> dict[str, float]:
    """MRC@100 where it is known which queries are the same question."""
    top = one.retrieved.top_QK[:, :CORRELATED]
    return {f"mrc@{CORRELATED}": mean_rank_correlation(top, of.query_groups, of.query_langs)} if of.query_groups else {}

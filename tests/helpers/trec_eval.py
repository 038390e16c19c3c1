"""trec_eval, as `pytrec_eval` brings it: files read by its own reader, and what it calls our numbers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytrec_eval

NAMES = {"mul": "map", "ndcg@10": "ndcg_cut_10", "recall@1": "recall_1", "recall@10": "recall_10", "recall@100": "recall_100"}
"""Our name -> trec_eval's."""

Values = Mapping[str, Mapping[str, float]]
"""Query id -> our name -> trec_eval's value."""


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Query id -> passage id -> score."""
    with open(path, encoding="utf-8") as file:
        return dict(pytrec_eval.parse_run(file))


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> passage id -> grade."""
    with open(path, encoding="utf-8") as file:
        return dict(pytrec_eval.parse_qrel(file))


def evaluated(qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]) -> Values:
    """The measures of `NAMES`, and `mrr@10`, for each query."""
    measures = {"map", "recip_rank", "ndcg_cut.10", "recall.1,10,100"}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    return {
        query_id: {ours: row[name] for ours, name in NAMES.items()}
        | {"mrr@10": row["recip_rank"] if row["recip_rank"] >= 0.1 else 0.0}
        for query_id, row in values.items()
    }


def mean(values: Values, name: str) -> float:
    """The mean over queries that trec_eval calls `all`."""
    return float(np.mean([row[name] for row in values.values()]))

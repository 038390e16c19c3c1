"""`rankings.jsonl`: what the best passages of some queries say, for people to read side by side."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.evaluation.comparison import System, column_of
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.sets import RetrievalSet
from xlret.files import write_text

RANKINGS = "rankings.jsonl"
QUERIES_PER_LANGUAGE, PASSAGES, CHARACTERS = 25, 5, 300
"""The first so many queries of each language that have an answer, so many passages of each, so much of a text."""


def write_rankings(path: Path, done: Sequence[tuple[RetrievalSet, Evaluation]]) -> None:
    """Writes a line a query: `id`, `lang`, `text`, and `passages` with `rank`, `id`, `lang`, `text`, `relevant`."""
    lines = [json.dumps(row, ensure_ascii=False) for pair in done for row in shown_rows(*pair)]
    write_text(path, "".join(line + "\n" for line in lines))


def read_rankings(path: Path) -> dict[str, dict[str, Any]]:
    """Query id -> its line; empty where there is no such file."""
    if not path.is_file() or not path.stat().st_size:
        return {}
    return {record["id"]: record for _, record in read_records(path, ReadingReport())}


def side_by_side(rankings: Mapping[str, Mapping[str, Any]], systems: Sequence[System]) -> list[dict[str, Any]]:
    """Queries that every system has shown: text, language, and each system's AP and passages.

    Args:
        rankings: system -> query id -> its line of `rankings.jsonl`.
        systems: their values.
    """
    shown = [set(by_query) for by_query in rankings.values()]
    first = next(iter(rankings.values()), {})
    runs = {system.name: system.runs[0].get(column_of("mul"), {}) for system in systems}
    return [
        {
            "id": query_id,
            "lang": query["lang"],
            "text": query["text"],
            "rankings": {
                name: (runs[name].get(query_id, nan), by_query[query_id]["passages"]) for name, by_query in rankings.items()
            },
        }
        for query_id, query in first.items()
        if all(query_id in ids for ids in shown)
    ]


def shown_rows(retrieval_set: RetrievalSet, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The lines of `rankings.jsonl` of one set."""
    shown: Counter[str] = Counter()
    for row, lang in enumerate(retrieval_set.query_langs):
        relevant = set(retrieval_set.relevant[row].tolist())
        if shown[lang] == QUERIES_PER_LANGUAGE or not relevant:
            continue
        shown[lang] += 1
        best = [passage for passage in evaluation.retrieved.top_QK[row, :PASSAGES].tolist() if passage >= 0]
        yield {
            "id": f"{retrieval_set.name} {retrieval_set.query_ids[row]}",
            "lang": lang,
            "text": _cut(retrieval_set.query_texts[row]),
            "passages": [
                {
                    "rank": rank,
                    "id": retrieval_set.passage_ids[passage],
                    "lang": retrieval_set.passage_langs[passage],
                    "text": _cut(retrieval_set.passage_texts[passage]),
                    "relevant": passage in relevant,
                }
                for rank, passage in enumerate(best, 1)
            ],
        }


def _cut(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole if len(whole) <= CHARACTERS else whole[:CHARACTERS] + " …"

"""The same queries and passages as other pools: each language alone, each pair of languages, or everything together."""

from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Literal

import numpy as np

from xlret.data.texts_on_disk import hold_texts
from xlret.errors import UserError
from xlret.evaluation.sets import Judgements, RetrievalSet, relevant_of

Pool = Literal["mono", "cross", "pooled"]


def as_pools(sets: Iterable[RetrievalSet], pool: Pool) -> Iterator[RetrievalSet]:
    """The sets of a benchmark as other pools.

    - `mono`: for each language its queries over its passages;
    - `cross`: for each ordered pair of languages the queries of one over the passages of the other;
    - `pooled`: all queries over all passages in one set.

    Parts without a judged pair are left out; so are, within a part, queries of which nothing in it is judged.

    Raises:
        UserError: no part is left.
    """
    if pool == "pooled":
        yield merged(list(sets))
        return
    number = 0
    for whole in sets:
        for query_lang in whole.languages:
            for passage_lang in whole.languages:
                if (query_lang == passage_lang) == (pool == "mono"):
                    part = part_of(whole, query_lang, passage_lang)
                    if part is not None:
                        number += 1
                        yield part
    if not number:
        raise UserError(f"no query has a judged passage for pool {pool}; choose another pool, or more languages")


def part_of(whole: RetrievalSet, query_lang: str, passage_lang: str) -> RetrievalSet | None:
    """The queries of one language over the passages of one language; None where no pair of them is judged."""
    passages = [index for index, lang in enumerate(whole.passage_langs) if lang == passage_lang]
    index_of = np.full(len(whole.passage_ids), -1, np.int64)
    index_of[passages] = np.arange(len(passages))
    judged = {}
    for row, (lang, query) in enumerate(zip(whole.query_langs, whole.judged, strict=True)):
        if lang == query_lang:
            kept = index_of[query.passages] >= 0
            if kept.any():
                judged[row] = Judgements(index_of[query.passages[kept]], query.grades[kept])
    if not judged:
        return None
    left_out = dict(whole.left_out)
    unjudged = whole.query_langs.count(query_lang) - len(judged)
    if unjudged:
        left_out[f"queries without a judged passage in {passage_lang}"] = unjudged
    return RetrievalSet(
        f"{whole.name}/{query_lang}-{passage_lang}",
        tuple(sorted({query_lang, passage_lang})),
        [whole.query_ids[row] for row in judged],
        [query_lang] * len(judged),
        [whole.query_texts[row] for row in judged],
        [whole.passage_ids[index] for index in passages],
        [passage_lang] * len(passages),
        hold_texts(compress(whole.passage_texts, (lang == passage_lang for lang in whole.passage_langs))),
        relevant_of(judged.values()),
        [whole.query_groups[row] for row in judged] if whole.query_groups else [],
        left_out,
        whole.caution,
        whole.read_from,
        list(judged.values()),
        candidates=[index_of[rows][index_of[rows] >= 0] for rows in (whole.candidates[row] for row in judged)]
        if whole.candidates
        else [],
    )


def merged(sets: list[RetrievalSet]) -> RetrievalSet:
    """Several sets as one pool; the ids of each must be its own.

    Raises:
        UserError: no set, or two with a query or passage of the same id.
    """
    if len(sets) == 1:
        return sets[0]
    if not sets:
        raise UserError("there is no set to put into one pool")
    judgements, shift = [], 0
    left_out: dict[str, int] = {}
    for each in sets:
        judgements += [Judgements(query.passages + shift, query.grades) for query in each.judged]
        shift += len(each.passage_ids)
        for reason, count in each.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    grouped = all(each.query_groups for each in sets)
    try:
        return RetrievalSet(
            sets[0].name.split("/")[0],
            tuple(sorted({lang for each in sets for lang in each.languages})),
            [query_id for each in sets for query_id in each.query_ids],
            [lang for each in sets for lang in each.query_langs],
            [text for each in sets for text in each.query_texts],
            [passage_id for each in sets for passage_id in each.passage_ids],
            [lang for each in sets for lang in each.passage_langs],
            hold_texts(text for each in sets for text in each.passage_texts),
            relevant_of(judgements),
            [group for each in sets for group in each.query_groups] if grouped else [],
            left_out,
            _said(each.caution for each in sets),
            _said(each.read_from for each in sets),
            judgements,
        )
    except ValueError as error:
        raise UserError(f"the sets of {sets[0].name.split('/')[0]} cannot be one pool: {error}") from error


def _said(sentences: Iterable[str | None]) -> str | None:
    """What the sets say, each sentence once; None where none says anything."""
    return "; ".join(dict.fromkeys(sentence for sentence in sentences if sentence)) or None

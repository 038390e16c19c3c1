"""A retrieval set whose queries are code-switched by our own switcher, the same for everybody: seed 0, and ids as keys."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher

Policy = Literal["bl", "ml"]
_SEED = 0


def query_switcher(lexicon: Path, policy: Policy, p: float, languages: tuple[str, ...] | None) -> Switcher:
    """What switches the queries; `languages` are the targets, all of the lexicon by default.

    Raises:
        UserError: no such lexicon or language.
    """
    settings = SwitchSettings(policy=policy, lexicons=(lexicon,), languages=languages, p=p, side="query")
    return Switcher(Lexicon.load([lexicon]), settings)


def with_switched_queries(retrieval_set: RetrievalSet, switcher: Switcher) -> RetrievalSet:
    """The set with every query switched; passages, ids, languages and relevance stay. What was switched is in `caution`.

    A query is switched by its id and text alone, so that a subset of the set has the same queries. Queries in a language
    that is no source of the lexicon stay as they are, and are counted.

    Raises:
        UserError: no word of any query was switched.
    """
    switched = [
        switcher.switch(text, lang, (_SEED, "evaluation", query_id), "query")
        for text, lang, query_id in zip(
            retrieval_set.query_texts, retrieval_set.query_langs, retrieval_set.query_ids, strict=True
        )
    ]
    words, changed = sum(each.words for each in switched), sum(each.switched for each in switched)
    if not changed:
        sources = ", ".join(switcher.lexicon.sources)
        raise UserError(f"{retrieval_set.name}: no word of a query was switched; the lexicon is from {sources}")
    untouched = sum(not each.switched for each in switched)
    said = f"queries are code-switched: {changed:,} of {words:,} words, none in {untouched:,} of {len(switched):,} queries"
    return replace(
        retrieval_set,
        query_texts=[each.text for each in switched],
        caution=said if retrieval_set.caution is None else f"{retrieval_set.caution}; {said}",
    )

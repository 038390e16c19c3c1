"""Translate-Test: a retrieval set whose queries and passages are all word-by-word English (arXiv 2305.05295's baseline)."""

from collections.abc import Sequence
from dataclasses import replace

from xlret.evaluation.sets import RetrievalSet
from xlret.switch.translate import WordTranslator


def translated(retrieval_set: RetrievalSet, translator: WordTranslator) -> RetrievalSet:
    """The set with every query and passage translated; languages, ids and relevance stay, texts in the target language too.

    Equal texts of a language are translated once. A text of which nothing is in the lexicon stays as it is.

    Raises:
        UserError: the translator has no lexicon for a language of the set.
    """
    known: dict[tuple[str, str], str] = {}

    def all_of(texts: Sequence[str], langs: list[str]) -> list[str]:
        for pair in zip(texts, langs, strict=True):
            if pair not in known:
                known[pair] = translator.translate(*pair)
        return [known[pair] for pair in zip(texts, langs, strict=True)]

    return replace(
        retrieval_set,
        query_texts=all_of(retrieval_set.query_texts, retrieval_set.query_langs),
        passage_texts=all_of(retrieval_set.passage_texts, retrieval_set.passage_langs),
    )

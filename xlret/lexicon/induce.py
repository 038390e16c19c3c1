"""Lexicons from cross-lingual word embeddings: each word's nearest neighbours in the other language."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xlret.errors import UserError
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.neighbours import Method, mutual_pairs, nearest
from xlret.lexicon.word_vectors import WordVectors
from xlret.text.case import fold


@dataclass(frozen=True)
class Precision:
    """How often the right translation is among the best candidates of a held-out dictionary's words."""

    at_1: float
    at_5: float
    words: int
    """Words of the dictionary that both have a vector and a right translation with one, over which the rates are taken."""
    coverage: float
    """Those words as a share of the dictionary's."""

    def __str__(self) -> str:
        return f"P@1 {self.at_1:.1%}  P@5 {self.at_5:.1%}  over {self.words:,} words ({self.coverage:.0%} of the dictionary)"


def induce(
    source: WordVectors,
    target: WordVectors,
    *,
    method: Method = "csls",
    top: int = 1,
    mutual: bool = False,
    min_similarity: float | None = None,
) -> list[Entry]:
    """Candidates for every source word out of one shared space, best first.

    Scores are cosines, but none is above that of the candidate before it, where CSLS ranks them otherwise.

    Args:
        source, target: unit vectors in one space (see `align.aligned`).
        method: `cosine` is nearest neighbour as the paper has it; `csls` corrects for hubs.
        top: candidates a word.
        mutual: keep only pairs that are each other's nearest: one candidate a word, so `top` must be 1.
        min_similarity: leave out candidates of a smaller cosine; pairs below 0 are always left out.

    Raises:
        UserError: as `check_candidates`, vectors of other dimensions, or FAISS is not installed.
    """
    check_candidates(top, mutual=mutual)
    if source.vectors_WD.shape[1] != target.vectors_WD.shape[1]:
        raise UserError(
            f"vectors of {source.lang} have {source.vectors_WD.shape[1]} dimensions, those of {target.lang} "
            f"{target.vectors_WD.shape[1]}; both must be of one space (vectors of other dimensions cannot be aligned either)"
        )
    if mutual:
        rows, columns_N = mutual_pairs(source.vectors_WD, target.vectors_WD, method)
        columns_NK = columns_N[:, None]
    else:
        rows = np.arange(len(source))
        columns_NK = nearest(source.vectors_WD, target.vectors_WD, top, method)[1]
    floor = max(0.0, min_similarity or 0.0)
    entries = []
    for row, columns in zip(rows.tolist(), columns_NK, strict=True):
        cosines = np.minimum(target.vectors_WD[columns] @ source.vectors_WD[row], 1.0)
        scores = np.minimum.accumulate(cosines).tolist()
        entries += [
            Entry(source.words[row], target.words[column], score)
            for column, cosine, score in zip(columns.tolist(), cosines.tolist(), scores, strict=True)
            if cosine >= floor
        ]
    return [entry for entry in entries if entry.score >= 0]


def check_candidates(top: int, *, mutual: bool) -> None:
    """Checks arguments of `induce`, before much work goes into what it needs.

    Raises:
        UserError: `top` is below 1, or above 1 with `mutual`.
    """
    if top < 1:
        raise UserError(f"top is {top}; at least one candidate a word is needed")
    if mutual and top > 1:
        raise UserError(f"top is {top}, but mutual keeps one candidate a word; leave one of the two out")


def precision(source: WordVectors, target: WordVectors, dictionary: Lexicon, method: Method = "csls") -> Precision:
    """Precision@1 and @5 of nearest neighbours against a dictionary that was not used to align.

    Words without a vector count as not asked, as in MUSE's evaluation.

    Raises:
        UserError: the dictionary has no such pairs, or FAISS is not installed.
    """
    columns = {word: n for n, word in enumerate(target.words)}
    rows = {word: n for n, word in enumerate(source.words)}
    right = _right_columns(dictionary, source.lang, target.lang, columns)
    asked = [word for word in right if word in rows]
    total = len({word for word, *_ in _entries(dictionary, source.lang, target.lang)})
    if not asked:
        return Precision(0.0, 0.0, 0, 0.0)
    # Hubs are measured over all source words, so all are searched, not only those asked for.
    found_NK = nearest(source.vectors_WD, target.vectors_WD, 5, method)[1]
    hits = np.array([[column in right[word] for column in found_NK[rows[word]].tolist()] for word in asked])
    return Precision(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()), len(asked), len(asked) / total)


def _right_columns(dictionary: Lexicon, source: str, target: str, columns: Mapping[str, int]) -> dict[str, set[int]]:
    right: dict[str, set[int]] = {}
    for word, translation, _ in _entries(dictionary, source, target):
        column = columns.get(fold(translation, target))
        if column is not None:
            right.setdefault(word, set()).add(column)
    return right


def seed_pairs(dictionary: Lexicon, source: str, target: str) -> Sequence[tuple[str, str]]:
    """All pairs of a dictionary in folded form, to align two spaces with."""
    return [(word, fold(translation, target)) for word, translation, _ in _entries(dictionary, source, target)]


def _entries(dictionary: Lexicon, source: str, target: str) -> Iterator[Entry]:
    table = dictionary.tables.get(source)
    if table is None or target not in table.targets:
        raise UserError(f"the dictionary has no pairs from {source} into {target}")
    return table.entries(target)

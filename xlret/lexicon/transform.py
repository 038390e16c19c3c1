"""Lexicons from lexicons: merged, turned round, through a pivot language, filtered. Each gives a new one in memory."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from xlret.errors import UserError
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Candidates, Lexicon, Table
from xlret.text.case import fold


def merged(lexicons: Sequence[Lexicon]) -> Lexicon:
    """One lexicon with the entries of all; of equal pairs the best score counts, the first lexicon's candidates come first.

    Raises:
        UserError: no lexicon is given.
    """
    pairs = {(source, target) for lexicon in lexicons for source, table in lexicon.tables.items() for target in table.targets}
    return Lexicon.from_entries({(source, target): _of_all(lexicons, source, target) for source, target in sorted(pairs)})


def inverted(lexicon: Lexicon) -> Lexicon:
    """From en->xx to xx->en, with the scores kept; where they are equal, the word that its list had first comes first.

    Word lists have the commonest words first, so German `fluss` becomes river before flow, and `haus` house before the
    `haus` that a list of English words holds too. A word written alike gets no place for that, neither the first (`haus`)
    nor the last: film, hand and system would go for movie, palm and systems. `filtered` can leave all such pairs out.

    >>> lexicon = Lexicon.from_entries({("en", "de"): [Entry("dog", "Hund", 1.0)]})
    >>> inverted(lexicon).translations("Hund", "de", "en").texts
    ('dog',)
    """
    return Lexicon.from_entries(
        {(target, source): _turned(table, target) for source, table in lexicon.tables.items() for target in table.targets}
    )


def pivoted(lexicon: Lexicon, pairs: Sequence[tuple[str, str]] | None = None, *, min_score: float = 0.0) -> Lexicon:
    """From en->xx and en->yy to xx->yy: translations by way of the pivot word, scored by P(y | x) = sum_e P(e | x) P(y | e).

    A word's candidates share its probability by their scores, so a pivot word with many meanings counts for little.
    Words that meet through several pivot words rise.

    Args:
        lexicon: with one source language, the pivot.
        pairs: which (x, y) to make; all ordered pairs of its target languages by default.
        min_score: candidates with a smaller P(y | x) are left out.

    Raises:
        UserError: several source languages, a language that is not there, or nothing left.
    """
    table = lexicon.tables[lexicon.source]
    if pairs is None:
        pairs = [(left, right) for left in table.targets for right in table.targets if left != right]
    for lang in sorted({lang for pair in pairs for lang in pair} - set(table.targets)):
        raise UserError(f"no lexicon from {table.source} into {lang} to pivot through; there is {', '.join(table.targets)}")
    return Lexicon.from_entries({pair: _through(table, *pair, min_score) for pair in pairs})


def filtered(
    lexicon: Lexicon,
    *,
    min_score: float = 0.0,
    top: int | None = None,
    drop_identical: bool = False,
    drop_numbers: bool = False,
    longest: float | None = None,
) -> Lexicon:
    """The entries that pass all tests.

    Args:
        lexicon: any.
        min_score: candidates need at least this score.
        top: at most so many candidates a word, best first, of those that pass.
        drop_identical: leave out words that translate to themselves (letter case aside).
        drop_numbers: leave out words and translations with a digit.
        longest: leave out candidates more than so many times as long as the shortest of their word, in characters.

    Raises:
        UserError: nothing is left, or `top` is below 1.
    """
    if top is not None and top < 1:
        raise UserError(f"top is {top}; at least one candidate a word must stay")

    def passing(table: Table, target: str) -> Iterator[Entry]:
        for word, candidates in words_of(table, target):
            limit = float("inf") if longest is None else longest * min(map(len, candidates.texts))
            kept = (
                Entry(word, text, score)
                for text, score in zip(candidates.texts, candidates.scores, strict=True)
                if score >= min_score
                and len(text) <= limit
                and not (drop_identical and fold(text, table.source) == word)
                and not (drop_numbers and _has_digit(word + text))
            )
            yield from list(kept)[:top]

    return Lexicon.from_entries(
        {(source, target): passing(table, target) for source, table in lexicon.tables.items() for target in table.targets}
    )


def words_of(table: Table, target: str) -> Iterator[tuple[str, Candidates]]:
    """The words that have a translation into `target`, in the order they were given, with their candidates."""
    for row in table.rows(target):
        yield table.word(row), table.candidates(row, target)


def _of_all(lexicons: Sequence[Lexicon], source: str, target: str) -> Iterator[Entry]:
    for lexicon in lexicons:
        table = lexicon.tables.get(source)
        if table is not None and target in table.targets:
            yield from table.entries(target)


def _turned(table: Table, target: str) -> Iterator[Entry]:
    for word, translation, score in table.entries(target):
        yield Entry(translation, word, score)


def _through(table: Table, source: str, target: str, min_score: float) -> Iterator[Entry]:
    mass: dict[str, float] = defaultdict(float)  # of a word of `source`: the sum of scores over its pivot words
    for _, translation, score in table.entries(source):
        mass[fold(translation, source)] += score
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for row in table.rows(source):  # the commonest pivot word first, for words whose shares are equal
        left, right = table.candidates(row, source), table.candidates(row, target)
        total = sum(right.scores)
        if total <= 0:
            continue
        for text, score in zip(left.texts, left.scores, strict=True):
            word = fold(text, source)
            for other, other_score in zip(right.texts, right.scores, strict=True):
                shares[word, other] += score / mass[word] * other_score / total if mass[word] > 0 else 0.0
    yield from (Entry(word, other, share) for (word, other), share in shares.items() if share > 0 and share >= min_score)


def _has_digit(text: str) -> bool:
    return any(unicodedata.category(sign)[0] == "N" for sign in text)

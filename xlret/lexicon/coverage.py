"""How large a lexicon is, and how much of a corpus it covers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from xlret.errors import UserError
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.transform import words_of
from xlret.text.case import fold
from xlret.text.segment import split_words


@dataclass(frozen=True)
class Size:
    """Entries of one language pair."""

    source: str
    target: str
    words: int
    pairs: int
    identical: float
    """Share of pairs in which the word translates to itself."""

    @property
    def candidates_per_word(self) -> float:
        """Mean number of candidates of a word that has any."""
        return self.pairs / self.words if self.words else 0.0


@dataclass(frozen=True)
class Coverage:
    """What share of a corpus's words a lexicon can switch into one language."""

    target: str
    types: float
    """Share of the different words that have a translation."""
    tokens: float
    """Share of running words that have one."""
    switchable: float
    """Share of running words that have one other than themselves."""


def sizes(lexicon: Lexicon) -> list[Size]:
    """One `Size` per language pair, sorted."""
    measured = []
    for source in lexicon.sources:
        table = lexicon.tables[source]
        for target in sorted(table.targets):
            words = pairs = same = 0
            for word, candidates in words_of(table, target):
                words += 1
                pairs += len(candidates.texts)
                same += sum(fold(text, source) == word for text in candidates.texts)
            measured.append(Size(source, target, words, pairs, same / pairs if pairs else 0.0))
    return measured


def coverage(lexicon: Lexicon, texts: Iterable[str], lang: str) -> list[Coverage]:
    """Coverage of texts in `lang` per target language; reads the texts once, and holds their different words.

    Raises:
        UserError: the lexicon has no source for `lang`, or the texts have no words.
    """
    table = lexicon.table(lang)
    if table is None:
        raise UserError(f"no lexicon from {lang}; it has {', '.join(lexicon.sources)}")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(fold(word, table.source) for word in split_words(text, lang)[1::2])
    total = counts.total()
    if not total:
        raise UserError(f"the texts in {lang} hold no word to look up")
    rows = {word: table.row_of(word) for word in counts}
    covered_by = []
    for target in sorted(table.targets):
        has = {word: table.candidates(row, target).texts for word, row in rows.items() if row >= 0}
        covered = [word for word, texts_of in has.items() if texts_of]
        other = [word for word in covered if any(fold(text, table.source) != word for text in has[word])]
        tokens, switchable = (sum(counts[word] for word in words) / total for words in (covered, other))
        covered_by.append(Coverage(target, len(covered) / len(counts), tokens, switchable))
    return covered_by

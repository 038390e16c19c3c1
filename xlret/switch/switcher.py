"""Artificial code-switching: words of a text replaced by their translations, as a pure function of text and key.

Policies of Litschko, Artemova and Plank, "Boosting zero-shot cross-lingual retrieval by training on artificially
code-switched data" (arXiv 2305.05295): BL-CS, ML-CS and Wiki-CS, and ML-CS with one language a sentence.
"""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from xlret.errors import UserError
from xlret.keys import generator, key_of
from xlret.lexicon.lexicon import Lexicon
from xlret.shapes import FloatArray, IntArray
from xlret.switch.settings import SwitchSettings
from xlret.switch.spacing import close_up, open_up
from xlret.switch.switched import Change, Switched
from xlret.switch.units import Match, Unit, sentence_starts
from xlret.switch.vocabulary import Vocabulary
from xlret.text.languages import written_without_spaces
from xlret.text.segment import require_segmenter
from xlret.text.sides import Side

Key = tuple[int | str, ...]

_LONGEST_TITLE = 3
_WORD = 2**64 - 1
_IS_WORD, _TEXT = attrgetter("is_word"), attrgetter("text")


class Switcher:
    """Switches texts by settings and a lexicon. Keeps the words that it has met; one a process is enough.

    Raises:
        UserError: a target language that the lexicon lacks, policy `none`, or a source language without spaces
            and PyICU is not installed.
    """

    def __init__(self, lexicon: Lexicon, settings: SwitchSettings) -> None:
        if settings.policy == "none":
            raise UserError("policy none switches nothing; choose bl, ml, ml-sentence or wiki")
        wanted = settings.languages or lexicon.targets
        self._languages: dict[Side | None, tuple[str, ...]] = {
            None: wanted,
            "query": settings.query_languages or wanted,
            "passage": settings.passage_languages or wanted,
        }
        for lang in sorted({lang for languages in self._languages.values() for lang in languages}):
            if lang not in lexicon.targets:
                raise UserError(f"no lexicon into {lang}; it has {', '.join(lexicon.targets)}")
        for source in lexicon.sources:
            require_segmenter(source)
        self.lexicon = lexicon
        self.settings = settings
        self._vocabularies: dict[tuple[str, Side | None], Vocabulary | None] = {}
        self._titles = settings.policy == "wiki"
        self._generator = np.random.Generator(np.random.Philox(key=0))
        self._fresh = self._generator.bit_generator.state
        self._lock = threading.Lock()  # around the one generator, which takes a new key for each text
        self._p_low, self._p_high = settings.p if isinstance(settings.p, tuple) else (settings.p, settings.p)

    def switch(self, text: str, lang: str, key: Key, side: Side | None = None) -> Switched:
        """One text with some of its words in other languages; about a microsecond a word.

        Letter case is carried over; punctuation, numbers, URLs, code and words of mixed case stay. Spaces are added or
        taken away where words meet of languages of which one has spaces between words and the other none.

        Args:
            text: any string.
            lang: its language; where the lexicon has no such source, the text comes back unchanged.
            key: what the random choices depend on, and nothing else.
            side: takes the target languages of that side.
        """
        vocabulary = self._vocabulary(lang, side)
        if vocabulary is None or not text:
            return Switched(text, 0, 0)
        units = vocabulary.units(text)
        words, count = sum(map(_IS_WORD, units)), len(units)
        draws = self._draws(key, 3 + 3 * count)  # three for the text as a whole, then three rows of one a unit
        chance = self._p_low + draws[0] * (self._p_high - self._p_low)
        hits = (draws[3 : 3 + count] < chance).nonzero()[0]
        hits, numbers = self._drawn_languages(units, draws, hits, len(vocabulary.languages))
        after = list(map(_TEXT, units))
        replace = self._replace_titles if self._titles else self._replace_words
        changes = replace(units, after, vocabulary, hits.tolist(), numbers.tolist(), draws[3 + 2 * count + hits].tolist())
        if not changes:
            return Switched(text, words, 0)
        if vocabulary.has_unspaced:
            close_up(units, after, changes)
        if written_without_spaces(lang):
            open_up(units, after, changes)
        switched = (
            sum(sum(map(_IS_WORD, units[first : last + 1])) for first, last, *_ in changes) if self._titles else len(changes)
        )
        return Switched("".join(after)[:-1], words, switched, units, after, changes)

    def may_switch(self, lang: str, side: Side) -> bool:
        """Whether texts of that language are switched on that side: the settings say so, and there is a lexicon."""
        return self.settings.side in (side, "both") and self._vocabulary(lang, side) is not None

    def switch_pairs(
        self,
        queries: Sequence[str],
        query_langs: Sequence[str],
        passages: Sequence[str],
        passage_langs: Sequence[str],
        key: Key,
        first_row: int = 0,
    ) -> tuple[list[Switched], list[Switched]]:
        """The rows of a batch, or of a worker's share of it.

        Args:
            queries, query_langs, passages, passage_langs: one of each per row.
            key: of the batch; row i is drawn by key + (first_row + i, side).
            first_row: the number of the first row in the whole batch: the outcome does not depend on how it is shared out.

        Returns:
            Queries and passages. A side or row that settings leave alone has no words.
        """
        rows = [(*key, first_row + row) for row in range(len(queries))]
        chosen = [self._is_chosen(row) for row in rows]

        def switched(side: Side, texts: Sequence[str], langs: Sequence[str]) -> list[Switched]:
            if self.settings.side not in (side, "both"):
                return [Switched(text, 0, 0) for text in texts]
            return [
                self.switch(text, lang, (*row, side), side) if is_chosen else Switched(text, 0, 0)
                for text, lang, row, is_chosen in zip(texts, langs, rows, chosen, strict=True)
            ]

        return switched("query", queries, query_langs), switched("passage", passages, passage_langs)

    def switch_negative(self, text: str, lang: str, key: Key, row: int, number: int) -> Switched:
        """Hard negative `number` of a row, switched where the row's passage is: a mix of languages must not give it away.

        Args:
            text: the negative.
            lang: its language.
            key: of the batch, as for `switch_pairs`.
            row: the row's number in the whole batch.
            number: of the negative among those of its row.
        """
        if self.settings.side == "query" or not self._is_chosen((*key, row)):
            return Switched(text, 0, 0)
        return self.switch(text, lang, (*key, row, "negative", number), "passage")

    def _is_chosen(self, row: Key) -> bool:
        """Whether the row of this key is switched at all."""
        return self.settings.rows >= 1 or bool(generator(*row, "row").random() < self.settings.rows)

    def _vocabulary(self, lang: str, side: Side | None) -> Vocabulary | None:
        if (lang, side) not in self._vocabularies:
            table = self.lexicon.table(lang)
            languages = tuple(target for target in self._languages[side] if table is not None and target in table.targets)
            vocabulary = None
            if table is not None and languages:
                alike = (known for known in self._vocabularies.values() if known and known.serves(table, languages))
                vocabulary = next(alike, None) or Vocabulary(table, languages, self.settings.choice)
            self._vocabularies[lang, side] = vocabulary
        return self._vocabularies[lang, side]

    def _drawn_languages(self, units: list[Unit], draws: FloatArray, hits: IntArray, count: int) -> tuple[IntArray, IntArray]:
        """The hits that leave their language, and the number of the language that each goes to."""
        policy, keep = self.settings.policy, self.settings.keep_english
        if keep is None:
            keep = 1 / (count + 1) if policy == "wiki" else 0.0
        if policy != "ml-sentence" and draws[1] < keep:
            return hits[:0], hits[:0]
        own = draws[3 + len(units) :]
        if policy == "ml":
            return hits, (own[hits] * count).astype(np.int64)
        if policy != "ml-sentence":
            return hits, np.full(len(hits), int(draws[2] * count), np.int64)
        of_sentence = own[np.array(sentence_starts(units), dtype=np.int64)[hits]]
        moved = of_sentence >= keep
        numbers = ((of_sentence[moved] - keep) / (1 - keep) * count).astype(np.int64) if keep < 1 else hits[:0]
        return hits[moved], np.minimum(numbers, count - 1)

    def _replace_words(
        self,
        units: list[Unit],
        after: list[str],
        vocabulary: Vocabulary,
        hits: list[int],
        numbers: list[int],
        draws: list[float],
    ) -> list[Change]:
        changes: list[Change] = []
        languages = vocabulary.languages
        for hit, unit, number, draw in zip(hits, map(units.__getitem__, hits), numbers, draws, strict=True):
            ready = unit.ready
            if ready is not None:
                texts, thresholds = ready[number] or vocabulary.ready(unit, number)
                new = _drawn(texts, thresholds, draw) if texts else None
                if new is not None:
                    after[hit] = new
                    changes.append((hit, hit, languages[number], False))
        return changes

    def _replace_titles(
        self,
        units: list[Unit],
        after: list[str],
        vocabulary: Vocabulary,
        hits: list[int],
        numbers: list[int],
        draws: list[float],
    ) -> list[Change]:
        """From left to right the longest title that begins at a word and that the text's one language has; a title in hand
        is passed over whole."""
        draw_of = dict(zip(hits, draws, strict=True))
        changes: list[Change] = []
        first = 0
        while draw_of and first < len(units):
            number = numbers[0]  # titles are switched a text at a time: all hits have one language
            last, match = _longest_title(units, first, vocabulary, number)
            if match is not None and first in draw_of:
                texts, thresholds = vocabulary.candidates(match, number)
                new = _drawn(texts, thresholds, draw_of[first]) if texts else None
                if new is not None:
                    before, behind = units[first].text[: units[first].lead], units[last].text
                    behind = behind[len(behind) - units[last].trail :]
                    after[first : last + 1] = [before + new + behind] + [""] * (last - first)
                    changes.append((first, last, vocabulary.languages[number], False))
            first = last + 1
        return changes

    def _draws(self, key: Key, count: int) -> FloatArray:
        """What `keys.generator(*key).random(count)` gives, without making a generator each time."""
        whole = key_of(*key)
        with self._lock:
            state = self._fresh
            state["state"]["key"][:] = (whole & _WORD, whole >> 64)
            self._generator.bit_generator.state = state
            return self._generator.random(count)


def _drawn(texts: Sequence[str | None], thresholds: Sequence[float] | None, draw: float) -> str | None:
    if thresholds is None:
        return texts[int(draw * len(texts))]
    return texts[bisect_right(thresholds, draw, hi=len(texts) - 1)]


def _longest_title(units: list[Unit], first: int, vocabulary: Vocabulary, number: int) -> tuple[int, Match | None]:
    """The last unit of the longest title that begins with this unit and has a translation into `languages[number]`, and
    its entry; of a single word with or without one."""
    unit = units[first]
    if not unit.is_word or not vocabulary.starts_longer(unit.word):
        return first, unit.match
    ends = []
    for position in range(first + 1, len(units)):
        if units[position].is_word:
            ends.append(position)
        if len(ends) == _LONGEST_TITLE - 1 or not (units[position].is_word or units[position].text.isspace()):
            break
    for last in reversed(ends):
        text = "".join(unit.text for unit in units[first : last + 1])
        match = vocabulary.find(text[unit.lead : len(text) - units[last].trail])
        if match is not None and vocabulary.candidates(match, number)[0]:
            return last, match
    return first, unit.match

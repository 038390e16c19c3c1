"""Whether texts stand in other texts, told by runs of words: no evaluation text may be in what is trained on.

A text is cut into units: words in lower case and, where words are written without spaces, single letters with their marks. Of
a text that is long enough, the share of its runs of units is counted that stand anywhere in the other texts (70 % of runs of
eight words is the measure of Chowdhery et al., 2022, *PaLM: Scaling Language Modeling with Pathways*). A shorter text stands
in the others only where one of them has the same units from end to end, and one of a unit or two, which could be anybody's, is
not looked for. What language a text is said to be in is no matter.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from xlret.shapes import IntArray

RUN = 8
"""Units of a run. Of texts that are mostly single letters twice as many, which say about as much."""
SHARE = 0.7
"""A text stands in others from this share of its runs on."""
_LEAST = 3
"""Units of the shortest text that is looked for."""

Hashes = NDArray[np.uint64]

_LETTERS = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))
"""Thai and Lao, Burmese, Khmer, kana, Han: each letter is a unit."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_AT_ONCE = 10_000
_NONE = np.iinfo(np.int64).max


class _Signs(dict[int, str]):
    """For `str.translate`: what stands between units becomes a space; a letter that is a unit gets one before it."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kind = unicodedata.category(sign)[0]
        if kind not in "LMN":
            self[code] = " "
        elif kind == "L" and _is_letter(sign):
            self[code] = f" {sign}"
        else:
            self[code] = sign
        return self[code]


_SIGNS = _Signs()


def _is_letter(sign: str) -> bool:
    return any(first <= ord(sign) <= last for first, last in _LETTERS)


def units(text: str) -> list[str]:
    """The units of a text; case, width, punctuation and white space are no matter.

    >>> units("Don't PANIC, 3 times!"), units("東京へ ＧＯ")
    (['don', 't', 'panic', '3', 'times'], ['東', '京', 'へ', 'go'])
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_SIGNS).split()


@dataclass(frozen=True)
class Overlap:
    """A text that stands in others."""

    text: int
    """Which of the texts."""
    share: float
    """Of its runs, 1 for a text shorter than a run."""
    other: int
    """The first of the other texts, in the order they were looked through, that has some of it."""


class OverlapIndex:
    """Texts which others are looked through for, a part of these at a time.

    Memory: about 50 bytes a word of the texts, and the vocabulary of both. Cost: about 1 s for 10,000 short texts of either.

    >>> index = OverlapIndex(["How many people live in the city of Oslo today?", "Thank you all."])
    >>> index.look_through(["thank you all", "How many people live in the city of Bergen today?"])
    >>> index.overlaps(share=0.3)
    [Overlap(text=0, share=0.3333333333333333, other=1), Overlap(text=1, share=1.0, other=0)]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._vocabulary: dict[str, int] = {}
        self._texts = len(texts)
        parts = [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
        for start, part in _parts(texts):
            cut = _CutTexts(part, self._vocabulary)
            run_T = np.where(2 * cut.letters_T > cut.length_T, 2 * RUN, RUN)
            long_T = cut.length_T >= run_T
            for run in (RUN, 2 * RUN):
                gram_G, text_G = cut.runs(run)
                mine_G = (long_T & (run_T == run))[text_G]
                parts.append((gram_G[mine_G], text_G[mine_G] + start))
            for gram_G, text_G in cut.whole():
                mine_G = ~long_T[text_G]
                parts.append((gram_G[mine_G], text_G[mine_G] + start))
        self._text_G = np.concatenate([text_G for _, text_G in parts])
        self._known_K, self._known_G = np.unique(np.concatenate([gram_G for gram_G, _ in parts]), return_inverse=True)
        self._other_K = np.full(len(self._known_K), _NONE)
        """The first of the other texts that has a run."""
        self.looked_through = 0
        """How many of the other texts."""

    def look_through(self, others: Iterable[str]) -> None:
        """Looks for the texts in some more of the others."""
        before, count = self.looked_through, 0
        for start, texts in _parts(others):
            cut, count = _CutTexts(texts, self._vocabulary), start + len(texts)
            for gram_G, text_G in (cut.runs(RUN), cut.runs(2 * RUN), *cut.whole()):
                position_G = np.searchsorted(self._known_K[:-1], gram_G)
                hit_G = self._known_K[position_G] == gram_G if len(self._known_K) else np.zeros(len(gram_G), np.bool_)
                np.minimum.at(self._other_K, position_G[hit_G], text_G[hit_G] + start + before)
        self.looked_through = before + count

    def overlaps(self, share: float = SHARE) -> list[Overlap]:
        """The texts of whose runs at least this share stands in what was looked through, in their order."""
        first_G = self._other_K[self._known_G]
        runs_T = np.bincount(self._text_G, minlength=self._texts)
        seen_T = np.bincount(self._text_G[first_G < _NONE], minlength=self._texts)
        first_T = np.full(self._texts, _NONE)
        np.minimum.at(first_T, self._text_G, first_G)
        return [
            Overlap(text, float(seen_T[text] / runs_T[text]), int(first_T[text]))
            for text in np.flatnonzero((seen_T > 0) & (seen_T >= share * runs_T)).tolist()
        ]


class _CutTexts:
    """The units of some texts, hashed, one text after the other."""

    def __init__(self, texts: Sequence[str], vocabulary: dict[str, int]) -> None:
        cut = [units(text) for text in texts]
        self.length_T = np.array([len(words) for words in cut], np.int64)
        self.letters_T = np.array([sum(_is_letter(word[0]) for word in words) for words in cut], np.int64)
        for word in set(chain.from_iterable(cut)).difference(vocabulary):
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            vocabulary[word] = int.from_bytes(digest, "little")
        self._hash_U = np.fromiter((vocabulary[word] for word in chain.from_iterable(cut)), np.uint64)
        self._text_U = np.repeat(np.arange(len(cut)), self.length_T)

    def runs(self, length: int) -> tuple[Hashes, IntArray]:
        """The hashes of all runs of so many units, and the text of each."""
        starts_G = np.arange(max(0, len(self._hash_U) - length + 1))
        starts_G = starts_G[self._text_U[starts_G] == self._text_U[starts_G + length - 1]]
        return self._hashed(starts_G, length), self._text_U[starts_G]

    def whole(self) -> Iterator[tuple[Hashes, IntArray]]:
        """The hashes of whole texts that are shorter than the longest run, and which they are; no run has such a hash."""
        begin_T = np.cumsum(self.length_T) - self.length_T
        for length in range(_LEAST, 2 * RUN):
            texts = np.flatnonzero(self.length_T == length)
            yield self._hashed(begin_T[texts], length) ^ _FACTOR, texts

    def _hashed(self, starts_G: IntArray, length: int) -> Hashes:
        gram_G = np.zeros(len(starts_G), np.uint64)
        for offset in range(length):
            gram_G = gram_G * _FACTOR + self._hash_U[starts_G + offset]
        return gram_G


def _parts(texts: Iterable[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Some texts at a time, and how many came before."""
    rest = iter(texts)
    start = 0
    while part := tuple(islice(rest, _AT_ONCE)):
        yield start, part
        start += len(part)

"""From word pairs to the columns of a lexicon: sorted words, and per target language lists of candidates, best first."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlret.lexicon.files import Entry
from xlret.text.case import fold


def table_from_pairs(source: str, entries: Mapping[str, Iterable[Entry]]) -> Any:
    """The record batch of `lexicon.Table` from entries by target language; languages without entries are left out.

    Takes about 2 microseconds an entry and holds all of them in memory.
    """
    pairs = {target: _folded(source, listed) for target, listed in sorted(entries.items())}
    pairs = {target: columns for target, columns in pairs.items() if len(columns)}
    chunks = [columns.column("word") for columns in pairs.values()]
    words = pc.unique(pa.concat_arrays(chunks)) if chunks else pa.array([], pa.large_string())
    words = words.take(pc.sort_indices(words))
    arrays, names = [words], ["word"]
    for target, columns in pairs.items():
        texts, scores = _lists(words, columns)
        rank = pc.fill_null(pc.index_in(words, value_set=pc.unique(columns.column("word"))), -1)
        arrays += [texts, scores, rank]
        names += [target, f"{target} score", f"{target} rank"]
    return pa.record_batch(arrays, names=names)


def _folded(source: str, entries: Iterable[Entry]) -> Any:
    """Columns word, text, score of the entries in their order."""
    words: list[str] = []
    texts: list[str] = []
    scores: list[float] = []
    for entry in entries:
        word, text = fold(entry.word, source), unicodedata.normalize("NFC", entry.translation)
        if word and text:
            words.append(word)
            texts.append(text)
            scores.append(entry.score)
    columns = [pa.array(words, pa.large_string()), pa.array(texts, pa.large_string()), pa.array(scores, pa.float32())]
    return pa.record_batch(columns, names=["word", "text", "score"])


def _lists(words: Any, pairs: Any) -> tuple[Any, Any]:
    """For each word its candidates and their scores: each candidate once, with its best score, best first."""
    row = pc.index_in(pairs.column("word"), value_set=words).to_numpy().astype(np.int64)
    text = pairs.column("text").dictionary_encode().indices.to_numpy().astype(np.int64)
    score = pairs.column("score").to_numpy()
    by_score = np.lexsort((np.arange(len(row)), -score))  # a pair's best score comes first, then its first appearance
    _, first = np.unique((row * (text.max(initial=0) + 1) + text)[by_score], return_index=True)
    kept = by_score[first]
    order = kept[np.lexsort((kept, -score[kept], row[kept]))]
    offsets = pa.array(np.searchsorted(row[order], np.arange(len(words) + 1)).astype(np.int64))
    texts = pairs.column("text").take(pa.array(order))
    scores = pa.array(score[order], pa.float32())
    return pa.LargeListArray.from_arrays(offsets, texts), pa.LargeListArray.from_arrays(offsets, scores)

"""Lexicons induced from word vectors of real parallel text, against held-out dictionaries."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from xlret.files import shared_directory
from xlret.lexicon.align import aligned
from xlret.lexicon.induce import induce, precision, seed_pairs
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.word_vectors import WordVectors
from xlret.shapes import FloatMatrix
from xlret.text.case import fold
from xlret.text.segment import split_words

pytestmark = pytest.mark.slow
LANG, ISO = "de", "deu"


@pytest.fixture(scope="module")
def data() -> Path:
    directory = shared_directory() / "data"
    if not (directory / "lexicons" / "xling-eval").exists():
        pytest.skip(f"no dictionaries and parallel text in {directory}; set XLRET_SHARED")
    return directory


def _dictionary(data: Path, name: str) -> Lexicon:
    return Lexicon.load([data / "lexicons" / "xling-eval" / f"yacle.{name}.en-{LANG}.tsv"])


def _held_out(data: Path) -> Lexicon:
    """All words of the splits but those of the seed dictionary."""
    seed = {word for word, *_ in _dictionary(data, "train.freq.1k").tables["en"].entries(LANG)}
    splits = [_dictionary(data, name).tables["en"].entries(LANG) for name in ("train.freq.5k", "test.freq.2k")]
    return Lexicon.from_entries({("en", LANG): [entry for split in splits for entry in split if entry.word not in seed]})


def _parallel(data: Path) -> Iterator[tuple[str, str]]:
    """Texts in English and the other language that say the same."""
    for english, other in (
        (data / "tatoeba" / f"tatoeba.{ISO}-eng.eng", data / "tatoeba" / f"tatoeba.{ISO}-eng.{ISO}"),
        (data / "ntrex" / "newstest2019-src.eng.txt", data / "ntrex" / f"newstest2019-ref.{ISO}.txt"),
    ):
        if english.exists() and other.exists():
            yield from zip(english.read_text("utf-8").split("\n"), other.read_text("utf-8").split("\n"), strict=False)
    for name in ("fastapi", "tldr"):
        groups: dict[str, dict[str, str]] = {}
        with gzip.open(data / "parallel" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["lang"] in ("en", LANG):
                    groups.setdefault(row["group_id"], {})[row["lang"]] = f"{row['query']}\n{row['text']}"
        yield from ((texts["en"], texts[LANG]) for texts in groups.values() if len(texts) == 2)


def _counts(texts: list[str], lang: str, least: int = 3) -> tuple[list[str], FloatMatrix]:
    """Words that occur often enough, commonest first, and in which texts they are: [W, N], weighted by rarity."""
    bags = [Counter(fold(word, lang) for word in split_words(text, lang)[1::2]) for text in texts]
    total = Counter(word for bag in bags for word in bag)
    words = [word for word, count in total.most_common() if count >= least]
    number = {word: n for n, word in enumerate(words)}
    counts_WN = np.zeros((len(words), len(texts)), np.float32)
    for column, bag in enumerate(bags):
        for word, count in bag.items():
            if word in number:
                counts_WN[number[word], column] = 1 + np.log(count)
    counts_WN *= np.log(len(texts) / (counts_WN > 0).sum(axis=1, keepdims=True))
    return words, counts_WN / np.linalg.norm(counts_WN, axis=1, keepdims=True)


def _projection(matrix_WN: FloatMatrix, dimension: int) -> FloatMatrix:
    """The leading right singular vectors [N, D] by subspace iteration."""
    basis = np.random.default_rng(0).normal(size=(matrix_WN.shape[1], dimension)).astype(np.float32)
    for _ in range(6):
        basis, _ = np.linalg.qr(matrix_WN.T @ (matrix_WN @ basis))
    return basis.astype(np.float32)


def _unit(vectors: FloatMatrix) -> FloatMatrix:
    scaled: FloatMatrix = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return scaled


@pytest.fixture(scope="module")
def matrices(data: Path) -> tuple[list[str], FloatMatrix, list[str], FloatMatrix]:
    pairs = [(one, two) for one, two in _parallel(data) if one.strip() and two.strip()]
    assert len(pairs) > 3000
    return *_counts([one for one, _ in pairs], "en"), *_counts([two for _, two in pairs], LANG)


@pytest.fixture(scope="module")
def shared_space(matrices: tuple[list[str], FloatMatrix, list[str], FloatMatrix]) -> tuple[WordVectors, WordVectors]:
    """Words by the texts that they occur in: one space, since the texts are translations of each other."""
    english, english_WN, other, other_WN = matrices
    basis = _projection(np.vstack([english_WN, other_WN]), 300)
    return WordVectors("en", english, _unit(english_WN @ basis)), WordVectors(LANG, other, _unit(other_WN @ basis))


def test_csls_beats_nearest_neighbours_on_a_held_out_dictionary(
    data: Path, shared_space: tuple[WordVectors, WordVectors]
) -> None:
    source, target = shared_space
    held_out = _held_out(data)
    by_cosine, by_csls = (precision(source, target, held_out, method) for method in ("cosine", "csls"))
    print(f"\n{len(source)} and {len(target)} words\ncosine {by_cosine}\ncsls   {by_csls}")
    assert by_csls.at_1 >= by_cosine.at_1
    assert by_csls.at_1 > 0.3
    assert by_csls.at_5 > 0.4


def test_mutual_neighbours_are_more_often_right(data: Path, shared_space: tuple[WordVectors, WordVectors]) -> None:
    source, target = shared_space
    right = _held_out(data)
    known = {word for word, *_ in right.tables["en"].entries(LANG)}

    def share_right(entries: list[tuple[str, str]]) -> float:
        asked = [(word, text) for word, text in entries if word in known]
        hits = sum(
            fold(text, LANG) in {fold(one, LANG) for one in right.translations(word, "en", LANG).texts} for word, text in asked
        )
        return hits / len(asked)

    best = share_right([(word, text) for word, text, _ in induce(source, target)])
    mutual = share_right([(word, text) for word, text, _ in induce(source, target, mutual=True)])
    print(f"\nright of the best {best:.1%}, of the mutual ones {mutual:.1%}")
    assert mutual > best


def test_a_seed_dictionary_brings_two_rotated_spaces_together(
    data: Path, shared_space: tuple[WordVectors, WordVectors]
) -> None:
    source, target = shared_space
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(300, 300)))[0].astype(np.float32)
    rotated = WordVectors("en", source.words, source.vectors_WD @ rotation)
    held_out, seed = _held_out(data), seed_pairs(_dictionary(data, "train.freq.1k"), "en", LANG)
    before = precision(rotated, target, held_out)
    after = precision(aligned(rotated, target, seed), target, held_out)
    together = precision(source, target, held_out)
    print(f"\nbefore {before}\nafter  {after}\none space {together}")
    assert before.at_1 < 0.02
    assert after.at_1 > 0.8 * together.at_1

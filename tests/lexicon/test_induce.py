import numpy as np
import pytest

from xlret.errors import UserError
from xlret.lexicon.align import aligned, procrustes
from xlret.lexicon.files import Entry
from xlret.lexicon.induce import induce, precision, seed_pairs
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.neighbours import mutual_pairs, nearest
from xlret.lexicon.word_vectors import WordVectors
from xlret.shapes import FloatMatrix

pytest.importorskip("faiss")


def _unit(vectors: FloatMatrix) -> FloatMatrix:
    scaled: FloatMatrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def _random(count: int, dimension: int, seed: int = 0) -> FloatMatrix:
    return _unit(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


def _spaces(noise: float, count: int = 400) -> tuple[WordVectors, WordVectors, Lexicon]:
    """Two spaces that differ by a rotation and noise, the second shuffled; and the true dictionary."""
    source = _random(count, 24)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(24, 24)))[0]
    other = _unit(source @ rotation + noise * _random(count, 24, seed=2))
    order = np.random.default_rng(3).permutation(count)
    target = WordVectors("de", [f"de{n}" for n in order], other[order])
    truth = Lexicon.from_entries({("en", "de"): [Entry(f"en{n}", f"de{n}", 1.0) for n in range(count)]})
    return WordVectors("en", [f"en{n}" for n in range(count)], source), target, truth


def test_csls_is_what_its_formula_says() -> None:
    source, target = _random(40, 8), _random(60, 8, seed=1)
    cosines = source @ target.T
    hub_source = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    hub_target = np.sort(cosines, axis=0)[-10:].mean(axis=0)
    csls = 2 * cosines - hub_source[:, None] - hub_target
    order = np.argsort(-csls, axis=1)[:, :5]
    scores, rows = nearest(source, target, 5)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(scores, np.take_along_axis(csls, order, axis=1), atol=1e-5)
    np.testing.assert_array_equal(nearest(source, target, 1, "cosine")[1][:, 0], cosines.argmax(axis=1))
    assert nearest(source, target[:3], 5)[1].shape == (40, 3)


def test_csls_takes_the_lead_of_a_hub_away() -> None:
    axes = np.eye(12, dtype=np.float32)
    hub = np.ones(12, np.float32)
    source = _unit(axes + 0.5 * hub)  # all lean to the hub
    target = np.vstack([_unit(axes - 0.03 * hub), _unit(hub[None])])
    assert (nearest(source, target, 1, "cosine")[1][:, 0] == 12).all()
    np.testing.assert_array_equal(nearest(source, target, 1, "csls")[1][:, 0], np.arange(12))


def test_procrustes_finds_the_rotation() -> None:
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(8, 8)))[0].astype(np.float32)
    source = _random(50, 8)
    np.testing.assert_allclose(procrustes(source, source @ rotation), rotation, atol=1e-5)


def test_a_seed_dictionary_aligns_two_spaces() -> None:
    source, target, truth = _spaces(noise=0.4)
    seed = seed_pairs(truth, "en", "de")
    assert precision(source, target, truth).at_1 < 0.05
    turned = aligned(source, target, seed[:60])
    found = precision(turned, target, truth)
    assert found.at_1 > 0.95
    assert found.at_5 >= found.at_1
    assert (found.words, found.coverage) == (400, 1.0)


def test_refinement_mends_a_small_seed() -> None:
    source, target, truth = _spaces(noise=0.3)
    seed = seed_pairs(truth, "en", "de")[:20]
    once = precision(aligned(source, target, seed, rounds=0), target, truth)
    more = precision(aligned(source, target, seed, rounds=5), target, truth)
    assert more.at_1 > once.at_1 + 0.05


def test_alignment_needs_seed_pairs_and_one_dimension() -> None:
    source, target, _ = _spaces(noise=0.1)
    with pytest.raises(UserError, match="only 1 of 2 seed pairs"):
        aligned(source, target, [("en1", "de1"), ("en2", "nowhere")])
    with pytest.raises(UserError, match="24 dimensions, those of de 8"):
        aligned(source, WordVectors("de", ["x"], _random(1, 8)), [])


def test_induced_entries_are_best_first_above_the_threshold() -> None:
    source = WordVectors("en", ["a", "b"], _unit(np.array([[1, 0], [0, 1]], np.float32)))
    target = WordVectors("de", ["x", "y", "z"], _unit(np.array([[1, 0.1], [0.5, 1], [-1, -1]], np.float32)))
    found = induce(source, target, method="cosine", top=3)
    assert [(word, text) for word, text, _ in found] == [("a", "x"), ("a", "y"), ("b", "y"), ("b", "x")]
    assert [round(score, 3) for *_, score in found] == [0.995, 0.447, 0.894, 0.1]
    assert len(induce(source, target, method="cosine", top=3, min_similarity=0.5)) == 2
    lexicon = Lexicon.from_entries({("en", "de"): found})
    assert lexicon.translations("a", "en", "de").texts == ("x", "y")


def test_candidates_that_cannot_be_had_are_user_errors() -> None:
    source, target, _ = _spaces(noise=0.1)
    with pytest.raises(UserError, match="top is 0"):
        induce(source, target, top=0)
    with pytest.raises(UserError, match="top is 5, but mutual keeps one"):
        induce(source, target, top=5, mutual=True)


def test_mutual_neighbours_pair_up_one_to_one() -> None:
    source, target, truth = _spaces(noise=0.9)
    turned = aligned(source, target, seed_pairs(truth, "en", "de")[:200], rounds=0)
    pairs = induce(turned, target, mutual=True)
    assert len({text for _, text, _ in pairs}) == len(pairs) < 400
    right = sum(word[2:] == text[2:] for word, text, _ in pairs) / len(pairs)
    assert right > precision(turned, target, truth).at_1
    one, two = mutual_pairs(turned.vectors_WD, target.vectors_WD)
    assert len(set(two.tolist())) == len(one)


def test_the_order_of_csls_survives_in_a_lexicon() -> None:
    source, target, truth = _spaces(noise=1.0)
    turned = aligned(source, target, seed_pairs(truth, "en", "de"), rounds=0)
    _, rows = nearest(turned.vectors_WD, target.vectors_WD, 4)
    lexicon = Lexicon.from_entries({("en", "de"): induce(turned, target, top=4)})
    for row in range(0, 400, 7):
        best = [target.words[column] for column in rows[row]]
        found = lexicon.translations(f"en{row}", "en", "de").texts
        assert [word for word in best if word in found] == list(found)
        assert found[0] == best[0]


def test_precision_counts_only_words_with_vectors() -> None:
    source, target, truth = _spaces(noise=0.0)
    turned = aligned(source, target, seed_pairs(truth, "en", "de"))
    gold = Lexicon.from_entries({("en", "de"): [Entry("en1", "de1", 1.0), Entry("en2", "de3", 1.0), Entry("far", "weit", 1.0)]})
    found = precision(turned, target, gold)
    assert (found.at_1, found.words, found.coverage) == (0.5, 2, pytest.approx(2 / 3))
    assert "P@1 50.0%" in str(found)
    with pytest.raises(UserError, match="no pairs from en into fr"):
        precision(source, WordVectors("fr", ["x"], _random(1, 24)), gold)


def test_vectors_of_other_dimensions_are_refused_in_one_line() -> None:
    source = WordVectors("en", ["a", "b"], _unit(_random(2, 3)))
    target = WordVectors("de", ["a", "b"], _unit(_random(2, 2)))
    for mutual in (False, True):
        with pytest.raises(UserError, match="vectors of en have 3 dimensions, those of de 2"):
            induce(source, target, mutual=mutual)

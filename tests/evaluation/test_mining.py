"""Mining of translations: the margin by hand, the threshold, and BUCC in its published form."""

from pathlib import Path

import numpy as np
import pytest
from public_files import single, write

from xlret.errors import DataError, UserError
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.mining import best_threshold, mine, scores_of_mining
from xlret.evaluation.report import number, remarks
from xlret.model.encoder import Encoder


def margin(source: np.ndarray, target: np.ndarray, i: int, j: int, k: int) -> float:
    """As the paper prints it, in float64."""
    cosines = source.astype(np.float64) @ target.T.astype(np.float64)
    forth, back = np.sort(cosines[i])[-k:], np.sort(cosines[:, j])[-k:]
    return float(cosines[i, j] / (forth.sum() / (2 * k) + back.sum() / (2 * k)))


def test_pairs_are_those_of_the_margin_and_no_sentence_is_in_two() -> None:
    rng = np.random.default_rng(5)
    target = rng.normal(size=(40, 8))
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    source = target[rng.permutation(40)[:25]] + 0.2 * rng.normal(size=(25, 8))
    source /= np.linalg.norm(source, axis=1, keepdims=True)
    pairs = mine(source.astype(np.float32) * 3, target.astype(np.float32))  # lengths do not matter
    assert len(set(pairs.source_N)) == len(pairs.source_N)
    assert len(set(pairs.target_N)) == len(pairs.target_N)
    assert np.all(np.diff(pairs.margin_N) <= 0)
    for i, j, value in zip(pairs.source_N, pairs.target_N, pairs.margin_N, strict=True):
        assert value == pytest.approx(margin(source, target, i, j, 4), abs=1e-5)
    best = max(margin(source, target, i, j, 4) for i in range(25) for j in np.argsort(-source[i] @ target.T)[:4])
    assert pairs.margin_N[0] == pytest.approx(best, abs=1e-5)


def test_the_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(2)
    margins = np.sort(np.round(rng.random(60), 1))[::-1]
    gold = rng.random(60) < margins
    threshold, f1 = best_threshold(margins, gold, 50)

    def f1_at(limit: float) -> float:
        taken = margins >= limit
        return 2 * np.count_nonzero(taken & gold) / (np.count_nonzero(taken) + 50)

    assert f1 == pytest.approx(f1_at(threshold)) == pytest.approx(max(map(f1_at, margins)))
    assert best_threshold(np.empty(0), np.empty(0, np.bool_), 3) == (float("inf"), 0.0)


def bucc(directory: Path) -> None:
    def part(name: str, numbers: range) -> dict[str, str]:
        words = ["water", "mountain", "letter", "harvest", "music", "winter", "bridge", "garden", "silver", "doctor"]
        english = [f"en-{n:09}\t{words[n]} {words[n][::2]}" for n in numbers]
        german = [f"de-{n:09}\t{words[n]} {words[n][::2]}" for n in numbers if n % 2] + ["de-000000099\tnothing"]
        gold = [f"de-{n:09}\ten-{n:09}" for n in numbers if n % 2]
        return {
            f"de-en.{name}.{end}": "\n".join(lines) + "\n" for end, lines in (("de", german), ("en", english), ("gold", gold))
        }

    write(directory / "bucc2018", part("dev", range(0, 6)) | part("test", range(2, 10)))


def test_bucc_is_mined_with_the_threshold_of_dev(tmp_path: Path, encoder: Path) -> None:
    bucc(tmp_path)
    retrieval_set = single("bucc", tmp_path, ["de"])
    assert retrieval_set.query_ids == [f"de-{n:09}" for n in (3, 5, 7, 9)]
    assert len(retrieval_set.passage_ids) == 8
    assert retrieval_set.mining is not None
    assert retrieval_set.mining.test.gold_G2.tolist() == [[0, 1], [1, 3], [2, 5], [3, 7]]
    evaluation = measure(Encoder.load(encoder, passage_prompt="", query_prompt=""), retrieval_set, Method()).evaluation
    scores = evaluation.mining
    assert scores is not None
    assert scores.gold == 4
    assert evaluation.pooled["recall@1"] == 1.0  # equal texts have equal vectors
    assert scores.dev_f1 == scores.precision == 1.0  # of each sentence the equal one is taken, or none
    assert scores.recall == scores.pairs / 4 >= 0.25
    assert scores.f1 == pytest.approx(2 * scores.recall / (1 + scores.recall))
    assert f"translations mined: F1 {number(scores.f1)}, precision 1.0000" in " ".join(remarks(evaluation))


def test_buccs_own_archives_are_read_as_they_are(tmp_path: Path) -> None:
    bucc(tmp_path)
    expected = single("bucc", tmp_path, ["de"])
    own = {"dev": "sample", "test": "training"}
    (tmp_path / "own" / "de-en").mkdir(parents=True)
    for file in sorted((tmp_path / "bucc2018").iterdir()):
        pair, part, end = file.name.split(".")
        file.rename(tmp_path / "own" / "de-en" / f"{pair}.{own[part]}.{end}")
    retrieval_set = single("bucc", tmp_path / "own", ["de"])
    assert retrieval_set.query_ids == expected.query_ids
    assert retrieval_set.mining is not None
    assert expected.mining is not None
    assert retrieval_set.mining.dev.source_texts == expected.mining.dev.source_texts
    assert retrieval_set.caution is None


@pytest.mark.parametrize(
    ("gold", "error", "message"),
    [
        ("de-000000003\ten-000000099\n", DataError, r"gold:1: .*are not both sentences of de-en\.test"),
        ("\n", DataError, "names no pair"),
        (None, UserError, r"no de-en\.test\.gold or de-en\.test\.gold\.gz"),
    ],
)
def test_what_is_no_bitext_is_named(tmp_path: Path, gold: str | None, error: type[Exception], message: str) -> None:
    bucc(tmp_path)
    path = tmp_path / "bucc2018" / "de-en.test.gold"
    path.unlink() if gold is None else path.write_text(gold)
    with pytest.raises(error, match=message):
        single("bucc", tmp_path, ["de"])
    with pytest.raises(UserError, match="bucc has no sw"):
        single("bucc", tmp_path, ["sw"])


def test_nothing_found_is_zero() -> None:
    pairs = mine(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[::-1].copy())
    scores = scores_of_mining(pairs, np.array([[0, 0]]), pairs, np.array([[1, 0]]))
    assert (scores.f1, scores.precision, scores.recall, scores.dev_f1) == (0.0, 0.0, 0.0, 0.0)

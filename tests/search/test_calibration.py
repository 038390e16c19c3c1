"""Calibrations: what they remove, how they are estimated and kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_building import build, quiet

from xlret.errors import CorruptError, UserError
from xlret.search import calibration as calibrating
from xlret.search.calibration import CALIBRATION, Calibration, estimate_calibration, sampled
from xlret.search.edit import append
from xlret.search.passages import Passage
from xlret.search.vectors.store import VectorStore, vectors_of, write_store

SIZES = {"ar": 700, "de": 900, "en": 1200}


def made(seed: int, sizes: dict[str, int] = SIZES, dimension: int = 24) -> dict[str, np.ndarray]:
    """Unit vectors that lie around another point, and more or less widely, in each language."""
    rng = np.random.default_rng(seed)
    found = {}
    for place, (lang, size) in enumerate(sizes.items()):
        rows = rng.normal(size=dimension) * 0.5 + (0.4 + 0.4 * place) * rng.normal(size=(size, dimension))
        found[lang] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def test_standardised_scores_of_every_language_have_mean_0_and_spread_1() -> None:
    passages = made(0)
    calibration = estimate_calibration(passages)
    queries = np.concatenate([rows[:100] for rows in made(0).values()])
    raw, new = {}, {}
    for lang, rows in passages.items():
        scores = queries @ rows.T
        raw[lang] = (scores.mean(), scores.std())
        new[lang] = np.array(
            [calibration.standardised(one, [lang] * len(rows), q) for one, q in zip(scores, queries, strict=True)]
        )
    assert np.ptp([mean for mean, _ in raw.values()]) > 0.1  # they differ before
    for lang in passages:
        # For each query by itself, but for the 50 passages of the average language that are added.
        assert np.abs(new[lang].mean(axis=1)).max() < 0.4
        assert new[lang].std(axis=1).mean() == pytest.approx(1, abs=0.15)


def test_the_order_within_a_language_stays() -> None:
    passages = made(1)
    calibration = estimate_calibration(passages)
    query = made(2)["de"][0]
    for lang, rows in passages.items():
        scores = rows @ query
        order = np.argsort(calibration.standardised(scores, [lang] * len(rows), query), kind="stable")
        assert (np.diff(scores[order]) >= 0).all()


def test_a_large_language_is_sampled_fairly_and_the_same_each_time() -> None:
    passages = made(3, {"de": 6000, "en": 400})
    one, two = estimate_calibration(passages), estimate_calibration(passages)
    assert one == two
    whole = passages["de"].mean(axis=0)
    assert np.abs(np.array(one.means["de"]) - whole).max() < 0.05
    queries = passages["en"][:200]
    spread = (queries @ passages["de"].T - (queries @ whole)[:, None]).std()
    assert one.spreads["de"] == pytest.approx(spread, rel=0.2)


def test_few_passages_are_not_trusted() -> None:
    passages = made(4, {"de": 1000, "en": 1000, "sw": 1})
    found = estimate_calibration(passages)
    average = np.concatenate(list(passages.values())).mean(axis=0)
    to_average = np.linalg.norm(np.array(found.means["sw"]) - average)
    to_its_own = np.linalg.norm(np.array(found.means["sw"]) - passages["sw"][0])
    assert to_average < 0.1 * to_its_own
    assert min(found.spreads["de"], found.spreads["en"]) <= found.spreads["sw"] <= max(found.spreads.values())
    alone = estimate_calibration({"sw": passages["sw"]})  # one passage in all: nothing to measure, nothing to break
    assert np.isfinite(alone.standardised(np.float32([0.3]), ["sw"], passages["de"][0])).all()


def test_a_passage_that_asks_is_left_out_of_its_own_scores() -> None:
    rows = np.eye(3, dtype=np.float32)  # all other scores are 0, its own would be 1
    assert estimate_calibration({"de": rows}).spreads["de"] == pytest.approx(1 / 3, abs=1e-6)  # 0 less the mean 1/3


def test_an_unknown_language_counts_as_the_average() -> None:
    one = Calibration(means={"de": (0.4,), "en": (0.2,)}, spreads={"de": 0.1, "en": 0.3})
    assert one.standardised(np.float32([0.7]), ["sw"], np.float32([1])).tolist() == pytest.approx([(0.7 - 0.3) / 0.2])


def test_saved_and_loaded(tmp_path: Path) -> None:
    one = estimate_calibration(made(5), made_from="passages")
    one.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == one
    assert json.loads((tmp_path / "calibration.json").read_text())["made_from"] == "passages"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": {}}, "at least one"),
        ({"spreads": {"de": 0.1}}, "the same languages"),
        ({"spreads": {"de": 0.1, "en": 0.0}}, r"spreads\.en: Input should be greater than 0"),
        ({"means": {"de": [0.1], "en": [0.1, 0.2]}}, "one and the same length"),
        ({"means": {"de": [], "en": []}}, "at least 1"),
        ({"format": 2}, "format"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = {"means": {"de": [0.1, 0.2], "en": [0.0, 0.1]}, "spreads": {"de": 0.1, "en": 0.2}}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(good | change))
    with pytest.raises(CorruptError, match=message):
        Calibration.load(path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(UserError, match=r"cannot read calibration .*calibration\.json: No such file"):
        Calibration.load(path)
    for content in (b"", b"\xff\xfe", b'{"means": {"de": [NaN]}, "spreads": {"de": 1}}', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(CorruptError, match=r"calibration\.json is no calibration"):
            Calibration.load(path)


def test_an_evaluation_calibrates_from_as_many_passages_as_an_index() -> None:
    """Of eight languages and more an index keeps 512 passages each; of one language up to 2,000 count."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 4)).astype(np.float32)
    for languages, most in ((8, 512), (4, 1024), (1, 2000)):
        passages = {f"l{number}": rows for number in range(languages)}
        assert sampled(languages) >= most
        few = {lang: calibrating._sample(rows, most, lang) for lang in passages}
        found, expected = estimate_calibration(passages), estimate_calibration(few)
        np.testing.assert_allclose(found.means["l0"], expected.means["l0"], atol=1e-6)


def test_bad_samples_are_refused() -> None:
    with pytest.raises(UserError, match="not of none"):
        estimate_calibration({"de": np.empty((0, 4), np.float32)})
    with pytest.raises(UserError, match="one dimension"):
        estimate_calibration({"de": np.ones((2, 4), np.float32), "en": np.ones((2, 3), np.float32)})


def test_an_index_is_calibrated_with_its_passages_and_again_when_it_grows(tmp_path: Path, small_store: VectorStore) -> None:
    version = build(small_store, tmp_path / "index", shards=2)
    found = Calibration.load(version / CALIBRATION)
    langs = np.concatenate([np.array(part.column("lang").to_pylist()) for part in small_store.parts()])
    vectors = np.concatenate([vectors_of(part) for part in small_store.parts()]).astype(np.float32)
    whole = estimate_calibration({lang: vectors[langs == lang] for lang in small_store.languages})
    for lang in small_store.languages:  # it has all or a sample of the passages
        assert np.abs(np.array(found.means[lang]) - np.array(whole.means[lang])).max() < 0.1
        assert found.spreads[lang] == pytest.approx(whole.spreads[lang], rel=0.1)
    assert found.languages == tuple(sorted(small_store.languages))

    more = write_store(
        tmp_path / "more",
        [Passage(f"yo{number}", "yo", None, "text", {}) for number in range(60)],
        vectors[:60],
        encoder=small_store.encoder,
        dtype=small_store.dtype,
    )
    again = Calibration.load(append(tmp_path / "index", more, say=quiet) / CALIBRATION)
    assert again.languages == tuple(sorted((*small_store.languages, "yo")))

"""An index as a notebook makes and asks it, without Ray: from texts to hits with texts."""

import gc
import subprocess
import sys
from pathlib import Path

import encode_input
import numpy as np
import pytest

from xlret.errors import UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.search.balance import balanced_order
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.text_index import TextIndex

PASSAGES = encode_input.some(120)


@pytest.fixture(scope="module")
def small_encoder() -> Encoder:
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=48)
    settings = EncoderSettings(fresh=fresh, max_query_tokens=16, max_passage_tokens=32)
    return start_encoder(settings, lambda: [" ".join(encode_input.WORDS)], 0)


@pytest.fixture(scope="module")
def index(small_encoder: Encoder) -> TextIndex:
    return TextIndex.build(small_encoder, iter(PASSAGES))


def test_hits_are_those_of_exact_search_with_their_texts(small_encoder: Encoder, index: TextIndex) -> None:
    by_id = {passage.id: passage for passage in PASSAGES}
    vectors_ND = small_encoder.encode([passage.full_text for passage in PASSAGES], "passage")
    queries = ["bal fen", "kor"]
    scores_QN = small_encoder.encode(queries, "query") @ vectors_ND.T
    for scores_N, hits in zip(scores_QN, index.search_many(queries, k=7), strict=True):
        assert [hit.score for hit in hits] == pytest.approx(np.sort(scores_N)[::-1][:7].tolist(), abs=1e-3)
        for hit in hits:
            assert (hit.lang, hit.title, hit.text, hit.metadata) == by_id[hit.id][1:]
    assert index.search("bal fen", k=7) == index.search_many(queries, k=7)[0]
    assert index.search_many([]) == []
    assert (len(index), dict(index.languages)) == (120, {"de": 60, "en": 60})


def test_languages_filters_and_balances(index: TextIndex) -> None:
    assert {hit.lang for hit in index.search("bal", languages=["deu"])} == {"de"}
    assert {hit.lang for hit in index.search("bal", languages=["de-AT"])} == {"de"}
    assert {hit.metadata["number"] for hit in index.search("bal", k=50, filter={"number": {"lt": 9}})} == set(range(9))
    fair = index.search("bal", k=10, balance="quota")
    vector_D = index.encoder.encode(["bal"], "query")[0]
    hits = index.index.search(vector_D[None], SearchOptions(top_k=120))
    order = balanced_order(
        "quota", hits.ids[0], hits.scores[0], hits.langs[0], 10, calibration=index._calibration, query_vector_D=vector_D
    )
    assert [hit.id for hit in fair] == [hits.ids[0][position] for position in order]
    for options, message in (
        ({"languages": ["sw"]}, "there are no passages in 'sw'; there are de, en"),
        ({"filter": {"year": 2020}}, "unknown metadata field 'year'"),
        ({"filter": {"number": {"like": 1}}}, "is no condition"),
        ({"k": 0}, "top_k is 0"),
        ({"balance": "fair"}, "unknown balance"),
    ):
        with pytest.raises(UserError, match=message):
            index.search("bal", **options)  # type: ignore[arg-type]


def test_an_index_that_is_kept_opens_again_with_its_encoder(tmp_path: Path, small_encoder: Encoder, index: TextIndex) -> None:
    out, settings = tmp_path / "small", IndexSettings(shards=3)
    encoding = EncodeSettings(passages_per_part=32)
    built = TextIndex.build(small_encoder, PASSAGES, out, settings, encoding)
    again = TextIndex.build(small_encoder, PASSAGES, out, settings, encoding)  # all is there already
    opened = TextIndex.open(out)
    for other in (built, again, opened, TextIndex.open(out, small_encoder)):
        assert [hit.id for hit in other.search("bal fen")] == [hit.id for hit in index.search("bal fen")]
    assert len(opened.index.shards) == 3
    other_seed = start_encoder(
        EncoderSettings(fresh=FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=48)),
        lambda: [" ".join(encode_input.WORDS)],
        1,
    )
    with pytest.raises(UserError, match=r"small\.encoder holds another encoder"):
        TextIndex.build(other_seed, PASSAGES, out)
    other_seed.save(tmp_path / "other")
    with pytest.raises(UserError, match="is not the encoder of this index"):
        TextIndex.open(out, tmp_path / "other")


def test_a_temporary_index_goes_with_its_last_user(small_encoder: Encoder) -> None:
    index = TextIndex.build(small_encoder, PASSAGES[:9])
    directory = index.index.path.parents[2]
    assert directory.is_dir()
    del index
    gc.collect()
    assert not directory.exists()
    with pytest.raises(UserError, match="no passage to encode"):
        TextIndex.build(small_encoder, [])


def test_it_needs_no_ray() -> None:
    code = "import sys, xlret.search.text_index; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_passage_without_an_id_of_its_own_is_refused(small_encoder: Encoder) -> None:
    with pytest.raises(UserError, match="passage 2: id 'x' came before, at passage 1"):
        TextIndex.build(small_encoder, [Passage("x", "de", None, "bal", {}), Passage("x", "en", None, "fen", {})])

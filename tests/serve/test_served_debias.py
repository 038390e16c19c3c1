"""A release whose index carries a language component: what it says of itself, how it is asked, how it is measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from served import asked

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.sets import from_corpus
from xlret.evaluation.settings import EvaluateSettings
from xlret.model.debias.component import DEBIAS, LanguageComponent
from xlret.model.encoder import Encoder
from xlret.release.make import make_release
from xlret.release.measure import measure_releases
from xlret.release.verify import verify_release
from xlret.search.settings import IndexSettings
from xlret.search.text_index import TextIndex
from xlret.serve.local_server import LocalServer, serve_local
from xlret.serve.settings import DeadlineSettings, LogSettings, ServeSettings

SETTINGS = ServeSettings(detect=False, deadline=DeadlineSettings(timeout_ms=20_000), log=LogSettings(stderr=False))
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, corpora: Path, encoder: Path) -> TextIndex:
    path = tmp_path_factory.mktemp("fair") / "index"
    corpus = ParallelCorpus.open(corpora / "train")
    return TextIndex.build(Encoder.load(encoder), corpus, path, IndexSettings(certificate_queries=8), debias="centre")


@pytest.fixture(scope="module")
def releases(index: TextIndex) -> Path:
    built = index.index.path.parents[1]
    make_release(built.parent / "releases", "fair", built.with_name("index.encoder"), built)
    return built.parent / "releases"


@pytest.fixture(scope="module")
def server(releases: Path) -> Iterator[LocalServer]:
    with serve_local(releases / "fair", settings=SETTINGS) as running:
        yield running


def hits_of(server: LocalServer, **body: Any) -> list[tuple[str, float]]:
    answer = asked(server.url, "/v1/search", {"query": "bada kelo ?", "top_k": 5, **body})
    return [(hit["id"], hit["score"]) for hit in answer["results"][0]["hits"]]


def test_a_question_loses_its_language_at_the_endpoint(server: LocalServer, index: TextIndex) -> None:
    answers = {}
    for lang in ("de", "tr", None):
        body = {} if lang is None else {"query_language": lang}
        hits = hits_of(server, **body)
        wanted = index.search("bada kelo ?", 5, query_language=lang)
        assert [id_ for id_, _ in hits] == [hit.id for hit in wanted]
        np.testing.assert_allclose([score for _, score in hits], [hit.score for hit in wanted], rtol=0, atol=1e-5)
        answers[lang] = [score for _, score in hits]
    assert answers["de"] != answers["tr"] != answers[None] != answers["de"]
    balanced = hits_of(server, query_language="de", balance="calibrated")
    wanted = index.search("bada kelo ?", 5, query_language="de", balance="calibrated")
    assert [id_ for id_, _ in balanced] == [hit.id for hit in wanted]
    highlighted = asked(server.url, "/v1/search", {"query": "bada kelo ?", "top_k": 3, "highlight": True})
    assert all(hit["highlight"] for hit in highlighted["results"][0]["hits"])


def test_a_release_says_what_it_lacks(server: LocalServer, releases: Path) -> None:
    assert asked(server.url, "/v1/info")["index"]["debias"] == "centre"
    assert verify_release(releases / "fair").record.index.debias == "centre"


def test_an_index_with_its_encoder_is_asked_alike(server: LocalServer, index: TextIndex) -> None:
    with serve_local(index.index, index.encoder, settings=SETTINGS) as beside:
        assert hits_of(beside, query_language="de") == hits_of(server, query_language="de")


def test_the_quality_of_a_release_is_measured_with_what_it_carries(
    releases: Path, index: TextIndex, corpora: Path, tmp_path: Path
) -> None:
    settings = EvaluateSettings(corpus=corpora / "dev", groups=20)
    path = releases / "fair" / "index" / DEBIAS
    dev_set = from_corpus(ParallelCorpus.open(corpora / "dev"), groups=20)
    expected = measure(index.encoder, dev_set, Method(debias=LanguageComponent.load(path))).evaluation
    measured, benchmark = measure_releases(releases, "fair", settings, "current")
    assert measured["fair"][benchmark]["mul"] == pytest.approx(expected.mul)
    assert expected.mul != pytest.approx(measure(index.encoder, dev_set, Method()).evaluation.mul)

    built = index.index.path.parents[1]
    encoder = built.with_name("index.encoder")
    for name, debias in (("with", str(path)), ("without", None), ("another", "shift")):
        given = settings.model_copy(update={"debias": debias})
        evaluate_encoder(str(encoder), given, tmp_path / name, console=QUIET)
    release = make_release(tmp_path, "good", encoder, built, evaluations=[tmp_path / "with"])
    assert verify_release(release).quality[benchmark]["mul"] == pytest.approx(expected.mul)
    for name in ("without", "another"):
        with pytest.raises(UserError, match=f"{name} .*language component, and the index carries one"):
            make_release(tmp_path, "bad", encoder, built, evaluations=[tmp_path / name])

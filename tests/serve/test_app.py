"""Every endpoint in its normal case, over exact stand-ins for models and shards."""

import asyncio
import base64
import json
import unicodedata
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from stand_in import FIELDS, LANGUAGES, House, vector, world

from xlret.serve.access import Keys
from xlret.serve.app import build_app
from xlret.serve.local import LocalControl
from xlret.serve.schema import EmbeddingsAnswer, Info, RerankAnswer, SearchAnswer

Test = Callable[[httpx.AsyncClient, House], Coroutine[Any, Any, None]]


def in_house(test: Test, release: str | None = "red", **settings: Any) -> None:
    """Runs a test with a client."""

    async def run() -> None:
        house = House(**settings)
        async with house.client(release) as client:
            await test(client, house)

    asyncio.run(run())


async def search(client: httpx.AsyncClient, **body: Any) -> SearchAnswer:
    """A search that must succeed; the answer is held against the schema."""
    found = await client.post("/v1/search", json=body)
    assert found.status_code == 200, found.text
    answer = SearchAnswer.model_validate(found.json(), strict=True)
    assert found.headers["x-request-id"] == answer.request_id
    assert found.headers["content-type"] == "application/json"
    return answer


def ids(answer: SearchAnswer, number: int = 0) -> list[str]:
    """The ids found for one question."""
    return [hit.id for hit in answer.results[number].hits]


def expected(text: str, top_k: int, keep: Callable[[Any], bool] = lambda passage: True) -> list[str]:
    """What an exact search over everything finds."""
    kept = [one for one in world("red") if keep(one)]
    query = vector(text)
    return [one.id for one in sorted(kept, key=lambda one: (-np.float32(vector(one.text) @ query), one.id))[:top_k]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 4), (3, 7)])
def test_a_search_finds_what_an_exact_search_finds_whatever_the_shards(shape: tuple[int, int]) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="Where is the Katze ?", top_k=25)
        assert ids(answer) == expected("Where is the Katze ?", 25)
        hits = answer.results[0].hits
        assert [hit.rank for hit in hits] == list(range(1, 26))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert {hit.language for hit in hits[:4]} == set(LANGUAGES)
        assert {hit.language: hit.direction for hit in hits} == {"en": "ltr", "de": "ltr", "fr": "ltr", "ar": "rtl"}
        passages = {one.id: one for one in world("red")}
        for hit in hits:
            assert (hit.title, hit.text, hit.metadata) == passages[hit.id][2:]
        assert (answer.partial, answer.partial_reason, answer.release) == (False, None, "red")
        assert (answer.shards.total, answer.shards.ok, answer.shards.failed) == (shape[1], shape[1], 0)
        took = answer.took_ms
        assert min(took.encode, took.search, took.total) > 0
        assert took.total >= took.encode + took.search

    in_house(test, groups=shape[0], shards=shape[1])


def test_several_questions_in_one_request_have_the_answers_of_one_each() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        questions = ["dog", "Haus", "arbre", "dog"]
        together = await search(client, queries=questions, top_k=5)
        for number, question in enumerate(questions):
            alone = await search(client, query=question, top_k=5)
            assert ids(alone) == ids(together, number)
            assert together.results[number].query == question
        assert house.encoder.batches[0][2] == ["dog", "Haus", "arbre"]  # each distinct question once
        assert house.shards[0].batches[0] == 4

    in_house(test)


def test_restrictions() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        text = "chien"
        answer = await search(client, query=text, languages=["de", "ara"], top_k=7)
        assert ids(answer) == expected(text, 7, lambda one: one.lang in ("de", "ar"))
        assert set(answer.results[0].language_share) == {"de", "ar"}
        answer = await search(client, query=text, filter={"year": {"gte": 2004}, "kind": "fr-kind"}, top_k=100)
        assert ids(answer) == expected(text, 100, lambda one: one.metadata["year"] >= 2004 and one.lang == "fr")
        answer = await search(client, query=text, filter={"year": 2001, "kind": {"in": ["en-kind"]}}, exclude_ids=["p10:en"])
        assert ids(answer) == expected(text, 10, lambda o: o.metadata["year"] == 2001 and o.lang == "en" and o.id != "p10:en")
        assert ids(await search(client, query=text, filter={"year": 1900})) == []

    in_house(test)


def test_the_language_of_a_question_is_detected_or_given() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, queries=["Wo liegt die Hauptstadt von Frankreich?", "12345"])
        assert [one.query_language.model_dump() for one in answer.results] == [
            {"code": "de", "detected": True},
            {"code": None, "detected": True},
        ]
        answer = await search(client, query="Katze", query_language="deu")
        assert answer.results[0].query_language.model_dump() == {"code": "de", "detected": False}

    in_house(test)

    async def without(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="Wo liegt die Hauptstadt von Frankreich?")
        assert answer.results[0].query_language.model_dump() == {"code": None, "detected": False}

    in_house(without, detect=False)


def test_balance_quota_gives_languages_their_turn_and_calibrated_another_order() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        plain = await search(client, query="cat", top_k=8)
        quota = await search(client, query="cat", top_k=8, balance="quota")
        share = {code: one.hits for code, one in quota.results[0].language_share.items()}
        assert share == dict.fromkeys(LANGUAGES, 0.25)
        calibrated = await search(client, query="cat", top_k=8, balance="calibrated")
        assert len(set(ids(calibrated))) == len(set(ids(quota))) == len(set(ids(plain))) == 8
        limited = await search(client, query="cat", top_k=3, balance="quota", languages=["fr", "ar"])
        assert {hit.language for hit in limited.results[0].hits} == {"fr", "ar"}

    in_house(test)


def test_shares_of_languages() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="cat", top_k=20)
        shares = answer.results[0].language_share
        langs = [hit.language for hit in answer.results[0].hits]
        assert sum(one.corpus for one in shares.values()) == pytest.approx(1)
        assert shares["ar"].corpus == pytest.approx(12 / 120)
        for code in LANGUAGES:
            assert shares[code].hits == pytest.approx(langs.count(code) / 20)

    in_house(test)


def test_the_nearest_sentence_is_marked() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="river", top_k=3, filter={"year": 2000})
        for hit in answer.results[0].hits:
            assert hit.text is not None
            assert hit.highlight is not None
            assert "comes second" in hit.text[hit.highlight.start : hit.highlight.end]
            assert "goes first" not in hit.text[hit.highlight.start : hit.highlight.end]
        off = await search(client, query="river", highlight=False)
        assert {hit.highlight for hit in off.results[0].hits} == {None}

    in_house(test)


def test_highlights_are_left_out_when_the_server_is_busy_or_the_encoder_fails_for_them() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        await search(client, query="river", highlight=False)
        house.encoder.trouble.error = OSError("gone")  # the question is in the cache, the sentences are not
        answer = await search(client, query="river")
        assert not answer.partial
        assert len(ids(answer)) == 10
        assert {hit.highlight for hit in answer.results[0].hits} == {None}
        assert house.gateway.ready  # an extra that fails is no reason to send requests elsewhere

    in_house(test)

    async def busy(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="river")
        assert {hit.highlight for hit in answer.results[0].hits} == {None}

    in_house(busy, load={"highlight_below": 0})


def test_without_texts_the_shards_are_not_asked_for_them() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, query="tree", include_text=False)
        assert ids(answer) == expected("tree", 10)
        assert {(hit.title, hit.text, hit.metadata) for hit in answer.results[0].hits} == {(None, None, None)}
        assert sum(shard.reading.calls for shard in house.shards) == 0

    in_house(test)


def test_reranking_orders_the_best_hits_anew() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, queries=["bread", "dog"], rerank=True, top_k=5)
        for result in answer.results:
            scores = [hit.rerank_score for hit in result.hits]
            assert all(score is not None and 0 < score < 1 for score in scores)
            assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
            assert len(result.hits) == 5
        assert answer.took_ms.rerank > 0
        assert house.reranker is not None
        house.reranker.trouble.error = OSError("gone")
        answer = await search(client, query="bread", rerank=True, top_k=5)
        assert ids(answer) == expected("bread", 5)
        assert answer.partial
        assert "reranker" in str(answer.partial_reason)
        assert answer.shards.failed == 0

    in_house(test)


def test_the_same_question_is_encoded_once_and_however_it_was_typed() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        first = await search(client, query="  Café chat ", highlight=False)
        again = await search(client, query=unicodedata.normalize("NFD", "Café chat"), highlight=False)
        assert first.results == again.results
        assert first.results[0].query == "Café chat"
        assert len(house.encoder.batches) == 1

    in_house(test)


def test_requests_that_come_together_share_calls() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.encoder.trouble.seconds = 0.02
        answers = await asyncio.gather(*(search(client, query=f"cat {n}", highlight=False) for n in range(40)))
        assert len({tuple(ids(answer)) for answer in answers}) >= 1
        assert len(house.encoder.batches) <= 6
        assert sum(house.shards[0].batches) == 40
        assert len(house.shards[0].batches) <= 12

    in_house(test)


def test_embeddings_as_floats_and_base64() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        texts = ["the cat", "Haus"]
        found = await client.post("/v1/embeddings", json={"input": texts, "model": "red"})
        answer = EmbeddingsAnswer.model_validate(found.json(), strict=True)
        assert answer.model == "red"
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
        for number, one in enumerate(answer.data):
            assert (one.index, one.object) == (number, "embedding")
            np.testing.assert_array_equal(np.array(one.embedding, np.float32), vector(texts[number]))
        assert house.encoder.batches[-1][1] == "passage"
        body = {"input": "the cat", "encoding_format": "base64", "input_type": "query"}
        text = (await client.post("/v1/embeddings", json=body)).json()["data"][0]["embedding"]
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), vector("the cat"))
        assert house.encoder.batches[-1][1] == "query"

    in_house(test)


def test_shorter_embeddings_where_the_encoder_was_trained_for_them() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        found = await client.post("/v1/embeddings", json={"input": "the cat", "dimensions": 8})
        short = np.array(found.json()["data"][0]["embedding"])
        assert short.shape == (8,)
        assert np.linalg.norm(short) == pytest.approx(1, abs=1e-6)
        assert (await client.post("/v1/embeddings", json={"input": "the cat", "dimensions": 24})).status_code == 200
        refused = await client.post("/v1/embeddings", json={"input": "the cat", "dimensions": 9})
        assert refused.status_code == 400
        assert refused.json()["error"]["field"] == "dimensions"
        assert "8, 24" in refused.json()["error"]["message"]

    in_house(test)


def test_rerank_in_jinas_and_coheres_shape() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        documents = ["about a dog", {"text": "cat cat"}, "the cat"]
        body = {"query": "Katze", "documents": documents, "top_n": 2, "return_documents": True, "model": "current"}
        answer = RerankAnswer.model_validate((await client.post("/v1/rerank", json=body)).json(), strict=True)
        assert [one.index for one in answer.results] == [1, 2]
        assert answer.results[0].document == {"text": "cat cat"}
        assert answer.results[0].relevance_score > answer.results[1].relevance_score
        assert answer.usage.pairs == 3
        body = {"query": "Katze", "documents": documents}
        answer = RerankAnswer.model_validate((await client.post("/v1/rerank", json=body)).json(), strict=True)
        assert [one.index for one in answer.results] == [1, 2, 0]
        assert {one.document for one in answer.results} == {None}

    in_house(test)


def test_without_a_reranker_the_endpoint_says_so() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        found = await client.post("/v1/rerank", json={"query": "a", "documents": ["b"]})
        assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")
        found = await client.post("/v1/search", json={"query": "a", "rerank": True})
        assert (found.status_code, found.json()["error"]["field"]) == (422, "rerank")

    in_house(test, reranker=False)


def test_info_tells_what_can_be_asked_for() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        info = Info.model_validate((await client.get("/v1/info")).json(), strict=True)
        assert info.release == "red"
        assert info.index.passages == 120
        assert info.index.fields == FIELDS
        assert info.index.languages["de"].model_dump() == {
            "count": 36,
            "name": "Deutsch",
            "english": "German",
            "direction": "ltr",
        }
        assert info.index.languages["ar"].direction == "rtl"
        assert info.balance == ["none", "quota", "calibrated"]
        assert info.encoder.dimensions == [8, 24]
        assert info.limits["queries"] == 64
        assert info.examples == ["Where is the cat?"]

    in_house(test)


def test_health_readiness_and_before_a_release_is_loaded() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        assert (await client.get("/healthz")).status_code == 200
        for found in (
            await client.get("/readyz"),
            await client.get("/v1/info"),
            await client.post("/v1/search", json={"query": "a"}),
            await client.post("/v1/embeddings", json={"input": "a"}),
            await client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}),
        ):
            assert (found.status_code, found.json()["error"]["code"]) == (503, "unavailable")
            assert int(found.headers["retry-after"]) >= 1
        async with house.client("red"):
            assert (await client.get("/readyz")).json() == {"release": "red"}
        house.gateway.gate.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200

    in_house(test, release=None)


def test_documentation_needs_nothing_from_elsewhere() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert "<script" not in page.text
        for path in ("/v1/search", "/v1/embeddings", "/v1/rerank", "/v1/info", "/admin/release"):
            assert path in page.text
        assert (await client.get("/docs/style.css")).headers["content-type"].startswith("text/css")
        described = (await client.get("/openapi.json")).json()
        assert set(described["paths"]) == {
            "/v1/search", "/v1/embeddings", "/v1/rerank", "/v1/info", "/healthz", "/readyz", "/admin/release", "/admin/status",
        }  # fmt: skip
        for methods in described["paths"].values():
            for about in methods.values():
                for status, answer in about["responses"].items():
                    if status >= "400":
                        assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
        assert "HTTPValidationError" not in json.dumps(described)

    in_house(test)


def test_the_page_and_nothing_beside_it() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert (await client.head("/")).status_code == 200
        assert (await client.get("/page/app.js")).headers["content-type"].startswith("text/javascript")
        for path in ("/page/", "/page/app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page/nothing.js", "/static/x"):
            found = await client.get(path)
            assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")

    in_house(test)


def test_admin_swaps_with_a_key_only() -> None:
    async def run() -> None:
        house = House()
        control = LocalControl(house.gateway, Path("/releases"))
        house.app = build_app(house.gateway, control=control, keys=Keys.of(["api-key-0"], ["admin-key-0"]))
        admin, api = {"authorization": "Bearer admin-key-0"}, {"authorization": "Bearer api-key-0"}
        async with house.client() as client:
            for headers in ({}, api, {"authorization": "Bearer nonsense"}):
                found = await client.post("/admin/release", json={"release": "blue"}, headers=headers)
                assert (found.status_code, found.json()["error"]["code"]) == (401, "unauthorized")
                assert (await client.get("/admin/status", headers=headers)).status_code == 401
            found = await client.post("/admin/release", json={"release": "blue"}, headers=admin)
            assert found.json()["release"] == "blue"
            assert (await client.post("/v1/search", json={"query": "cat"})).status_code == 401
            found = await client.post("/v1/search", json={"query": "cat"}, headers=api)
            assert found.json()["release"] == "blue"
            await house.gateway.settled()
            status = (await client.get("/admin/status", headers=admin)).json()
            assert (status["release"], status["leaving"], status["down"]) == ("blue", [], [])
            tricks = ("../blue", "/etc/passwd", "blue/../red", "", ".", "..", "B", "a" * 65, "a\u0000b", "%2e%2e", "nothing")
            for name in tricks:
                found = await client.post("/admin/release", json={"release": name}, headers=admin)
                assert (found.status_code, found.json()["error"]["code"]) == (422, "invalid_request")
            assert house.gateway.release == "blue"

    asyncio.run(run())


def test_each_request_is_recorded_without_its_words() -> None:
    async def run() -> None:
        records = []
        house = House()
        house.app = build_app(house.gateway, observers=[records.append])
        async with house.client() as client:
            await client.post("/v1/search", json={"queries": ["secret cat", "dog"], "top_k": 3})
            await client.post("/v1/search", json={"query": ""})
        good, bad = records
        assert (good.status, good.release, good.texts, good.shards_ok, good.shards_failed) == (200, "red", 2, 4, 0)
        assert sum(good.hits.values()) == 6
        assert set(good.took_ms) == {"encode", "search", "rerank", "highlight", "total"}
        assert sum(good.corpus.values()) == pytest.approx(1)
        assert good.queries is None
        assert (bad.status, bad.error) == (422, "invalid_request")
        assert min(good.ms, bad.ms, good.bytes_out, bad.bytes_out) > 0

    asyncio.run(run())

"""Searches in their normal cases, over exact stand-ins for models and shards."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asking import expected, ids, in_house, search
from stand_in import LANGUAGES, House, world


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


@pytest.mark.parametrize(("body", "calls"), [({"top_k": 20}, 0), ({"top_k": 65}, 2), ({"top_k": 5, "balance": "quota"}, 2)])
def test_texts_of_short_answers_come_along_with_the_hits(body: dict[str, Any], calls: int) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = await search(client, queries=["tree", "cat"], **body)
        assert sum(shard.reading.calls for shard in house.shards) == calls
        passages = {one.id: one for one in world("red")}
        for number in (0, 1):
            hits = answer.results[number].hits
            assert len(hits) == body["top_k"]
            assert [(hit.title, hit.text) for hit in hits] == [(passages[hit.id].title, passages[hit.id].text) for hit in hits]

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


def test_the_work_of_one_request_is_bounded() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        balanced = {"queries": ["cat", "dog"], "balance": "quota"}
        await search(client, **balanced, top_k=10)  # 2 questions x 10 hits x 4 languages
        await search(client, **balanced, top_k=20, languages=["de", "fr"])
        for body, field in (
            ({**balanced, "top_k": 11}, "balance"),
            ({"queries": ["cat", "dog", "tree"], "rerank": True, "top_k": 3}, "rerank"),
        ):
            found = await client.post("/v1/search", json=body)
            assert (found.status_code, found.json()["error"]["field"]) == (422, field)
            assert "allowed are" in found.json()["error"]["message"]
        await search(client, queries=["cat", "dog"], rerank=True, top_k=3)

    in_house(test, limits={"candidates": 80, "pairs": 20}, rerank_depth=10)


def test_the_time_that_a_body_takes_is_not_taken_from_its_answer() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        async def slowly() -> AsyncIterator[bytes]:
            yield b'{"query": "cat", '
            await asyncio.sleep(1.2)
            yield b'"timeout_ms": 1000}'

        found = await client.post("/v1/search", content=slowly(), headers={"content-type": "application/json"})
        assert found.status_code == 200, found.text
        assert found.json()["took_ms"]["total"] >= 1200

    in_house(test)

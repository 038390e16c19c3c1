"""The endpoints that lend out the models, in their normal cases, over exact stand-ins."""

import asyncio
import base64

import httpx
import numpy as np
import pytest
from asking import in_house
from stand_in import House, until, vector

from xlret.serve.schema.answers import EmbeddingsAnswer, ModelList, RerankAnswer


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


@pytest.mark.parametrize(("path", "version"), [("/v1/rerank", "1"), ("/v2/rerank", "2"), ("/v2/rerank/", "2")])
def test_rerank_in_jinas_and_coheres_shapes(path: str, version: str) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        documents = ["about a dog", {"text": "cat cat", "title": None, "year": 1999}, "the cat"]
        body = {"query": "Katze", "documents": documents, "top_n": 2, "return_documents": True, "model": "current"}
        found = await client.post(path, json=body)
        answer = RerankAnswer.model_validate(found.json(), strict=True)
        assert [result.index for result in answer.results] == [1, 2]
        assert [result["document"] for result in found.json()["results"]] == [documents[1], {"text": "the cat"}]
        assert answer.results[0].relevance_score > answer.results[1].relevance_score
        assert (answer.usage.pairs, answer.usage.total_tokens) == (3, 3 * 1 + 3 + 2 + 2)
        assert (answer.id, answer.model) == (found.headers["x-request-id"], "red")
        assert found.json()["meta"] == {"api_version": {"version": version}, "billed_units": {"search_units": 1}}
        for asked_for in ({}, {"return_documents": False}, {"return_documents": None}):
            found = await client.post(path, json={"query": "Katze", "documents": documents, **asked_for})
            assert [set(result) for result in found.json()["results"]] == [{"index", "relevance_score"}] * 3
            assert [result["index"] for result in found.json()["results"]] == [1, 2, 0]

    in_house(test)


def test_which_keys_of_a_document_are_ranked() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        documents = [
            {"text": "about nothing", "title": "cat cat cat", "year": 7},
            {"text": "cat", "title": "a dog"},
            {"title": "cat cat"},
        ]
        scored: list[str] = []
        score = house.reranker.score  # type: ignore[union-attr]

        async def noted(release: str, pairs: list[tuple[str, str]]) -> object:
            scored[:] = [text for _, text in pairs]
            return await score(release, pairs)

        house.reranker.score = noted  # type: ignore[union-attr, method-assign, assignment]
        body = {"query": "Katze", "documents": documents, "rank_fields": ["title"]}
        found = await client.post("/v1/rerank", json=body)
        assert [result["index"] for result in found.json()["results"]] == [2, 0, 1]
        assert scored == ["cat cat cat", "a dog", "cat cat"]
        found = await client.post("/v1/rerank", json={**body, "rank_fields": ["title", "text", "year"]})
        assert scored == ["cat cat cat\nabout nothing\n7", "a dog\ncat", "cat cat"]
        found = await client.post("/v1/rerank", json={**body, "rank_fields": None})
        assert (found.status_code, found.json()["error"]["field"]) == (422, None)
        assert "documents.2 has none of the keys text" in found.json()["error"]["message"]
        documents = ["cat dog  house", "cat", "Katze, Hund"]
        await client.post("/v2/rerank", json={"query": "a", "documents": documents, "max_tokens_per_doc": 2})
        assert scored == ["cat dog", "cat", "Katze, Hund"]  # one token a word here
        await client.post("/v2/rerank", json={"query": "a", "documents": documents, "max_tokens_per_doc": 4096})
        assert scored == documents

    in_house(test)


def test_models_in_openais_shape() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        answer = ModelList.model_validate((await client.get("/v1/models")).json(), strict=True)
        assert [card.id for card in answer.data] == ["red", "current"]
        for name in ("red", "current"):
            assert (await client.get(f"/v1/models/{name}")).json()["id"] == name
        found = await client.get("/v1/models/gpt-4o")
        assert (found.status_code, found.json()["error"]["field"]) == (404, "model")

    in_house(test)


def test_thousands_of_inputs_go_through_in_parts_and_let_others_in_between() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.encoder.trouble.seconds = 0.001
        texts = [f"cat {number}" for number in range(2048)]
        many = asyncio.ensure_future(client.post("/v1/embeddings", json={"input": texts}))
        await until(lambda: len(house.encoder.batches) >= 2)
        assert house.gateway.gate.texts <= 128
        single = await client.post("/v1/embeddings", json={"input": "a dog"})
        assert single.status_code == 200
        assert not many.done()
        answer = (await many).json()
        assert [row["index"] for row in answer["data"]] == list(range(2048))
        vectors = np.array([row["embedding"] for row in answer["data"]], np.float32)
        np.testing.assert_array_equal(vectors, np.stack([vector(text) for text in texts]))
        longest = house.settings.batch.passages * 64  # the longest passage has 64 tokens
        for _, _, batch in house.encoder.batches:
            assert sum(len(text.split()) for text in batch) <= longest
        assert max(len(batch) for _, _, batch in house.encoder.batches) > 2 * house.settings.batch.passages

    in_house(test)


def test_without_a_reranker_the_endpoint_says_so() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        found = await client.post("/v1/rerank", json={"query": "a", "documents": ["b"]})
        assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")
        found = await client.post("/v1/search", json={"query": "a", "rerank": True})
        assert (found.status_code, found.json()["error"]["field"]) == (422, "rerank")

    in_house(test, reranker=False)

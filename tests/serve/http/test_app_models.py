"""The endpoints that lend out the models, in their normal cases, over exact stand-ins."""

import base64

import httpx
import numpy as np
import pytest
from asking import in_house
from stand_in import House, vector

from xlret.serve.schema import EmbeddingsAnswer, RerankAnswer


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

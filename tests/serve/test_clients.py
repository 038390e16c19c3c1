"""Programs that people have, against a real server: the packages of OpenAI, Cohere and LangChain, litellm, `curl` and plain
Python; and README's examples."""

import base64
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cohere
import numpy as np
import openai
import pytest
from langchain_cohere import CohereRerank
from langchain_core.documents import Document
from langchain_openai import OpenAIEmbeddings
from served import PATIENCE, served
from stand_in import House
from starlette.types import Receive, Scope, Send
from tied import QUESTIONS, SETTINGS, TEXTS, serving

from xlret.model.encoder import Encoder
from xlret.serve.engine.local import local_gateway
from xlret.serve.http.access import Keys

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def encoder(release: Path) -> Encoder:
    return Encoder.load(release / "encoder")


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server}v1", api_key="none", timeout=PATIENCE, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_openai_embeddings_are_the_encoders_vectors(client: openai.OpenAI, encoder: Encoder, encoding: str | None) -> None:
    texts = [*TEXTS["honey"].values(), *TEXTS["moon"].values()]
    more = {} if encoding is None else {"encoding_format": encoding}  # the package asks for base64 and decodes it by itself
    answer = client.embeddings.create(model="current", input=texts, **more)
    vectors = [one.embedding for one in answer.data]
    if encoding == "base64":  # asked for by name, it hands the text on
        vectors = [np.frombuffer(base64.b64decode(one), "<f4") if isinstance(one, str) else one for one in vectors]
    np.testing.assert_allclose(np.array(vectors), encoder.encode(texts, "passage"), atol=1e-6)
    assert [one.index for one in answer.data] == list(range(len(texts)))
    assert answer.model == "tied"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(texts)


def test_openai_embeddings_of_questions_find_passages_in_other_languages(client: openai.OpenAI) -> None:
    names = [(topic, lang) for topic, texts in TEXTS.items() for lang in texts]
    passages = client.embeddings.create(model="current", input=[TEXTS[topic][lang] for topic, lang in names])
    question = client.embeddings.create(model="current", input=QUESTIONS["de"], extra_body={"input_type": "query"})
    scores = np.array([one.embedding for one in passages.data]) @ np.array(question.data[0].embedding)
    best = [names[place] for place in np.argsort(-scores)[:3]]
    assert sorted(best) == [("honey", "ar"), ("honey", "de"), ("honey", "en")]


def test_openai_errors_are_its_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="token ids"):
        client.embeddings.create(model="current", input=[[1, 2, 3]])
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="current", input="a", dimensions=7)
    with pytest.raises(openai.NotFoundError, match="no-such-model"):
        client.embeddings.create(model="no-such-model", input="a")
    with pytest.raises(openai.UnprocessableEntityError):
        client.embeddings.create(model="current", input=["a"] * 10_000)


def test_openai_lists_models_and_embeds_2048_texts_in_one_request(client: openai.OpenAI, encoder: Encoder) -> None:
    assert [model.id for model in client.models.list()] == ["tied", "current"]
    card = client.models.retrieve("current")
    assert (card.object, card.owned_by) == ("model", "xlret")
    assert abs(card.created - time.time()) < 3600  # the release was made for this test
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("text-embedding-3-small")
    texts = [f"{TEXTS['moon']['en'][: 1 + number % 60]} {number}" for number in range(2048)]
    answer = client.embeddings.create(model="current", input=texts)
    np.testing.assert_allclose([one.embedding for one in answer.data], encoder.encode(texts, "passage"), atol=1e-6)


def test_openai_sends_its_key(release: Path) -> None:
    with serving(local_gateway(SETTINGS), release, Keys.from_texts(["right-key"])) as address:
        for key in ("right-key", "wrong-key"):
            with openai.OpenAI(base_url=f"{address}v1", api_key=key, timeout=PATIENCE, max_retries=0) as client:
                if key == "right-key":
                    assert len(client.embeddings.create(model="current", input="a").data) == 1
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.embeddings.create(model="current", input="a")


@pytest.fixture(scope="module")
def reranking_server() -> Iterator[str]:
    """The address, without a slash, of a server whose reranker likes documents that share the question's first meaning."""
    house = House()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and house.gateway.release is None:
            await house.gateway.swap(Path("/releases/red"))
        await house.app(scope, receive, send)

    with served(app) as port:
        yield f"http://127.0.0.1:{port}"


DOGS = ["about a house", "the dog", "dog dog"]


def test_cohere_reranks_texts_and_objects_in_both_of_its_apis(reranking_server: str) -> None:
    first = cohere.Client(api_key="none", base_url=reranking_server, timeout=PATIENCE)
    second = cohere.ClientV2(api_key="none", base_url=reranking_server, timeout=PATIENCE)
    answer = second.rerank(model="current", query="Hund", documents=DOGS, top_n=2, max_tokens_per_doc=100)
    assert [result.index for result in answer.results] == [2, 1]
    assert answer.results[0].relevance_score > answer.results[1].relevance_score
    assert answer.meta is not None
    assert (answer.meta.api_version.version, answer.id is None) == ("2", False)
    objects = [{"title": text, "text": "nothing", "url": "x"} for text in DOGS]
    for documents, extra in ((DOGS, {}), (objects, {"rank_fields": ["title"]})):
        answer = first.rerank(
            model="current", query="Hund", documents=documents, return_documents=True, max_chunks_per_doc=10, **extra
        )
        assert [result.index for result in answer.results] == [2, 1, 0]
        assert answer.results[0].document.text == ("dog dog" if documents is DOGS else "nothing")
    answer = first.rerank(model="current", query="Hund", documents=DOGS, return_documents=False)
    assert [result.document for result in answer.results] == [None] * 3
    with pytest.raises(cohere.NotFoundError, match="rerank-v3"):
        second.rerank(model="rerank-v3.5", query="Hund", documents=DOGS)
    with pytest.raises(cohere.UnprocessableEntityError, match="at least 1 item"):
        second.rerank(model="current", query="Hund", documents=[])


def test_langchain_reranks(reranking_server: str) -> None:
    reranker = CohereRerank(base_url=reranking_server, model="current", top_n=2, cohere_api_key="none")
    assert [one["index"] for one in reranker.rerank([Document(page_content=text) for text in DOGS], "Hund")] == [2, 1]
    compressed = reranker.compress_documents([Document(page_content=text) for text in DOGS], "Hund")
    assert [document.page_content for document in compressed] == ["dog dog", "the dog"]


def test_langchain_embeds(server: str, encoder: Encoder) -> None:
    embeddings = OpenAIEmbeddings(
        model="current", base_url=f"{server}v1", api_key="none", check_embedding_ctx_length=False, chunk_size=100
    )
    texts = [*TEXTS["honey"].values(), *TEXTS["moon"].values()] * 40
    np.testing.assert_allclose(embeddings.embed_documents(texts), encoder.encode(texts, "passage"), atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query("Bees"), encoder.encode(["Bees"], "passage")[0], atol=1e-6)


@pytest.mark.parametrize("provider", ["cohere", "jina_ai", "hosted_vllm"])
@pytest.mark.parametrize("documents", [None, True, False])
def test_litellm_reranks(reranking_server: str, provider: str, documents: bool | None) -> None:
    litellm = pytest.importorskip("litellm", reason="litellm (1.105) wants huggingface_hub below 2")
    address = reranking_server if provider == "hosted_vllm" else f"{reranking_server}/v1/rerank"
    extra = {} if documents is None else {"return_documents": documents}
    answer = litellm.rerank(
        model=f"{provider}/current", query="Hund", documents=DOGS, top_n=2, api_base=address, api_key="none", **extra
    )
    assert [result["index"] for result in answer.results] == [2, 1]


@pytest.mark.parametrize(("path", "documents"), [("/v1/rerank", True), ("/v2/rerank", False), ("/rerank", None)])
def test_what_litellm_sends_and_can_read(reranking_server: str, path: str, documents: bool | None) -> None:
    """Its very bodies, and the shape its classes of an answer demand: a key `document` is an object or is not there."""
    body = {"model": "current", "query": "Hund", "top_n": 2, "documents": DOGS, "rank_fields": None, "max_tokens_per_doc": None}
    headers = {"content-type": "application/json", "accept": "application/json", "authorization": "bearer none"}
    request = urllib.request.Request(
        reranking_server + path, json.dumps({**body, "return_documents": documents}).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        answer = json.load(response)
    assert isinstance(answer["id"], str)
    assert isinstance(answer["usage"]["total_tokens"], int)
    for result in answer["results"]:
        assert isinstance(result["relevance_score"], float)
        assert set(result) == {"index", "relevance_score", *(["document"] if documents else [])}
        assert not documents or result["document"] == {"text": DOGS[result["index"]]}


def examples(kind: str) -> list[str]:
    """README's blocks of a kind that talk to a server."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [one for one in blocks if "127.0.0.1:8000" in one]
    assert found, f"README.md has no ```{kind} block that asks 127.0.0.1:8000"
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_readme_curl(server: str) -> None:
    for block in examples("sh"):
        commands = block.replace("http://127.0.0.1:8000/", server)
        printed = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        assert json.loads(printed)["results"][0]["hits"]


def test_readme_python(server: str) -> None:
    for block in examples("python"):
        program = block.replace("http://127.0.0.1:8000/", server)
        printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert printed.stdout.strip()


def test_plain_python_needs_no_package(server: str) -> None:
    body = json.dumps({"queries": list(QUESTIONS.values()), "top_k": 3}).encode()
    request = urllib.request.Request(f"{server}v1/search", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        results = json.load(answer)["results"]
    assert [sorted(hit["id"] for hit in one["hits"]) for one in results] == [["honey:ar", "honey:de", "honey:en"]] * 3

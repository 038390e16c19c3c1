"""Programs that people have: the `openai` package, `curl` and plain Python, against a real server; and README's examples."""

import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from served import PATIENCE
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


def test_openai_sends_its_key(release: Path) -> None:
    with serving(local_gateway(SETTINGS), release, Keys.from_texts(["right-key"])) as address:
        for key in ("right-key", "wrong-key"):
            with openai.OpenAI(base_url=f"{address}v1", api_key=key, timeout=PATIENCE, max_retries=0) as client:
                if key == "right-key":
                    assert len(client.embeddings.create(model="current", input="a").data) == 1
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.embeddings.create(model="current", input="a")


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

"""The whole way with real parts in this process: encoder, FAISS shards and release files, behind the HTTP application."""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import search
from tied import QUESTIONS, passages

from xlret.errors import CorruptError
from xlret.model.encoder import Encoder
from xlret.release.record import read_record
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.local import LocalControl, local_gateway
from xlret.serve.http.access import Keys
from xlret.serve.http.app import build_app
from xlret.serve.settings import ServeSettings


@asynccontextmanager
async def serving(release: Path, **settings: Any) -> Any:
    """A client and the gateway behind it."""
    gateway = local_gateway(ServeSettings(**{"deadline": {"timeout_ms": 30_000, "highlight_ms": 30_000}, **settings}))
    await gateway.swap(release)
    app = build_app(gateway, control=LocalControl(gateway, release.parent), keys=Keys.from_texts(admin=["admin-key-0"]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x", timeout=60) as client:
        yield client, gateway


def test_every_file_is_read_once_however_many_parts_open_it(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, hashed = hashlib.file_digest, Counter[str]()

    def counted(file: Any, name: str) -> Any:
        hashed[str(Path(file.name).relative_to(release))] += Path(file.name).stat().st_size
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)

    async def run() -> None:
        async with serving(release, shard_groups=3) as (client, gateway):
            assert (await search(client, query=QUESTIONS["de"])).results[0].hits
            await gateway.swap(release)

    asyncio.run(run())
    assert hashed.pop("release.json") > 0  # it says what the others are, and is compared each time
    monkeypatch.undo()
    assert hashed == {name: entry.size for name, entry in read_record(release).files.items()}


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_answers_are_those_of_encoder_and_index_called_directly(release: Path, groups: int) -> None:
    encoder, index = Encoder.load(release / "encoder"), SearchIndex.open(release / "index")
    by_id = {one.id: one for one in passages()}

    async def run() -> None:
        async with serving(release, shard_groups=groups) as (client, _):
            for question in QUESTIONS.values():
                for languages in (None, ("ar",), ("de", "en")):
                    options = SearchOptions(top_k=7, languages=languages)
                    hits = index.search(encoder.encode([question], "query"), options)
                    extra = {} if languages is None else {"languages": list(languages)}
                    answer = await search(client, query=question, top_k=7, **extra)
                    found = answer.results[0].hits
                    assert [hit.id for hit in found] == hits.ids[0]
                    np.testing.assert_allclose([hit.score for hit in found], hits.scores[0], atol=1e-6)
                    for hit in found:
                        one = by_id[hit.id]
                        assert (hit.language, hit.title, hit.text, hit.metadata) == (
                            one.lang,
                            one.title,
                            one.text,
                            one.metadata,
                        )

    asyncio.run(run())


def test_a_question_in_one_language_finds_its_answer_in_all_with_the_right_sentence_marked(release: Path) -> None:
    async def run() -> None:
        async with serving(release) as (client, _):
            for lang, question in QUESTIONS.items():
                answer = await search(client, query=question, top_k=3)
                assert {hit.id for hit in answer.results[0].hits} == {"honey:en", "honey:de", "honey:ar"}
                assert answer.results[0].query_language.code == lang
                for hit in answer.results[0].hits:
                    assert hit.text is not None
                    assert hit.highlight is not None
                    marked = hit.text[hit.highlight.start : hit.highlight.end]
                    assert any(word in marked for word in ("Bees", "Bienen", "النحل"))
                    assert "😀" not in marked  # offsets count code points
            found = await search(client, query="honey", filter={"year": {"gte": 2022}}, top_k=50)
            years = {one.id: one.metadata["year"] for one in passages()}
            assert {hit.id for hit in found.results[0].hits} == {id for id, year in years.items() if year >= 2022}

    asyncio.run(run())


def test_embeddings_are_the_encoders(release: Path) -> None:
    encoder = Encoder.load(release / "encoder")
    texts = ["Bees make honey", "Der Mond", "الخبز"]

    async def run() -> None:
        async with serving(release) as (client, _):
            for side in ("query", "passage"):
                found = (await client.post("/v1/embeddings", json={"input": texts, "input_type": side})).json()
                vectors = np.array([one["embedding"] for one in found["data"]], np.float32)
                np.testing.assert_allclose(vectors, encoder.encode(texts, side), atol=1e-6)
                _, lengths = encoder.tokeniser.ragged(texts, side)
                assert found["usage"]["prompt_tokens"] == lengths.sum()

    asyncio.run(run())


def test_swap_there_and_back_and_a_damaged_release_is_refused_by_name(release: Path, tmp_path: Path) -> None:
    from tied import tied_release

    other = tied_release(tmp_path, "other")
    root = tmp_path / "releases"
    shutil.copytree(release, root / release.name)
    bad = root / "bad"
    shutil.copytree(other, bad)

    async def run() -> None:
        admin = {"authorization": "Bearer admin-key-0"}
        async with serving(root / release.name) as (client, gateway):
            assert isinstance(gateway, Gateway)
            for name in ("other", release.name, "other"):
                found = await client.post("/admin/release", json={"release": name}, headers=admin)
                assert found.status_code == 200, found.text
                assert (await search(client, query=QUESTIONS["de"])).release == name
            (root / "current").write_text(f"{release.name}\n", encoding="utf-8")
            for name, meant in (("current", release.name), ("other", "other")):  # an alias, and back
                found = await client.post("/admin/release", json={"release": name}, headers=admin)
                assert (found.status_code, found.json()["release"]) == (200, meant)
            found = await client.post("/admin/release", json={"release": "bad"}, headers=admin)
            assert found.status_code == 422
            assert "bad" in found.json()["error"]["message"]
            found = await client.post("/admin/release", json={"release": "absent"}, headers=admin)
            assert found.status_code == 422
            shard = next((root / release.name / "index").glob("shard-0001*.faiss"))
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 1
            shard.unlink()
            shard.write_bytes(content)
            await gateway.settled()
            with pytest.raises(CorruptError, match=shard.name):
                await gateway.swap(root / release.name)
            assert (await search(client, query=QUESTIONS["de"])).release == "other"

    asyncio.run(run())


CHILD = """
import asyncio, sys
from pathlib import Path
from xlret.serve.engine.local import LocalEncoder
from xlret.search.mapped import MappedFileError
from xlret.serve.settings import ServeSettings

async def run():
    encoder, release = LocalEncoder(ServeSettings()), Path(sys.argv[1])
    await encoder.load("whole", str(release))
    weights = release / "encoder" / "model.safetensors"
    before, content = await encoder.encode("whole", ["Bienen"], "query"), weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(b"")
    try:
        await encoder.encode("whole", ["Honig"], "query")
    except MappedFileError as error:
        print(error)
    weights.write_bytes(content)
    while True:
        try:
            assert (await encoder.encode("whole", ["Bienen"], "query") == before).all()
            break
        except MappedFileError:
            await asyncio.sleep(0.01)

asyncio.run(run())
"""


def test_weights_that_are_cut_short_are_an_error_and_not_the_end_of_the_process(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / release.name)
    command = [sys.executable, "-c", CHILD, str(tmp_path / release.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.count("model.safetensors was cut short")) == (0, 1), done.stderr


def test_questions_together_and_one_by_one_are_answered_alike_while_the_loop_goes_on(release: Path) -> None:
    """What an ingress does that holds the encoder: it is asked within the process, in a thread."""

    async def run() -> None:
        async with serving(release, batch={"cache_bytes": 0}) as (client, gateway):
            texts = [question for question in QUESTIONS.values() for _ in range(8)]
            alone = [await search(client, query=question, query_language="en") for question in QUESTIONS.values()]
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.ensure_future(tick())
            encoded = asyncio.ensure_future(gateway.live.encode(texts * 20, "query", time.monotonic() + 60))
            await asyncio.sleep(0)
            before, ticks = ticks, 0
            vectors = await encoded
            assert ticks > before
            ticking.cancel()
            direct = Encoder.load(release / "encoder").encode(texts, "query")
            np.testing.assert_allclose(vectors[: len(texts)], direct, atol=1e-6)
            together = await asyncio.gather(*(search(client, query=text, query_language="en") for text in texts))
            for number, answer in enumerate(together):
                expected = alone[number // 8].results[0].hits
                assert [hit.id for hit in answer.results[0].hits] == [hit.id for hit in expected]

    asyncio.run(run())

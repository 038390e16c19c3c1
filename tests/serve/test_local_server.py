"""The server of a notebook: a release, an index with its encoder or an open index, behind real HTTP and without Ray."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from served import PATIENCE, asked
from tied import QUESTIONS, SETTINGS

from xlret.errors import UserError
from xlret.model.encoder import Encoder
from xlret.search.index import SearchIndex
from xlret.search.text_index import TextIndex
from xlret.serve.local_server import LocalServer, serve_local

HONEY = ["honey:ar", "honey:de", "honey:en"]


def honey(server: LocalServer) -> Any:
    answer = asked(server.url, "/v1/search", {"query": QUESTIONS["de"], "top_k": 3})
    assert sorted(hit["id"] for hit in answer["results"][0]["hits"]) == HONEY
    assert all(hit["text"] for hit in answer["results"][0]["hits"])
    return answer


def test_a_release_and_a_directory_of_releases(release: Path) -> None:
    with serve_local(release, settings=SETTINGS) as server:
        assert honey(server)["release"] == "tied"
        with urllib.request.urlopen(server.url + "/", timeout=PATIENCE) as page:
            assert b"<!doctype html>" in page.read(200).lower()
        assert repr(server) == f"LocalServer({server.url})"
    with pytest.raises(urllib.error.URLError, match="refused"):
        asked(server.url, "/healthz")
    server.stop()  # again: nothing is left to stop
    assert repr(server) == f"LocalServer({server.url}, stopped)"
    (release.parent / "current").write_text("tied\n", encoding="utf-8")
    server = serve_local(str(release.parent), settings=SETTINGS)
    try:
        assert asked(server.url, "/v1/info")["release"] == "tied"
    finally:
        server.stop()
        (release.parent / "current").unlink()


def test_an_index_with_its_encoder(release: Path) -> None:
    with serve_local(release / "index", release / "encoder", settings=SETTINGS) as server:
        honey(server)
        info = asked(server.url, "/v1/info")
        assert (info["index"]["passages"], info["reranker"]) == (13, False)
    index, encoder = SearchIndex.open(release / "index"), Encoder.load(release / "encoder")
    with serve_local(index, encoder) as server:
        assert honey(server)["release"] == info["release"]
        assert asked(server.url, "/v1/embeddings", {"input": "Bees", "model": info["release"]})["data"][0]["embedding"]


def test_another_encoder_of_the_same_size_is_refused(release: Path) -> None:
    index, encoder = SearchIndex.open(release / "index"), Encoder.load(release / "encoder")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in encoder.parameters():
            weights += 0.5 * weights.std(correction=0) * torch.randn(weights.shape, generator=generator)
    with pytest.raises(UserError, match=r"is not the one that the index .* encoded anew, have a cosine of"):
        serve_local(index, encoder)
    with pytest.raises(UserError, match="is not the one that the index"):
        TextIndex.open(release / "index", encoder)


def test_what_cannot_be_served_is_one_line(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no release"):
        serve_local(tmp_path / "none")
    with pytest.raises(UserError, match="give the encoder"):
        serve_local(SearchIndex.open(release / "index"))
    with pytest.raises(UserError, match="no index"):
        serve_local(tmp_path, release / "encoder")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="choose another port"):
        serve_local(release, port=taken.getsockname()[1])
    (tmp_path / "damaged").mkdir()
    with pytest.raises(UserError, match="damaged"):
        serve_local(tmp_path / "damaged")


def test_ray_is_not_needed() -> None:
    program = "import sys, xlret.serve.local_server; sys.exit('ray' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=PATIENCE).returncode == 0

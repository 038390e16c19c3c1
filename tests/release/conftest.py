"""A tiny encoder and an index made with it: what releases are made of."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from xlret.data.corpus import ParallelCorpus
from xlret.model.encoder import Encoder
from xlret.release import make_release
from xlret.search.build import build_index
from xlret.search.passages import passages_of_corpus
from xlret.search.settings import IndexSettings
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.store import write_store


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory, corpora: Path, encoder: Path) -> Path:
    """Its passages of the dev corpus in two shards."""
    directory = tmp_path_factory.mktemp("index")
    passages = list(passages_of_corpus(ParallelCorpus.open(corpora / "dev")))
    model = Encoder.load(encoder)
    vectors = model.encode([one.full_text for one in passages], "passage")
    about = about_encoder(encoder, encoder, encoder_files(encoder), model.dimension)
    store = write_store(directory / "passages", passages, vectors, encoder=about)
    build_index(store, directory / "index", IndexSettings(shards=2, certificate_queries=20, threads=1), say=lambda _: None)
    return directory / "index"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Path, index: Path) -> Path:
    """A release that is whole, for all tests to copy."""
    return make_release(tmp_path_factory.mktemp("releases"), "whole", encoder, index)


@pytest.fixture
def copied(tmp_path: Path, whole: Path) -> Path:
    """A release that a test may damage."""
    return shutil.copytree(whole, tmp_path / "whole")


Evaluation = Callable[..., Path]


@pytest.fixture
def evaluation(tmp_path: Path, encoder: Path) -> Evaluation:
    """Writes an `evaluation.json` of the encoder with the numbers given."""

    def write(name: str = "evaluation", **changes: object) -> Path:
        path = tmp_path / name / "evaluation.json"
        path.parent.mkdir()
        content = {
            "encoder": str(encoder),
            "encoder_files": encoder_files(encoder),
            "settings": dict.fromkeys(("query_prompt", "passage_prompt", "max_query_tokens", "max_passage_tokens")),
            "mo": 0.9,
            "cr": None,
            "mul": 0.5,
            "rank_distance": 40.0,
            "sets": [{"name": "made/dev", "queries": 160, "passages": 160}],
            "benchmark": None,
        }
        path.write_text(json.dumps(content | changes))
        return path

    return write

from pathlib import Path

import pytest
from made_up import make_store

from xlret.search import certificate
from xlret.search.vectors.store import VectorStore


@pytest.fixture(autouse=True)
def _measured_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests look at is recall, not speed."""
    monkeypatch.setattr(certificate, "_LEAST_SECONDS", 0.0)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> VectorStore:
    """700 passages, of which 300 share vectors with others."""
    directory: Path = tmp_path_factory.mktemp("search") / "store"
    return make_store(directory, 700, distinct=400)

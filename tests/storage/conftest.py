from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import object_store


@pytest.fixture(scope="session")
def store() -> Iterator[dict[str, str]]:
    """The environment of a running S3 store with the bucket `bucket`."""
    with object_store("bucket") as settings:
        yield settings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("XLRET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"

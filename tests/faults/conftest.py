from pathlib import Path
from typing import Any

import pytest
from machine_training import small_run


@pytest.fixture(scope="session")
def recipe(corpora: Path, lexicon: Path) -> dict[str, Any]:
    return small_run(corpora, lexicon)

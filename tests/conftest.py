"""A small made-up parallel corpus and lexicon, the same for every test that needs one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from xlret.data.corpus import ParallelCorpus, Row, write_corpus
from xlret.model.settings import EncoderSettings, FreshEncoder

if TYPE_CHECKING:  # only tests of pages need playwright
    from browsing import Browser

# No deadline: how long an example takes says nothing on a shared machine. The same examples each time: whether main works
# must not depend on the draw; `HYPOTHESIS_PROFILE=search make test` looks for new ones.
settings.register_profile("xlret", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "xlret"))

# Ray's workers give way to every other process by default: on a busy machine its tests would starve.
os.environ.setdefault("RAY_worker_niceness", "0")

LANGUAGES = ("en", "de", "fr", "tr")
_CONSONANTS = "bdfgklmnprst"
_VOWELS = "aeiou"


def word(lang: str, index: int) -> str:
    """A made-up word: the same meaning `index` has another form in every language."""
    rng = np.random.default_rng([LANGUAGES.index(lang), index])
    return "".join(rng.choice(list(_CONSONANTS)) + rng.choice(list(_VOWELS)) for _ in range(3))


def rows(groups: int, languages: tuple[str, ...] = LANGUAGES, first: int = 0) -> Iterator[Row]:
    """Groups whose passage tells five words and whose query asks with two of them."""
    for group in range(first, first + groups):
        meanings = np.random.default_rng([7, group]).choice(300, 5, replace=False)
        for lang in languages:
            words = [word(lang, int(one)) for one in meanings]
            yield Row(f"g{group}", lang, f"{words[0]} {words[1]} ?", None, " ".join(words) + ".")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the prepared corpora `train` (160 groups) and `dev` (40 groups)."""
    directory = tmp_path_factory.mktemp("corpora")
    for name, groups, first in (("train", 160, 0), ("dev", 40, 160)):
        write_corpus(
            directory / name, rows(groups, first=first), source="made up", licence="none", revision="1", made_by="tests"
        )
    return directory


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    """A tiny encoder from random weights, saved."""
    from xlret.model.encoder import start_encoder

    corpus = ParallelCorpus.open(corpora / "train")
    texts = [text for lang in corpus.languages for text in corpus.passages(lang, np.arange(corpus.n_groups))]
    fresh = FreshEncoder(vocabulary=300, layers=1, hidden=32, heads=2, feed_forward=64)
    path = tmp_path_factory.mktemp("encoder") / "model"
    start_encoder(EncoderSettings(fresh=fresh, max_query_tokens=16, max_passage_tokens=24), lambda: texts, 0).save(path)
    return path


@pytest.fixture(scope="session")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `en-de.txt` and `en-fr.txt`, one with tabs and one with spaces."""
    directory = tmp_path_factory.mktemp("lexicon")
    for lang, separator in (("de", "\t"), ("fr", " ")):
        lines = (f"{word('en', index)}{separator}{word(lang, index)}\n" for index in range(300))
        (directory / f"en-{lang}.txt").write_text("".join(lines), encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium; skips where there is none."""
    from browsing import ARGUMENTS, CHROMIUM, PATIENCE, sync_api

    if CHROMIUM is None:
        pytest.skip("no chromium on PATH or in /usr/bin (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split(), timeout=PATIENCE * 1000)
        yield launched
        launched.close()

"""Texts of a large set on disk: read back as they were, in a file that leaves nothing behind."""

import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from xlret.data import texts_on_disk
from xlret.data.texts_on_disk import TextsOnDisk, hold_texts
from xlret.errors import UserError

TEXTS = ["", "Oslo", "größer", "e\u0301", "道路", "𐍈 and 🙂", "two\nlines", " blanks ", "\ufeff", "Oslo"]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(texts_on_disk, "_ROWS", 3)
    yield tmp_path
    assert not list(tmp_path.iterdir())


def test_texts_are_read_back() -> None:
    texts = TextsOnDisk(iter(TEXTS))
    assert len(texts) == len(TEXTS)
    assert list(texts) == texts[:] == TEXTS
    assert [texts[row] for row in range(-10, 10)] == TEXTS + TEXTS
    assert texts[np.int64(4)] == "道路"
    assert texts[7:2:-2] == TEXTS[7:2:-2]
    assert texts[20:] == []
    assert list(reversed(texts)) == TEXTS[::-1]
    assert (texts.count("Oslo"), texts.index("größer"), "Bergen" in texts) == (2, 2, False)
    for row in (10, -11):
        with pytest.raises(IndexError):
            texts[row]
    assert list(TextsOnDisk([])) == []


def test_the_number_of_characters_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_on_disk, "IN_MEMORY", 6)
    assert hold_texts(iter(["a", "道路", "cde"])) == ["a", "道路", "cde"]
    texts = hold_texts(iter(["a", "道路", "cdef", "g"]))
    assert isinstance(texts, TextsOnDisk)
    assert list(texts) == ["a", "道路", "cdef", "g"]


def test_other_processes_cannot_be_given_all_by_accident() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(TextsOnDisk(TEXTS))


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        TextsOnDisk(["a", "\ud800"])


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, mode: str) -> Any:
        return pa.PythonFile(open("/dev/full", "wb", buffering=0), mode)

    monkeypatch.setattr(pa, "OSFile", full)
    with pytest.raises(UserError, match="is full: the texts of a large set are held there; set TMPDIR"):
        TextsOnDisk(TEXTS)

"""What is tokenised, and read as a lexicon, once for all runs of a process."""

import os
from pathlib import Path

import numpy as np
import pytest

from xlret.lexicon.remembered import remembered_lexicon
from xlret.tokens import remembered
from xlret.tokens.remembered import remembered_ragged
from xlret.tokens.texts import Tokeniser

TEXTS = ["bada gela", "kuro mi sano ?", "a longer text than the others are, to be cut somewhere on the way to its end"]


def test_equal_texts_of_an_equal_tokeniser_are_tokenised_once(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered._memory.clear()
    first, again = Tokeniser.load(encoder), Tokeniser.load(encoder)
    plain = Tokeniser.load(encoder).ragged(TEXTS, "query")
    ids, lengths = remembered_ragged(first, TEXTS, "query")
    assert np.array_equal(ids, plain[0])
    assert np.array_equal(lengths, plain[1])
    assert max(lengths) == first.card.max_query_tokens
    assert remembered_ragged(again, TEXTS, "query")[0] is ids
    assert not ids.flags.writeable
    assert remembered_ragged(first, TEXTS, "passage")[1].max() > lengths.max()  # another limit
    assert remembered_ragged(first, TEXTS[:2], "query")[0] is not ids
    shorter = first.card.model_copy(update={"max_query_tokens": 6})
    other = Tokeniser(Tokeniser.load(encoder)._backend, shorter)
    assert remembered_ragged(other, TEXTS, "query")[1].max() == 6
    monkeypatch.setattr(remembered, "_MOST_BYTES", 0)
    assert remembered_ragged(first, ["new"], "query")[1].size == 1
    assert not remembered._memory


def test_a_lexicon_is_read_again_only_where_its_files_changed(tmp_path: Path) -> None:
    file = tmp_path / "en-de.txt"
    file.write_text("house\tHaus\n", encoding="utf-8")
    lexicon = remembered_lexicon([tmp_path])
    assert remembered_lexicon([tmp_path]) is lexicon
    assert remembered_lexicon([tmp_path], ["de"]) is not lexicon
    file.write_text("house\tHaus\ntree\tBaum\n", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    assert remembered_lexicon([tmp_path]) is not lexicon

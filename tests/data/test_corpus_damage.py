"""Every way in which a corpus directory can be damaged is refused by name."""

import json
from pathlib import Path

import pytest
from small_corpus import groups_of, small

from xlret.data.corpus import ParallelCorpus
from xlret.errors import CorruptError, UserError


def damaged(directory: Path, name: str, change: str) -> None:
    path = directory / name
    data = bytearray(path.read_bytes())
    if change == "cut":
        path.write_bytes(data[:-10])
    elif change == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["query.de.arrow", "passage.en.arrow", "groups.arrow"])
@pytest.mark.parametrize("change", ["cut", "gone", "bit"])
def test_damaged_files_are_named(tmp_path, name, change):
    small(tmp_path / "corpus")
    damaged(tmp_path / "corpus", name, change)
    with pytest.raises(CorruptError, match=name):
        ParallelCorpus.open(tmp_path / "corpus")
    if change != "bit":
        with pytest.raises(CorruptError, match=name):
            ParallelCorpus.open(tmp_path / "corpus", verify=False)


def test_a_file_that_is_no_arrow_file_is_named_even_unverified(tmp_path):
    small(tmp_path / "corpus")
    path = tmp_path / "corpus" / "query.de.arrow"
    path.write_bytes(b"x" * path.stat().st_size)
    corpus = ParallelCorpus.open(tmp_path / "corpus", verify=False)
    with pytest.raises(CorruptError, match=r"query\.de\.arrow is damaged"):
        corpus.queries("de", groups_of(corpus, "a"))


def test_text_that_is_not_utf8_is_named_even_unverified(tmp_path):
    small(tmp_path / "corpus")
    path = tmp_path / "corpus" / "query.de.arrow"
    path.write_bytes(path.read_bytes().replace("grün".encode(), b"gr\xff\xffn"))
    corpus = ParallelCorpus.open(tmp_path / "corpus", verify=False)
    with pytest.raises(CorruptError, match=r"query\.de\.arrow is damaged: a text is not UTF-8"):
        corpus.queries("de", groups_of(corpus, "d"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"n_groups": 0}, "n_groups"),
        ({"extra": 1}, "extra"),
        ({"files": {}}, "its files and its sides do not agree"),
    ],
)
def test_a_manifest_that_is_not_whole_is_refused(tmp_path, edit, message):
    small(tmp_path / "corpus")
    path = tmp_path / "corpus" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(CorruptError, match=message):
        ParallelCorpus.open(tmp_path / "corpus")


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no corpus at .*nowhere"):
        ParallelCorpus.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        ParallelCorpus.open(tmp_path)
    small(tmp_path / "corpus")
    (tmp_path / "corpus" / "manifest.json").write_text("{")
    with pytest.raises(CorruptError, match=r"manifest\.json is damaged"):
        ParallelCorpus.open(tmp_path / "corpus")

"""`xlret index` as people use it: encode, build, search, add, delete, compact."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.model.encoder import start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.search.calibration import Calibration
from xlret.search.index import SearchIndex
from xlret.session import ray_session

pytestmark = pytest.mark.ray

WORDS = {
    "de": ["Katze", "Hund", "Haus", "Berg"],
    "en": ["cat", "dog", "house", "mountain"],
    "th": ["แมว", "หมา", "บ้าน", "ภูเขา"],
}


def rows(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {
            "id": f"{lang}/{number}",
            "lang": lang,
            "title": f"{words[number % 4]} {number}",
            "text": f"{words[number % 4]} {words[number // 4 % 4]} {number}. {words[0]}!",
            "year": 2000 + number,
        }
        for number in range(first, first + count)
        for lang, words in WORDS.items()
    ]


def write(path: Path, records: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with an encoder, passages, and an index of them in two shards."""
    directory = tmp_path_factory.mktemp("job")
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=48)
    settings = EncoderSettings(fresh=fresh, max_query_tokens=16, max_passage_tokens=32)
    start_encoder(settings, lambda: [" ".join(words) for words in WORDS.values()], 0).save(directory / "encoder")
    write(directory / "passages.jsonl", rows(40))
    arguments = ["--encoder", str(directory / "encoder"), "--passages", str(directory / "passages.jsonl")]
    options = ["--shards", "2", "--factory", "IVF4,SQ8", "--exact-rows", "10", "--threads", "1"]
    with ray_session():  # which all commands of this module share
        assert main(["index", "build", str(directory / "index"), *arguments, *options]) == 0
        yield directory


def test_the_index_is_measured_and_calibrated(directory: Path) -> None:
    index = SearchIndex.open(directory / "index")
    assert index.manifest.languages == {"de": 40, "en": 40, "th": 40}
    assert index.manifest.fields == {"year": "int"}
    assert index.manifest.certificate is not None
    assert index.manifest.certificate.made_of == "queries"
    assert index.manifest.certificate.queries == 120
    calibration = Calibration.load(index.path / "calibration.json")
    assert calibration.languages == ("de", "en", "th")
    assert calibration.dimension == 32


def test_search_prints_hits_with_their_languages(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(directory / "index")
    assert main(["index", "search", out, "Hund 5", "--top-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.split()[1] in WORDS for line in lines)
    assert main(["index", "search", out, "Hund 5", "--top-k", "4", "--languages", "th"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["th"] * 4


def test_append_delete_compact(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, encoder = str(directory / "index"), str(directory / "encoder")
    more = str(write(directory / "more.jsonl", rows(5, first=40)))
    append = ["index", "append", out, "--passages", more, "--encoder", encoder]
    assert main(append) == 0
    assert not (directory / "index.appended.vectors").exists()
    with pytest.raises(UserError, match="15 of the ids are in the index already"):
        main(append)
    assert main([*append, "--replace"]) == 0
    (directory / "ids.txt").write_text("de/0\r\nth/41\nnone\n", encoding="utf-8")
    assert main(["index", "delete", out, str(directory / "ids.txt")]) == 0
    assert "2 passages deleted; 1 ids are not in the index" in capsys.readouterr().out
    assert SearchIndex.open(directory / "index").manifest.count == 133
    assert len(SearchIndex.open(directory / "index").shards) == 4
    assert main(["index", "compact", out]) == 0
    index = SearchIndex.open(directory / "index")
    assert (index.manifest.count, len(index.shards)) == (133, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("build OTHER", "name an --encoder with --passages"),
        ("search OTHER x", "no index at"),
        ("delete OTHER IDS", "no index at"),
        ("build OTHER --vectors STORE --factory Flat9", "--factory 'Flat9' is not allowed"),
        ("build OTHER --vectors STORE --shards 0", "shards is 0"),
        ("build ENCODER --vectors STORE", "holds something that is no index"),
        ("search INDEX x --languages xx", "'xx'"),
        ("search INDEX x --top-k 0", "top_k is 0"),
        ("search INDEX x --encoder STORE", "encoder"),
        ("delete INDEX NOTHING", "cannot read ids"),
        ("compact INDEX --shards 0", "shards is 0"),
        ("append INDEX", "name an --encoder"),
    ],
)
def test_mistakes_are_named(arguments: str, message: str, directory: Path) -> None:
    paths = {
        "OTHER": "other",
        "INDEX": "index",
        "STORE": "index.vectors",
        "ENCODER": "encoder",
        "IDS": "some.txt",
        "NOTHING": "no",
    }
    (directory / "some.txt").write_text("a\n")
    with pytest.raises(UserError, match=message):
        main(["index", *(str(directory / paths[word]) if word in paths else word for word in arguments.split())])
    assert not (directory / "other").exists()


def test_a_mistake_is_one_line_and_status_2(directory: Path) -> None:
    command = [sys.executable, "-m", "jobs.index", "search", str(directory / "other"), "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no index at")
    assert done.stderr.count("\n") == 1

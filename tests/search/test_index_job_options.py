"""Options of `xlret index` that would change nothing, or spoil what they are given with, are refused before anything
is encoded."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from index_building import build
from made_up import LANGUAGES, make_passages, make_vectors

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.search import from_files
from xlret.search.index import SearchIndex
from xlret.search.passages import Passage
from xlret.search.settings import EncodeSettings
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.store import VectorStore, write_store


@pytest.fixture
def directory(tmp_path: Path, encoder: Path) -> Path:
    """An index of 60 passages that `encoder` is said to have encoded, and another encoder."""
    shutil.copytree(encoder, tmp_path / "encoder")
    shutil.copytree(encoder, tmp_path / "other-encoder")
    card = json.loads((encoder / "xlret.json").read_text())
    (tmp_path / "other-encoder" / "xlret.json").write_text(json.dumps(card | {"query_prompt": "query: "}))
    about = about_encoder(encoder, encoder, encoder_files(encoder), 32)
    build(write_store(tmp_path / "vectors", make_passages(60), make_vectors(60, 32), encoder=about), tmp_path / "index")
    return tmp_path


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[EncodeSettings]:
    """Passages get made-up vectors instead of being encoded on Ray; the settings that this was asked with."""
    asked = []

    def encode(
        passages: Iterable[Passage], encoder: Path, out: Path, settings: EncodeSettings, shared: bool = True
    ) -> VectorStore:
        asked.append(settings)
        rows, about = list(passages), about_encoder(encoder, encoder, encoder_files(encoder), 32)
        return write_store(out, rows, make_vectors(len(rows), 32), dtype=settings.store, encoder=about)

    monkeypatch.setattr(from_files, "encode_passages", encode)
    return asked


def run(directory: Path, arguments: str) -> None:
    """Words in capitals are paths in the directory."""
    assert main(["index", *(str(directory / word.lower()) if word.isupper() else word for word in arguments.split())]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("build NEW --vectors VECTORS --replace", "Unknown option: --replace"),
        ("build NEW --vectors VECTORS --languages de", "--languages changes nothing with --vectors"),
        ("build NEW --vectors VECTORS --encode.store float32", "--encode.store changes nothing with --vectors"),
        ("build NEW --corpus NONE --encoder ENCODER --lang de", "--lang changes nothing with --corpus"),
        ("build NEW --corpus NONE --encoder ENCODER --passages NONE", "--passages and --corpus are both given"),
        ("build NEW --passages NONE --encoder ENCODER --top-k 3", "Unknown option: --top-k"),
        ("append INDEX --passages NONE --encoder ENCODER --factory Flat", "Unknown option: --factory"),
        ("append INDEX --passages NONE --encoder ENCODER --shards 2", "Unknown option: --shards"),
        ("append INDEX --vectors VECTORS --encoder ENCODER", "--encoder changes nothing with --vectors"),
        ("compact INDEX --factory Flat", "Unknown option: --factory"),
        ("delete INDEX NONE --passages NONE", "Unknown option: --passages"),
        ("search INDEX x --encode.gpu", "Unknown option: --encode.gpu"),
        # what would not fit is refused before it is encoded; none of the files exists
        ("append INDEX --passages NONE --encoder ENCODER --encode.store float32", "32 float32 numbers, the index 32 fl"),
        ("append INDEX --passages NONE --encoder OTHER-ENCODER", "encoded otherwise than the index: sha256"),
        ("build NEW --vectors VECTORS --encoder OTHER-ENCODER", "was encoded with .*, whose files are not those of"),
    ],
)
def test_options_that_change_or_fit_nothing(directory: Path, arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(directory, arguments)
    assert not (directory / "new").exists()


def test_an_index_is_measured_with_queries_of_its_own_encoder(directory: Path) -> None:
    run(directory, "build NEW --vectors VECTORS --encoder ENCODER --threads 1")
    certificate = SearchIndex.open(directory / "new").manifest.certificate
    assert certificate is not None
    assert certificate.made_of == "queries"


def test_languages_of_files_and_vectors_as_the_index_has_them(directory: Path, encoded: list[EncodeSettings]) -> None:
    rows = [{"id": f"x{number}", "lang": LANGUAGES[number % 5], "text": "some text"} for number in range(50)]
    (directory / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = f"--passages {directory / 'some.jsonl'} --encoder ENCODER"
    run(directory, f"build NEW {files} --languages de sw --encode.store float32")
    assert SearchIndex.open(directory / "new").manifest.languages == {"de": 10, "sw": 10}
    run(directory, f"append NEW --replace {files} --languages sw,th")
    assert SearchIndex.open(directory / "new").manifest.languages == {"de": 10, "sw": 10, "th": 10}
    assert [one.store for one in encoded] == ["float32", "float32"]


def test_columns_are_named_and_dropped_and_bad_rows_are_counted(
    directory: Path, encoded: list[EncodeSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"number": f"x{number}", "lang": "de", "body": "some text", "html": [number], "kind": "a"} for number in range(50)]
    lines = [*map(json.dumps, rows), json.dumps({"number": "y", "lang": "de"})]
    (directory / "rows.jsonl").write_text("\n".join(lines))
    files = f"--passages {directory / 'rows.jsonl'} --encoder ENCODER --columns id=number,text=body --drop html"
    with pytest.raises(UserError, match=r"rows\.jsonl:51: .* leave bad rows out with --skip-bad-rows"):
        run(directory, f"build NEW {files}")
    run(directory, f"build NEW {files} --skip-bad-rows --encode.store float16")
    manifest = SearchIndex.open(directory / "new").manifest
    assert (manifest.count, set(manifest.fields)) == (50, {"kind"})
    printed = capsys.readouterr().out
    assert "1 bad rows left out, such as:" in printed
    assert "rows.jsonl:51: " in printed
    with pytest.raises(UserError, match="'number' is not of the form OURS=THEIRS"):
        run(directory, f"build OTHER {files} --columns number")


def test_ids_as_other_programs_write_them(directory: Path) -> None:
    (directory / "ids").write_bytes("\ufeffp1\r\n p2\t\n\n".encode())
    run(directory, "delete INDEX IDS")
    assert SearchIndex.open(directory / "index").manifest.count == 58


def test_columns_of_other_names_and_bad_rows_that_are_left_out_are_said(
    directory: Path, encoded: list[EncodeSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"key": f"k{number}", "contents": f"Text {number}", "vector": [0.5] * 3} for number in range(20)]
    file = directory / "docs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"key": "", "contents": "x"}, rows[3]]))
    options = "--passages DOCS.JSONL --encoder ENCODER --lang de --columns id=key --drop vector,gone --encode.store float16"
    with pytest.raises(
        UserError, match=r"docs\.jsonl:21: id is missing; .*; mend it, or leave bad rows out with --skip-bad-rows$"
    ):
        run(directory, f"build NEW {options}")
    capsys.readouterr()
    run(directory, f"build NEW {options} --skip-bad-rows")
    printed = capsys.readouterr().out
    assert "note: no column to drop is called gone" in printed
    assert "2 bad rows left out, such as:" in printed
    assert "docs.jsonl:21: id is missing; found: key, contents" in printed
    assert "docs.jsonl:22: id 'k3' came before, at" in printed
    manifest = SearchIndex.open(directory / "new").manifest
    assert (manifest.fields, manifest.languages) == ({}, {"de": 20})
    for wrong in ("--columns id=a,text=a", "--columns name=key"):
        with pytest.raises(UserError, match="columns"):
            run(directory, f"build OTHER --passages DOCS.JSONL --encoder ENCODER --lang de {wrong} --encode.store float16")

import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.errors import CorruptError, UserError
from xlret.files import shared_directory
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon, Table, open_table

PAIRS = {
    ("en", "de"): [Entry("Dog", "Hund", 1.0), Entry("dog", "Köter", 1.0), Entry("new york", "New York", 1.0)],
    ("en", "fr"): [Entry("dog", "chien", 0.5), Entry("cat", "chat", 1.0), Entry("dog", "toutou", 0.75)],
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "en-de.txt").write_text("dog hund\ndog köter\ncat katze\n", encoding="utf-8")
    (tmp_path / "en-fr.txt").write_text("dog\tchien\ncafe\u0301\tcafé\n", encoding="utf-8")
    (tmp_path / "fr-en.0-5000.txt").write_text("chien\tdog\n", encoding="utf-8")
    return tmp_path


def test_candidates_come_best_first_then_as_they_appeared() -> None:
    lexicon = Lexicon.from_entries(PAIRS)
    assert lexicon.translations("DOG", "en", "de").texts == ("Hund", "Köter")
    assert lexicon.translations("dog", "en", "fr").texts == ("toutou", "chien")
    assert lexicon.translations("dog", "en", "fr").scores == (0.75, 0.5)
    assert lexicon.translations("cat", "en", "de").texts == ()
    assert lexicon.translations("cow", "en", "de").texts == lexicon.translations("dog", "ru", "de").texts == ()


def test_equal_pairs_become_one_with_the_best_score() -> None:
    pairs = [Entry("dog", "hund", 0.25), Entry("DOG", "hund", 0.5), Entry("dog", "köter", 0.3), Entry("cat", "hund", 0.125)]
    lexicon = Lexicon.from_entries({("en", "de"): pairs})
    found = lexicon.translations("dog", "en", "de")
    assert found.texts == ("hund", "köter")
    assert found.scores == pytest.approx((0.5, 0.3))
    assert lexicon.translations("cat", "en", "de").scores == (0.125,)


def test_a_directory_is_read_with_languages_from_its_names(directory: Path) -> None:
    lexicon = Lexicon.load([directory])
    assert lexicon.sources == ("en", "fr")
    assert lexicon.targets == ("de", "en", "fr")
    assert lexicon.translations("Dog", "en-GB", "de").texts == ("hund", "köter")
    assert lexicon.translations("CAFÉ", "en", "fr").texts == ("café",)
    with pytest.raises(UserError, match="source languages en, fr"):
        _ = lexicon.source
    only = Lexicon.load([directory], ["deu"])
    assert (only.source, only.targets) == ("en", ("de",))


def test_several_files_of_one_pair_are_merged(directory: Path) -> None:
    (directory / "more").mkdir()
    (directory / "more" / "x.en-de.tsv").write_text("dog\tHündchen\ncow\tkuh\n", encoding="utf-8")
    lexicon = Lexicon.load([directory / "en-de.txt", directory / "more"])
    assert lexicon.translations("dog", "en", "de").texts == ("hund", "köter", "Hündchen")
    assert lexicon.translations("cow", "en", "de").texts == ("kuh",)


@pytest.mark.parametrize(
    ("paths", "languages", "says"),
    [
        ([], None, "no lexicon was given"),
        (["absent"], None, "no lexicon at .*absent"),
        (["empty"], None, "holds no lexicon"),
        (["en-de.txt"], ["fr", "de"], r"no lexicon into fr in .*; there is de"),
        (["notes.txt"], None, r"such as en-de\.txt"),
        (["blank.en-de.txt"], None, "has no entry"),
    ],
)
def test_what_cannot_be_loaded_is_a_user_error(
    directory: Path, paths: list[str], languages: list[str] | None, says: str
) -> None:
    (directory / "empty").mkdir()
    (directory / "notes.txt").write_text("a b\n")
    (directory / "blank.en-de.txt").write_text("\n\n")
    with pytest.raises(UserError, match=says):
        Lexicon.load([directory / path for path in paths], languages)


def test_arrow_form_gives_the_same_entries(tmp_path: Path) -> None:
    lexicon = Lexicon.from_entries(PAIRS)
    lexicon.save(tmp_path / "lexicon")
    again = Lexicon.load([tmp_path / "lexicon"])
    for target in ("de", "fr"):
        assert list(again.tables["en"].entries(target)) == list(lexicon.tables["en"].entries(target))
    assert Lexicon.load([tmp_path / "lexicon"], ["fr"]).targets == ("fr",)
    with pytest.raises(UserError, match="exists already"):
        lexicon.save(tmp_path / "lexicon")


def test_words_keep_their_order_and_those_of_older_arrow_files_come_by_word() -> None:
    table = Lexicon.from_entries({("en", "de"): [Entry(word, "x", 1.0) for word in ("the", "and", "zoo", "a")]}).tables["en"]
    assert [word for word, *_ in table.entries("de")] == ["the", "and", "zoo", "a"]
    older = Table("en", table.batch.drop_columns(["de rank"]))
    assert older.targets == ("de",)
    assert [word for word, *_ in older.entries("de")] == ["a", "and", "the", "zoo"]


def test_arrow_and_pair_files_are_merged(tmp_path: Path) -> None:
    Lexicon.from_entries(PAIRS).save(tmp_path / "lexicon")
    (tmp_path / "en-de.txt").write_text("dog wauwau\n", encoding="utf-8")
    lexicon = Lexicon.load([tmp_path / "lexicon", tmp_path / "en-de.txt"])
    assert lexicon.translations("dog", "en", "de").texts == ("Hund", "Köter", "wauwau")
    assert lexicon.translations("dog", "en", "fr").texts == ("toutou", "chien")


def test_damaged_and_foreign_arrow_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.arrow").write_bytes(b"ARROW1\0\0 and then nothing")
    with pytest.raises(CorruptError, match="damaged"):
        open_table(tmp_path / "torn.arrow")
    batch = pa.record_batch([pa.array(["x"])], names=["word"])
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(CorruptError, match="not a lexicon"):
        open_table(tmp_path / "other.arrow")


@given(st.dictionaries(st.text("abcdé ", min_size=1, max_size=5), st.text("xyz", min_size=1), min_size=1, max_size=300))
def test_every_word_is_found_and_no_other(words: dict[str, str]) -> None:
    entries = [Entry(word, text, 1.0) for word, text in words.items() if word.strip()]
    if not entries:
        return
    table = Lexicon.from_entries({("en", "de"): entries}).tables["en"]
    for entry in entries:
        row = table.row_of(" ".join(entry.word.split()))
        assert entry.translation in table.candidates(row, "de").texts
    assert table.row_of("e") == table.row_of("") == table.row_of("\ud800") == -1
    known = {" ".join(entry.word.split()) for entry in entries}
    for start in ("a", "ab ", "d"):
        assert table.begins(start) == any(word.startswith(start) and word != start for word in known)


@pytest.mark.slow
def test_real_lexicons_load_from_arrow_in_less_than_200_ms(tmp_path: Path) -> None:
    muse = shared_directory() / "data" / "lexicons" / "muse"
    if not muse.exists():
        pytest.skip(f"no MUSE lexicons at {muse}; set XLRET_SHARED")
    lexicon = Lexicon.load([muse])
    lexicon.save(tmp_path / "muse")
    start = time.perf_counter()
    again = Lexicon.load([tmp_path / "muse"])
    assert time.perf_counter() - start < 0.2
    assert len(again.targets) == 17
    assert again.translations("Dog", "en", "de") == lexicon.translations("Dog", "en", "de")

import gzip
from pathlib import Path

import pytest

from xlret.errors import DataError, UserError
from xlret.lexicon.files import Entry, languages_of, pair_files, read_export, read_pairs
from xlret.lexicon.lexicon import Lexicon


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("en-de.txt", ("en", "de")),
        ("en-zh.txt.gz", ("en", "zh")),
        ("yacle.test.freq.2k.en-hr.tsv", ("en", "hr")),
        ("en-fr.0-5000.txt", ("en", "fr")),
        ("deu-eng.tsv", ("de", "en")),
        ("en-pt_BR.dic", ("en", "pt-BR")),
        ("en-zh-TW.txt", ("en", "zh-TW")),
    ],
)
def test_languages_are_taken_from_the_name(name: str, pair: tuple[str, str]) -> None:
    assert languages_of(Path("/some-where/x-y.z") / name) == pair


@pytest.mark.parametrize("name", ["words.txt", "read-only1.txt", "0-5000.txt", "en-.txt"])
def test_a_name_without_languages_is_an_error_that_says_what_to_do(name: str) -> None:
    with pytest.raises(UserError, match=r"source-target, such as en-de\.txt"):
        languages_of(Path(name))


def test_both_separators_and_scores_are_read(tmp_path: Path) -> None:
    path = tmp_path / "en-ur.txt"
    path.write_text("dog hund\n\npetty\tکم ظرف\ndog\tköter\t0.25\tignored\ncat  katze \r\n", encoding="utf-8")
    assert list(read_pairs(path)) == [
        Entry("dog", "hund", 1.0),
        Entry("petty", "کم ظرف", 1.0),
        Entry("dog", "köter", 0.25),
        Entry("cat", "katze", 1.0),
    ]


def test_gzipped_and_plain_files_give_the_same(tmp_path: Path) -> None:
    text = "\ufeffdog\thund\ncat\tkatze\n"
    (tmp_path / "en-de.txt").write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "en-de.tsv.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    found = list(read_pairs(tmp_path / "en-de.txt"))
    assert found == list(read_pairs(tmp_path / "en-de.tsv.gz")) == [Entry("dog", "hund", 1.0), Entry("cat", "katze", 1.0)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"lonely\n", r"en-de\.txt:2: 'lonely' must be a word, a tab or space, and its translation"),
        (b"word\t \n", r"en-de\.txt:2: "),
        (b"\tword\n", r"en-de\.txt:2: "),
        (b"word\twort\tgood\n", r"en-de\.txt:2: the third field 'good' must be a score"),
        (b"word\twort\t-1\n", r"en-de\.txt:2: the score '-1'"),
        (b"word\twort\tnan\n", r"en-de\.txt:2: the score 'nan'"),
        (b"word\tw\xffrt\n", r"en-de\.txt:\d+: not UTF-8"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "en-de.txt"
    path.write_bytes(b"dog\thund\n" + line)
    with pytest.raises(DataError, match=says):
        list(read_pairs(path))


def test_a_cut_off_damaged_or_false_gzip_file_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "en-de.txt.gz"
    path.write_bytes(gzip.compress("".join(f"w{n}\tv{n * n}\n" for n in range(500)).encode())[:-20])
    with pytest.raises(DataError, match="ends too early"):
        list(read_pairs(path))
    flipped = bytearray(gzip.compress(b"dog\thund\n" * 500))
    flipped[10] ^= 0xFF  # the first byte of the packed text
    path.write_bytes(flipped)
    with pytest.raises(DataError, match="is damaged"):
        list(read_pairs(path))
    path.write_bytes(b"dog\thund\n")
    with pytest.raises(UserError, match="is damaged"):
        list(read_pairs(path))


def test_exports_of_dictionary_programs_are_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "en-de.tsv"
    path.write_text(
        "house /haʊs/\t<i>n.</i><br>1. Haus; Gebäude (groß)\\n2. das Haus, in dem man gerne wohnen möchte\n"
        "home\t<div>Heim &amp; Hof</div>\n"
        "nothing\t(obsolete)\n",
        encoding="utf-8",
    )
    assert list(read_export(path)) == [
        Entry("house", "n", 1.0),
        Entry("house", "Haus", 1 / 2),
        Entry("house", "Gebäude", 1 / 3),
        Entry("house", "das Haus", 1 / 4),
        Entry("home", "Heim & Hof", 1.0),
    ]
    path.write_text("house Haus\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"en-de\.tsv:1: .* headword, a tab"):
        list(read_export(path))


def test_readme_and_hidden_files_of_a_directory_are_left_out(tmp_path: Path) -> None:
    for name in ("README.txt", "license.txt", ".en-de.txt.swp.txt", "en-de.txt", "picture.png"):
        (tmp_path / name).write_text("x y\n")
    assert [path.name for path in pair_files(tmp_path)] == ["en-de.txt"]


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2009", "\u202f", "\u2003"])
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_only_space_and_tab_separate(tmp_path: Path, space: str, separator: str) -> None:
    path = tmp_path / "en-fr.txt"
    path.write_text(f"old{space}town{separator}vieille{space}ville\n5{space}m{separator}cinq mètres\n", encoding="utf-8")
    assert list(read_pairs(path)) == [
        Entry(f"old{space}town", f"vieille{space}ville", 1.0),
        Entry(f"5{space}m", "cinq mètres", 1.0),
    ]
    assert Lexicon.load([path]).translations("old town", "en", "fr").texts == (f"vieille{space}ville",)


def test_line_ends_and_tabs_as_windows_and_spreadsheets_write_them(tmp_path: Path) -> None:
    path = tmp_path / "en-de.txt"
    path.write_bytes("\ufeffcat\tKatze\r\n\r\ndog Hund\t\r\ncow\tKuh\t\t\r\n \t \r\nfox\tFuchs\t0.5\t\r\n".encode())
    assert [(entry.word, entry.translation, entry.score) for entry in read_pairs(path)] == [
        ("cat", "Katze", 1.0),
        ("dog", "Hund", 1.0),
        ("cow", "Kuh", 1.0),
        ("fox", "Fuchs", 0.5),
    ]


@pytest.mark.parametrize("line", [1, 7, 300, 5000])
def test_a_bad_byte_is_named_by_its_own_line(tmp_path: Path, line: int) -> None:
    lines = [b"w%d v%d" % (number, number) for number in range(1, 6000)]
    lines[line - 1] = b"caf\xe9 Kaffee"
    path = tmp_path / "en-de.txt"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=rf"en-de.txt:{line}: not UTF-8"):
        list(read_pairs(path))


def test_utf_16_and_misnamed_gzip(tmp_path: Path) -> None:
    (tmp_path / "en-de.txt").write_text("cat\tKatze\n", encoding="utf-16")
    with pytest.raises(UserError, match="is UTF-16; convert it to UTF-8"):
        list(read_pairs(tmp_path / "en-de.txt"))
    (tmp_path / "en-fr.txt").write_bytes(gzip.compress(b"cat\tchat\n"))
    assert [entry.translation for entry in read_pairs(tmp_path / "en-fr.txt")] == ["chat"]

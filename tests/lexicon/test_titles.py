import gzip
from pathlib import Path

import pytest

from xlret.errors import DataError, UserError
from xlret.lexicon.sql_dump import read_rows
from xlret.lexicon.titles import clean_title, titles_from_dumps, titles_from_pairs

PAGE = """-- MySQL dump
CREATE TABLE `page` (
  `page_id` int(8) unsigned NOT NULL AUTO_INCREMENT,
  `page_namespace` int(11) NOT NULL DEFAULT 0,
  `page_title` varbinary(255) NOT NULL DEFAULT '',
  `page_is_redirect` tinyint(1) unsigned NOT NULL DEFAULT 0,
  `page_random` double unsigned NOT NULL DEFAULT 0,
  `page_lang` varbinary(35) DEFAULT NULL,
  PRIMARY KEY (`page_id`)
) ENGINE=InnoDB;
INSERT INTO `page` VALUES (30,0,'Mercury_(planet)',0,0.5,NULL);
INSERT INTO `page` VALUES (7,0,'It''s_O\\'Neill,_(too);',0,1e-05,'en'),(8,0,'Old_name',1,0.1,NULL);
INSERT INTO `page` VALUES (9,14,'Planets',0,0.25,NULL),(11,0,'Back\\\\slash',0,0.75,NULL);
"""
LANGLINKS = """CREATE TABLE `langlinks` (
  `ll_from` int(8) unsigned NOT NULL DEFAULT 0,
  `ll_lang` varbinary(35) NOT NULL DEFAULT '',
  `ll_title` varbinary(255) NOT NULL DEFAULT '',
  PRIMARY KEY (`ll_from`,`ll_lang`)
) ENGINE=InnoDB;
INSERT INTO `langlinks` VALUES (30,'de','Merkur (Planet)'),(30,'fr','Mercure'),(7,'de','O\\'Neill');
INSERT INTO `langlinks` VALUES (8,'de','Alter Name'),(9,'de','Kategorie:Planeten');
INSERT INTO `langlinks` VALUES (11,'de','Rückstrich'),(99,'de','Niemand'),(30,'simple','Mercury'),(11,'fr',''),(7,'fr',NULL);
"""


def _write(path: Path, text: str | bytes) -> Path:
    with gzip.open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def dumps(tmp_path: Path) -> tuple[Path, Path]:
    return _write(tmp_path / "page.sql.gz", PAGE), _write(tmp_path / "langlinks.sql.gz", LANGLINKS)


def test_rows_of_a_dump_with_escapes_and_nulls(dumps: tuple[Path, Path]) -> None:
    assert list(read_rows(dumps[0], "page", ("page_title", "page_id", "page_lang", "page_random"))) == [
        ("Mercury_(planet)", "30", None, "0.5"),
        ("It's_O'Neill,_(too);", "7", "en", "1e-05"),
        ("Old_name", "8", None, "0.1"),
        ("Planets", "9", None, "0.25"),
        ("Back\\slash", "11", None, "0.75"),
    ]


def test_rows_on_lines_of_their_own_as_newer_mariadb_dumps_have_them(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    lines = PAGE.replace(" VALUES (", " VALUES\n(").replace("),(", "),\n(")
    assert lines.count("\n") == PAGE.count("\n") + 5
    columns = ("page_id", "page_title")
    made = _write(tmp_path / "lines.sql.gz", lines)
    assert list(read_rows(made, "page", columns)) == list(read_rows(dumps[0], "page", columns))
    bad = _write(tmp_path / "bad.sql.gz", lines.replace("(11,0,'Back\\\\slash',0,0.75,NULL)", "(11,0)"))
    with pytest.raises(DataError, match=r"bad\.sql\.gz:18: a row has 2 values"):
        list(read_rows(bad, "page", columns))
    with pytest.raises(DataError, match=r"cut\.sql\.gz:17: the file ends within a statement"):
        list(read_rows(_write(tmp_path / "cut.sql.gz", lines[: lines.index("(11,0")]), "page", columns))


def test_titles_of_articles_are_joined_over_their_links(dumps: tuple[Path, Path]) -> None:
    lexicon = titles_from_dumps(*dumps, "en", ["de", "fr"])
    pairs = {(target, word, text) for target in lexicon.targets for word, text, _ in lexicon.tables["en"].entries(target)}
    assert pairs == {
        ("de", "mercury", "merkur"),
        ("fr", "mercury", "mercure"),
        ("de", "it's o'neill, ;", "o'neill"),
        ("de", "back\\slash", "rückstrich"),
    }
    assert titles_from_dumps(*dumps, "en", ["fr"]).targets == ("fr",)
    with pytest.raises(UserError, match=r"links no article .* to sw"):
        titles_from_dumps(*dumps, "en", ["sw"])


def test_a_title_cut_within_a_character_is_left_out(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    cut = LANGLINKS.encode().replace("Rückstrich".encode(), "Rü".encode()[:-1])
    lexicon = titles_from_dumps(dumps[0], _write(tmp_path / "cut.sql.gz", cut), "en", ["de"])
    assert [word for word, *_ in lexicon.tables["en"].entries("de")] == ["mercury", "it's o'neill, ;"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("(30,'fr','Mercure'),", "(30,'fr','Mercure',", r"line|value|values|missing"),
        ("'Mercure')", "'Mercure", r"langlinks\.sql\.gz:7: "),
        ("(30,'de','Merkur (Planet)')", "(30,'de')", r"langlinks\.sql\.gz:7: a row has 2 values"),
        (",(7,'fr',NULL);", ",", r"langlinks\.sql\.gz:9: the file ends within a statement"),
        (",(30,'fr','Mercure'),(7,'de','O\\'Neill');", "", r"langlinks\.sql\.gz:8: a row must begin with a bracket at .INSERT"),
        ("INSERT INTO `langlinks` VALUES (8", "INSERT INTO `langlinks` (8", r"langlinks\.sql\.gz:8: INSERT without VALUES"),
    ],
)
def test_bad_rows_name_the_line(tmp_path: Path, dumps: tuple[Path, Path], old: str, new: str, says: str) -> None:
    assert old in LANGLINKS
    bad = _write(tmp_path / "langlinks.sql.gz", LANGLINKS.replace(old, new))
    with pytest.raises(DataError, match=says):
        titles_from_dumps(dumps[0], bad, "en", ["de", "fr"])


def test_a_wrong_or_missing_dump_is_a_user_error(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="holds no table page"):
        titles_from_dumps(dumps[1], dumps[1], "en", ["de"])
    with pytest.raises(UserError, match="cannot read"):
        titles_from_dumps(tmp_path / "absent.sql.gz", dumps[1], "en", ["de"])
    with pytest.raises(UserError, match="no column ll_title"):
        list(read_rows(_write(tmp_path / "x.sql.gz", PAGE), "page", ("ll_title",)))
    (tmp_path / "torn.sql.gz").write_bytes(dumps[0].read_bytes()[:-20])
    with pytest.raises(DataError, match="ends too early"):
        list(read_rows(tmp_path / "torn.sql.gz", "page", ("page_id",)))
    flipped = bytearray(gzip.compress(PAGE.encode()))
    flipped[10] ^= 0xFF  # the first byte of the packed text
    (tmp_path / "torn.sql.gz").write_bytes(flipped)
    with pytest.raises(DataError, match="is damaged"):
        list(read_rows(tmp_path / "torn.sql.gz", "page", ("page_id",)))


def test_titles_from_pair_files(tmp_path: Path) -> None:
    (tmp_path / "en-es.tsv").write_text(
        "New_York_(state)\tNueva York (estado)\nHelp:Editing\tAyuda:Edición\n", encoding="utf-8"
    )
    lexicon = titles_from_pairs([tmp_path])
    assert [(word, text) for word, text, _ in lexicon.tables["en"].entries("es")] == [
        ("new york", "nueva york"),
        ("editing", "edición"),
    ]


def test_titles_are_lower_cased_as_their_language_does(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    (tmp_path / "tr-en.tsv").write_text("İstanbul\tIstanbul\nIrak\tIraq\n", encoding="utf-8")
    lexicon = titles_from_pairs([tmp_path / "tr-en.tsv"])
    assert lexicon.translations("İSTANBUL", "tr", "en").texts == ("istanbul",)
    assert lexicon.translations("Irak", "tr", "en").texts == ("iraq",)
    links = _write(tmp_path / "links.sql.gz", LANGLINKS.replace("'de','Merkur (Planet)'", "'tr','IŞIK'"))
    assert titles_from_dumps(dumps[0], links, "eng", ["tr"]).translations("mercury", "en", "tr").texts == ("ışık",)


def test_titles_with_nothing_left_are_empty() -> None:
    assert clean_title("(disambiguation)", "en") == ""

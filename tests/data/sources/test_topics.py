"""Topics in the dialects of TREC, its web track, TREC-COVID, CLEF and NTCIR."""

import gzip
from pathlib import Path

import pytest

from xlret.data.rows import ReadingReport
from xlret.data.sources.texts import Text
from xlret.data.sources.topics import topics
from xlret.errors import DataError

SGML = """<top>
<num> Number: C041 </num>
<title> Pesticides in
baby food </title>
<desc> Description: more words
</top>
<top>
<num>C042
<title>Topic: Oil &amp; gas
</top>
"""
COVID = """<topics task="COVIDSearch2020" batch="1">
<topic number="1">
<query>coronavirus origin</query>
<question>what is the origin of COVID-19?</question>
</topic>
<topic number='2'><query>weather &lt; climate</query></topic>
</topics>
"""
WEB = """<?xml version="1.0" encoding="utf-8"?>
<!-- <topic number="0"><query>hidden</query></topic> -->
<webtrack2012>
  <topic number="151" type="ambiguous">
    <query>403b</query>
    <description>What is a 403b plan?</description>
    <subtopic number="1" type="inf">What is it?</subtopic>
  </topic>
</webtrack2012>"""
CLEF = """<topics>
<topic lang="de">
<identifier>10.2452/451-AH</identifier>
<title><![CDATA[Äpfel & Birnen]]></title>
</topic>
</topics>"""


def read(path: Path, data: str | bytes) -> list[Text]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(topics(path, ReadingReport()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SGML, [("C041", "Pesticides in baby food"), ("C042", "Oil & gas")]),
        (SGML.replace("<top>", "<TOP>").replace("</top>", "</TOP>").replace("num>", "NUM>"), None),
        (SGML.replace("</top>\n", ""), None),
        ("C041\tPesticides\nC042\tOil\n", [("C041", "Pesticides"), ("C042", "Oil")]),
        (COVID, [("1", "coronavirus origin"), ("2", "weather < climate")]),
        (WEB, [("151", "403b")]),
        (CLEF, [("10.2452/451-AH", "Äpfel & Birnen")]),
        ('<topic number="9">A man of 45 \n coughs.</topic>', [("9", "A man of 45 coughs.")]),
        ("<TOPIC><NUM>001</NUM><QUESTION>who?</QUESTION></TOPIC>", [("001", "who?")]),
    ],
    ids=["SGML", "upper case", "not closed", "lines", "TREC-COVID", "web track", "CLEF", "text alone", "question"],
)
def test_every_dialect(tmp_path: Path, text: str, expected: list[tuple[str, str]] | None) -> None:
    expected = expected or [("C041", "Pesticides in baby food"), ("C042", "Oil & gas")]
    assert [(topic.id, topic.text) for topic in read(tmp_path / "topics.txt", text)] == expected


def test_places_and_languages_of_topics(tmp_path: Path) -> None:
    assert [topic.where for topic in read(tmp_path / "t.xml", WEB)] == [f"{tmp_path}/t.xml:4"]
    assert [topic.lang for topic in read(tmp_path / "t.xml", CLEF)] == ["de"]


@pytest.mark.parametrize(
    "data",
    [
        CLEF.encode("utf-8-sig"),
        CLEF.encode("utf-16"),
        gzip.compress(CLEF.encode()),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>\n' + CLEF).encode("latin-1"),
    ],
    ids=["BOM", "UTF-16", "gzip", "declared"],
)
def test_encodings(tmp_path: Path, data: bytes) -> None:
    assert [topic.text for topic in read(tmp_path / "topics.xml", data)] == ["Äpfel & Birnen"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("<top>\n<num> 1\n</top>\n", r"topics\.xml:1: a topic without text; expected are <top> with <num> and <title>"),
        ("<a>\n<topic><title>who</title></topic></a>", r"topics\.xml:2: a topic without number; expected are"),
        ("<html><body>Not found</body></html>", r"topics\.xml: tags, but no topic; expected are"),
        (b"<topic number='1'>caf\xe9</topic>", r"topics\.xml: not utf-8-sig"),
        (b'<?xml version="1.0" encoding="klingon"?><topic number="1">x</topic>', r"topics\.xml: not klingon"),
        (gzip.compress(CLEF.encode())[:-9], r"topics\.xml: the gzip file is damaged or cut short"),
    ],
)
def test_what_is_no_topics_file_says_what_was_expected(tmp_path: Path, data: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path / "topics.xml", data)
    assert "\n" not in str(error.value)

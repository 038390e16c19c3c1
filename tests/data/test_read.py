"""Reading the user's own files, and everything that can be wrong with one."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus, Row, write_corpus
from xlret.data.read import read_columns, read_lines, read_records
from xlret.data.rows import ReadingReport
from xlret.data.sources.own import OwnSource
from xlret.errors import DataError, UserError

RECORDS = [
    {"group_id": "1", "lang": "en", "query": 'red, "or" not?', "title": "Red", "text": "It is red.\nVery red."},
    {"group_id": "1", "lang": "de", "query": "rot?", "title": "", "text": "Es ist\trot."},
    {"group_id": "2", "lang": "zh", "query": "红色吗？", "title": "", "text": "是红色的。"},
]


def own(*files: object, **options: object) -> OwnSource:
    return settings_from(
        OwnSource, {"format": "rows", "files": [str(f) if isinstance(f, Path) else f for f in files], **options}
    )


def rows_of(*files: object, report: ReadingReport | None = None, **options: object) -> list[Row]:
    return list(own(*files, **options).rows(report or ReadingReport()))


def lines(path: Path, *values: object) -> Path:
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in values)
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def in_form(directory: Path, form: str, records: list[dict]) -> Path:
    """The same records as a file of some form."""
    path = directory / f"rows{form}"
    if ".jsonl" in form:
        data = "".join(json.dumps(one, ensure_ascii=False) + "\r\n" for one in records).encode("utf-8-sig")
    elif ".csv" in form:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
        data = text.getvalue().encode("utf-8-sig")
    elif ".tsv" in form:
        rows = ["\t".join(records[0]), *("\t".join(one.values()) for one in records)]
        data = ("\n".join(rows) + "\n").encode()
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
        return path
    path.write_bytes(gzip.compress(data) if form.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet"])
def test_every_form_gives_the_same_rows(tmp_path, form):
    records = RECORDS
    if ".tsv" in form:  # knows neither tabs nor line ends within a text
        records = [{name: value.replace("\n", " ").replace("\t", " ") for name, value in one.items()} for one in RECORDS]
    found = rows_of(in_form(tmp_path, form, records))
    assert [(r.group_id, r.lang, r.query, r.title, r.text) for r in found] == [
        tuple(v or None for v in one.values()) for one in records
    ]
    assert len({row.where for row in found}) == 3
    assert all(row.where.startswith(f"{tmp_path}/rows{form}:") for row in found)


def test_a_row_of_csv_is_found_by_the_line_it_starts_on(tmp_path):
    path = in_form(tmp_path, ".csv", RECORDS)
    assert [row.where.rsplit(":", 1)[1] for row in rows_of(path)] == ["2", "4", "5"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=5))
def test_any_text_survives_json_csv_and_parquet(tmp_path_factory, texts):
    directory = tmp_path_factory.mktemp("any")
    records = [{"group_id": str(i), "lang": "en", "query": text, "text": text} for i, text in enumerate(texts)]
    for form in (".jsonl", ".csv", ".parquet"):
        assert [row.text for row in rows_of(in_form(directory, form, records))] == texts


def test_columns_may_have_other_names_and_the_unused_are_named_once(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"id": 7, "q": "what?", "body": "that", "url": "x", "lang": "a name"},
        {"id": 8, "q": "who?", "body": "she", "url": "y", "votes": 3, "page": "p"},
    )
    report = ReadingReport()
    columns = {"group_id": "id", "query": "q", "text": "body", "cluster": "page"}
    found = rows_of({"path": str(path), "lang": "deu", "columns": columns}, report=report)
    assert [(r.group_id, r.lang, r.query, r.text, r.cluster) for r in found] == [
        ("7", "de", "what?", "that", None),
        ("8", "de", "who?", "she", "p"),
    ]
    assert report.notes == [f"{path}: columns not used: lang, url, votes"]


def test_queries_and_passages_may_come_in_files_of_their_own(tmp_path):
    queries = lines(
        tmp_path / "q.jsonl", {"group_id": "1", "lang": "en", "query": "red?"}, {"group_id": "1", "lang": "de", "query": "rot?"}
    )
    passages = lines(tmp_path / "p.jsonl", {"group_id": "1", "lang": "en", "text": "yes", "title": None})
    write_corpus(tmp_path / "c", rows_of(queries, passages), source="", licence="", revision="", made_by="")
    corpus = ParallelCorpus.open(tmp_path / "c")
    assert (corpus.n_groups, len(corpus.pool("de", "en")), len(corpus.pool("en", "en"))) == (1, 1, 1)


def test_passages_in_another_language_come_once_though_many_queries_repeat_them(tmp_path):
    shared = {"group_id": "1", "text": "An English passage."}
    path = lines(
        tmp_path / "a.jsonl",
        {"lang": "bn", "query": "b?", **shared},
        {"lang": "en", "query": "e?", **shared},
        {"lang": "hi", "query": "h?", **shared},
    )
    source = {"path": str(path), "passage_lang": "en"}
    write_corpus(tmp_path / "c", rows_of(source), source="", licence="", revision="", made_by="")
    corpus = ParallelCorpus.open(tmp_path / "c")
    assert (corpus.query_languages, corpus.passage_languages, corpus.n_groups) == (("bn", "en", "hi"), ("en",), 1)


def test_another_passage_for_the_same_group_is_a_bad_row(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"group_id": "1", "lang": "bn", "query": "b?", "text": "one"},
        {"group_id": "1", "lang": "hi", "query": "h?", "text": "two"},
    )
    with pytest.raises(DataError, match=r"a\.jsonl:2: group '1' has another passage in en already"):
        rows_of({"path": str(path), "passage_lang": "en"})
    report = ReadingReport("skip")
    found = rows_of({"path": str(path), "passage_lang": "en"}, report=report)
    assert [(row.lang, row.query, row.text) for row in found] == [("bn", "b?", None), ("en", None, "one")]


def test_clusters_may_be_a_part_of_the_id(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"group_id": "page#1", "lang": "en", "query": "a", "text": "b"},
        {"group_id": "page#2", "lang": "en", "query": "c", "text": "d", "cluster": "mine"},
    )
    assert [row.cluster for row in rows_of(path, cluster_until="#")] == ["page", "mine"]


BAD_LINES = [
    ("{", "not JSON"),
    ("[1]", "a JSON list; each line must be an object"),
    ("[" * 100_000, "not JSON"),
    ('{"group_id": "2", "lang": "en", "query": NaN, "text": "t"}', "query is nan, a float; it must be text"),
    ('{"group_id": "2", "lang": "en", "query": "\\ud800", "text": "t"}', "half of a surrogate pair"),
    ('{"group_id": "2", "lang": "en", "query": "\\u0000q", "text": "t"}', "NUL"),
    ('{"group_id": "2", "lang": "english!", "query": "q", "text": "t"}', "unknown language code 'english!'"),
    ('{"group_id": "2", "lang": ["en"], "query": "q", "text": "t"}', "lang is \\['en'\\]"),
    ('{"group_id": "2", "query": "q", "text": "t"}', "lang is missing"),
    ('{"group_id": true, "lang": "en", "query": "q", "text": "t"}', "group_id is True"),
    ('{"lang": "en", "query": "q", "text": "t"}', "group_id is missing"),
    ('{"group_id": "2", "lang": "en", "query": "", "text": " "}', "neither a query nor a text"),
    ('{"group_id": "", "lang": "en", "query": "q"}', "group_id is missing"),
    ('{"group_id": "2", "lang": "", "query": "q"}', "lang is missing; it must be a language code"),
    ('{"group_id": "2", "lang": "en"}', "neither a query nor a text"),
    ('{"group_id": "1", "lang": "en-Latn-x", "query": "q", "text": "t"}', "unknown language code"),
    ('{"group_id": "1", "lang": "en", "query": "q", "text": "t"}', "group '1' has a query in en already"),
    ('{"group_id": "2", "lang": "en", "query": "q", "text": "' + "x" * (1 << 20) + '"}', "text has 1,048,576 characters"),
    ('{"group_id": "2", "lang": "en", "query": "q", "text": "t", "cluster": 1.5}', "cluster is 1.5"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_bad_lines_are_named_or_skipped(tmp_path, line, reason):
    good = {"group_id": "1", "lang": "en", "query": "q", "text": "t"}
    path = lines(tmp_path / "a.jsonl", good, line, "", {**good, "group_id": "3"})

    def write(report: ReadingReport) -> int:
        rows = own(path).rows(report)
        return write_corpus(tmp_path / "c", rows, source="", licence="", revision="", made_by="", report=report).n_groups

    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{reason}.*; mend it, or leave bad rows out with --on-bad-row skip"):
        write(ReadingReport(option="--on-bad-row skip"))
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{reason}.*; mend it$"):
        write(ReadingReport())
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]
    report = ReadingReport("skip")
    assert write(report) == 2
    assert report.skipped == 1
    assert report.sample[0].startswith(f"{path}:2: ")


def test_bytes_that_are_not_utf8(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"group_id": "1", "lang": "en", "query": "q", "text": "t"}\n{"query": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not UTF-8 at byte 15"):
        rows_of(tmp_path / "a.jsonl")
    (tmp_path / "a.csv").write_bytes(b"group_id,lang,query,text\n1,fr,caf\xe9,bon\n2,fr,the,bon\n")
    report = ReadingReport("skip")
    manifest = write_corpus(
        tmp_path / "c", own(tmp_path / "a.csv").rows(report), source="", licence="", revision="", made_by="", report=report
    )
    assert manifest.n_groups == 1
    assert "a.csv:2: query holds a byte that is not UTF-8" in report.sample[0]
    texts = pa.array([b"t", b"caf\xe9"], pa.binary()).view(pa.string())
    table = pa.table({"group_id": ["1", "2"], "lang": ["en", "en"], "text": texts})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet:2: a text that is not UTF-8"):
        rows_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet"])
def test_an_empty_file(tmp_path, form):
    path = tmp_path / f"a{form}"
    path.write_bytes(gzip.compress(b"") if form.endswith(".gz") else b"")
    with pytest.raises(DataError, match=r"holds no records|not a whole Parquet file"):
        rows_of(path)


def test_a_header_alone(tmp_path):
    (tmp_path / "a.csv").write_text("group_id,lang,query,text\n")
    with pytest.raises(DataError, match="holds no records"):
        rows_of(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"id": 1, "lang": "en", "query": "q"},
            r"a\.jsonl:1: no column 'group_id'; found: id, lang, query; say .*\{group_id",
        ),
        ({"group_id": 1, "query": "q"}, "no column 'lang'; .*or give lang for the file"),
        ({"group_id": 1, "lang": "en", "question": "q"}, "no column 'query' or 'text'"),
    ],
)
def test_a_file_without_the_columns_is_refused_even_when_skipping(tmp_path, record, message):
    with pytest.raises(DataError, match=message):
        rows_of(lines(tmp_path / "a.jsonl", record), report=ReadingReport("skip"))


@pytest.mark.parametrize("keep", [5, 30, -4, -9])
def test_a_gzip_file_that_was_cut_short(tmp_path, keep):
    whole = gzip.compress("".join(json.dumps(one) + "\n" for one in RECORDS * 20).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[:keep])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:\d+: the gzip file is damaged or cut short"):
        rows_of(tmp_path / "a.jsonl.gz", report=ReadingReport("skip"))
    csv_whole = gzip.compress(("group_id,lang,query\n" + "1,en,q\n" * 50).encode())
    (tmp_path / "a.csv.gz").write_bytes(csv_whole[:keep])
    with pytest.raises(DataError, match=r"a\.csv\.gz:\d+: the gzip file is damaged or cut short"):
        rows_of(tmp_path / "a.csv.gz", report=ReadingReport("skip"))


def test_what_is_not_gzip(tmp_path):
    (tmp_path / "a.jsonl.gz").write_text("plain")
    with pytest.raises(DataError, match="damaged or cut short"):
        rows_of(tmp_path / "a.jsonl.gz")


def test_a_parquet_file_that_was_cut_short(tmp_path):
    path = in_form(tmp_path, ".parquet", RECORDS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        rows_of(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*gone\.jsonl: No such file"):
        rows_of(tmp_path / "gone.jsonl")
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        rows_of(tmp_path / "dir.csv")
    with pytest.raises(UserError, match=r"a\.docx: unknown kind of file; allowed are \.jsonl"):
        rows_of(tmp_path / "a.docx")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,en,q\n", "3 fields; the header has 4"),
        ("1,en,q,t,extra\n", "5 fields; the header has 4"),
        ('1,en,"q"x,t\n', "not CSV"),
    ],
)
def test_bad_csv(tmp_path, text, reason):
    (tmp_path / "a.csv").write_text("group_id,lang,query,text\n0,en,q,t\n" + text + "\n2,en,q,t\n")
    with pytest.raises(DataError, match=rf"a\.csv:3: {reason}"):
        rows_of(tmp_path / "a.csv")
    report = ReadingReport("skip")
    assert [row.group_id for row in rows_of(tmp_path / "a.csv", report=report)] == ["0", "2"]
    assert report.skipped == 1


def test_a_quote_that_never_ends(tmp_path):
    (tmp_path / "a.csv").write_text('group_id,lang,query,text\n0,en,q,t\n1,en,"q,t\n2,en,q,t\n')
    with pytest.raises(DataError, match=r"a\.csv:3: not CSV: unexpected end of data"):
        rows_of(tmp_path / "a.csv")


def test_a_header_that_names_a_column_twice(tmp_path):
    (tmp_path / "a.csv").write_text("group_id,lang,text,text\n0,en,q,t\n")
    with pytest.raises(DataError, match="names a column twice"):
        rows_of(tmp_path / "a.csv")


def test_quotes_mean_nothing_in_tsv(tmp_path):
    (tmp_path / "a.tsv").write_text('group_id\tlang\tquery\n1\ten\t"so" she said\n2\ten\t"open\n')
    assert [row.query for row in rows_of(tmp_path / "a.tsv")] == ['"so" she said', '"open']


def test_a_field_of_a_megabyte_is_read(tmp_path):
    (tmp_path / "a.csv").write_text(f"group_id,lang,text\n1,en,{'x' * (1 << 20)}\n")
    assert len(rows_of(tmp_path / "a.csv")[0].text) == 1 << 20


def test_a_line_without_end_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("xlret.data.read._LONGEST_LINE", 1000)
    (tmp_path / "a.jsonl").write_text("x" * 5000)
    with pytest.raises(DataError, match="is longer than"):
        list(read_lines(tmp_path / "a.jsonl", ReadingReport()))


def test_columns_without_a_header(tmp_path):
    (tmp_path / "a.tsv").write_text("1\tone\n2\n\n3\tthree\n")
    with pytest.raises(DataError, match=r"a\.tsv:2: 1 columns between tabs; allowed are 2: id, text"):
        list(read_columns(tmp_path / "a.tsv", ("id", "text"), ReadingReport()))
    report = ReadingReport("skip")
    found = list(read_columns(tmp_path / "a.tsv", ("id", "text"), report))
    assert found == [(f"{tmp_path}/a.tsv:1", {"id": "1", "text": "one"}), (f"{tmp_path}/a.tsv:4", {"id": "3", "text": "three"})]


def test_records_stream(tmp_path):
    """The first record is there before the end of the file is looked at."""
    path = lines(tmp_path / "a.jsonl", RECORDS[0], "{")
    records = read_records(path, ReadingReport())
    assert next(records)[1]["group_id"] == "1"
    with pytest.raises(DataError):
        next(records)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"files": []}, "files is"),
        ({"files": ["a.jsonl"], "format": "rows", "file": 1}, "file: unknown key"),
        ({"files": [{"path": "a.jsonl", "lang": "nonsense!"}]}, "files.0.lang.*unknown language code 'nonsense!'"),
        ({"files": [{"path": "a.jsonl", "columns": {"body": "text"}}]}, "body"),
        ({"files": "a.jsonl"}, "files is 'a.jsonl'"),
    ],
)
def test_settings_that_cannot_be(given, message):
    with pytest.raises(UserError, match=message):
        settings_from(OwnSource, {"format": "rows", **given})

"""Whatever a file holds, its readers give rows, or one line that names the file; never another exception."""

import gzip
import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlret.config import settings_from
from xlret.data.rows import ReadingReport, checked_rows
from xlret.data.sources.judged import read_judged_squad
from xlret.data.sources.own import OwnSource
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import texts_of
from xlret.data.sources.topics import topics
from xlret.errors import UserError
from xlret.search.passages import read_passages

RECORDS = [
    {
        "group_id": f"g{number}",
        "id": f"p{number}",
        "lang": "de",
        "query": f"q{number}",
        "title": "",
        "text": f"Tëxt {number}, \r 绿",
    }
    for number in range(3)
]
SGML = "<top>\n<num> Number: 1 </num>\n<title> Grün &amp; rot\n</top>\n<topic number='2'><query>blau</query></topic>\n"
SQUAD = {"data": [{"title": "T", "paragraphs": [{"context": "C", "qas": [{"id": "1", "question": "q?"}]}]}]}


def table(separator: str) -> str:
    return "".join(separator.join(row) + "\n" for row in [RECORDS[0].keys(), *(record.values() for record in RECORDS)])


def parquet() -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), data, compression="none")
    return data.getvalue()


FILES = {
    ".jsonl": "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode(),
    ".csv": table(";").encode(),
    ".tsv": table("\t").encode(),
    ".parquet": parquet(),
    ".qrels": b"query-id\tcorpus-id\tscore\nq 1\td1\t1\nq2\td2\t0.5\n",
    ".xml": SGML.encode(),
    ".squad": json.dumps(SQUAD).encode(),
}


def prepared(path: Path, report: ReadingReport) -> Iterable[object]:
    source = settings_from(OwnSource, {"format": "rows", "files": [str(path)]})
    return list(checked_rows(source.rows(report), report))


READERS: dict[str, tuple[Callable[[Path, ReadingReport], Any], ...]] = {
    ".qrels": (read_qrels,),
    ".xml": (lambda path, report: list(topics(path, report)),),
    ".squad": (lambda path, report: read_judged_squad(path, lang="de", report=report),),
}
OF_RECORDS = (
    prepared,
    lambda path, report: list(read_passages([path], lang="en", report=report)),
    lambda path, report: list(texts_of(path, report)),
)

KINDS = st.sampled_from(["flip", "cut", "drop", "insert"])
BYTES = st.integers(0, 255) | st.sampled_from([0, 10, 13, 34, 44, 60, 92, 123, 0x8B, 0xC3, 0xFF])


def damaged(data: bytes, damage: list[tuple[str, int, int]]) -> bytes:
    for kind, position, value in damage:
        at = position % (len(data) + 1)
        if kind == "flip":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[at + 1 + value % 9 :]
        else:
            data = data[:at] + bytes([value]) + data[at:]
    return data


def encoded(data: bytes, encoding: str, packed: bool) -> bytes:
    if encoding != "utf-8":
        data = data.decode().encode(encoding, "replace")
    return gzip.compress(data, mtime=0) if packed else data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(FILES)),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"]),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(KINDS, st.integers(0, 10_000), BYTES), max_size=4),
    st.sampled_from(["error", "skip"]),
)
def test_readers_give_rows_or_one_line_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, form: str, encoding: str, packed: bool, called_gz: bool, damage: Any, policy: Any
) -> None:
    binary = form == ".parquet"
    name = f"file{form.replace('.squad', '.json').replace('.qrels', '.tsv')}{'.gz' * (called_gz and not binary)}"
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(damaged(FILES[form] if binary else encoded(FILES[form], encoding, packed), damage))
    for read in READERS.get(form, OF_RECORDS):
        report = ReadingReport(policy)
        try:
            read(path, report)
        except UserError as error:
            refused = str(error)
        else:
            refused = f"{name}: not refused"
        assert re.search(rf"{re.escape(name)}(:\d+|: | holds)", refused), refused
        assert "\n" not in refused
        assert len(report.sample) == min(report.skipped, 10)
        assert all(reason.startswith(str(path)) for reason in report.sample)

"""Queries and passages of a collection one by one, with their ids: records or lines `id TAB text`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xlret.data.read import kind_of, read_columns, read_records
from xlret.data.rows import ReadingReport

IDS = ("_id", "id", "docid", "doc_id", "docno", "pid", "passage_id", "qid", "query_id", "query-id")
"""What an id is called in records, the first one that is there."""
TEXTS = ("text", "contents", "body", "passage", "query", "question")
"""What a text is called in records, the first one that is there."""

_RECORDS = {".jsonl", ".ndjson", ".json", ".csv", ".parquet"}


class Text(NamedTuple):
    """A query or passage with its id."""

    where: str
    id: str
    title: str | None
    text: str
    lang: str | None = None
    """Where the record says it."""


def texts_of(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries or passages of a file of any kind: records in JSON lines, CSV and Parquet, lines `id TAB text` in all others."""
    return json_texts(path, report) if kind_of(path) in _RECORDS else tsv_texts(path, report)


def json_texts(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries or passages of records with an id (`IDS`), a text (`TEXTS`), perhaps `title` and `lang`."""
    for where, record in read_records(path, report):
        given_id, text = _first(record, IDS), _first(record, TEXTS)
        title, lang = record.get("title") or None, record.get("lang") or None
        if given_id is None or text is None:
            report.bad(where, f"no id or no text; found: {', '.join(record)}")
        elif isinstance(text, str) and not text.strip() and isinstance(title, str):
            yield Text(where, str(given_id), None, title, lang)  # BEIR has passages that are a title alone
        else:
            yield Text(where, str(given_id), title, text, lang)


def tsv_texts(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries or passages of a file with lines `id TAB text`; a header that names these columns is none of them."""
    header = {*IDS, *TEXTS}
    is_first = True
    for where, record in read_columns(path, ("id", "text"), report):
        if is_first and {value.strip().lower() for value in record.values()} <= header:
            is_first = False
            continue
        is_first = False
        yield Text(where, record["id"], None, record["text"])


def either(path: Path) -> Path:
    """`path`, or `path.gz` where that is what there is."""
    zipped = path.with_name(path.name + ".gz")
    return zipped if not path.exists() and zipped.exists() else path


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)

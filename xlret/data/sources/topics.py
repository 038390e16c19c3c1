"""Queries as TREC and its kin write them: SGML and XML topics of many dialects."""

import gzip
import html
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.texts import Text, texts_of
from xlret.errors import DataError, UserError

_EXPECTED = "expected are <top> with <num> and <title>, or <topic number=...> with <query>, <title> or <question>"
_BLOCK = re.compile(r"<(top|topic)(\s[^>]*)?>(.*?)(?=</\1\s*>|<\1[\s>]|\Z)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ELEMENT = re.compile(r"<([\w:.-]+)[^>]*>([^<]*)")
_LABEL = re.compile(r"^(number|topic|title|query|question)\s*:\s*", re.IGNORECASE)
_HIDDEN = re.compile(r"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)["']""")
_NUMBERS = ("number", "num", "id", "qid", "identifier", "topicid")
_TEXTS = ("title", "query", "question", "text")


def topics(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries of a topics file: `<top>` blocks with `<num>` and `<title>` (TREC's SGML, whose tags need not be closed),
    `<topic number="1">` with `<query>` or `<title>` (XML of the web track, TREC-COVID, CLEF), records, or lines `id TAB text`.

    The keywords are the query where a topic has several fields: `<title>`, else `<query>`, else `<question>`. A topic that is
    nothing but its text is that. A `lang` attribute is the language.

    Raises:
        DataError: a topic lacks its number or its text, or a file with tags holds no topic; the message says what was expected.
        UserError: the file cannot be read.
    """
    document = _document(path)
    if document is None:
        yield from texts_of(path, report)
        return
    is_empty = True
    for block in _BLOCK.finditer(document):
        is_empty = False
        line = document.count("\n", 0, block.start()) + 1
        yield _topic(f"{path}:{line}", dict(_attributes(block[2] or "")), block[3])
    if is_empty:
        raise DataError(f"{path}: tags, but no topic; {_EXPECTED}")


def _topic(where: str, attributes: dict[str, str], content: str) -> Text:
    fields: dict[str, str] = {}
    for name, text in _ELEMENT.findall(content):
        fields.setdefault(name.lower(), _words(text))
    number = next((value for name in _NUMBERS if (value := attributes.get(name) or fields.get(name))), None)
    text = next((fields[name] for name in _TEXTS if fields.get(name)), None if fields else _words(content))
    if not number or not text:
        raise DataError(f"{where}: a topic without {'text' if number else 'number'}; {_EXPECTED}")
    return Text(where, number, None, text, attributes.get("lang") or attributes.get("xml:lang"))


def _attributes(written: str) -> Iterator[tuple[str, str]]:
    for name, double, single in _ATTRIBUTE.findall(written):
        yield name.lower(), html.unescape(double or single).strip()


def _words(text: str) -> str:
    """Text without entities, labels such as `Number:` and runs of white space."""
    return _LABEL.sub("", " ".join(html.unescape(text).split()))


def _document(path: Path) -> str | None:
    """The whole text of a file with tags, in the encoding that it says; None for a file without."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    declared = _DECLARED.match(data)
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else declared[1].decode() if declared else "utf-8-sig"
    start = data[:4096].decode("utf-16" if encoding == "utf-16" else "latin-1", "replace")
    if not start.lstrip("\ufeffï»¿ \t\r\n").startswith("<"):
        return None
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise DataError(f"{path}: not {encoding}: {error}; save it as UTF-8") from error
    return _CDATA.sub(lambda match: html.escape(match[1]), _HIDDEN.sub(lambda match: "\n" * match[0].count("\n"), text))

"""Tables of text: CSV as programs and spreadsheets write it, and TSV, which knows no quotes."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from xlret.data.opened import opened, reading
from xlret.data.rows import RawRow, ReadingReport
from xlret.errors import DataError

_LONGEST_LINE = 1 << 26
_LONGEST_HEADER = 1 << 20
_LONE_RETURN = re.compile(r"\r(?!\n|\Z)")
_HELD_RETURN = "\udc0d"
"""Stands for a lone CR while a line goes through the CSV reader, which would end the row there; no decoder gives it."""
_SPREADSHEET = re.compile("sep=(.)\r?\n?")


def table_records(path: Path, report: ReadingReport, *, tab: bool) -> Iterator[RawRow]:
    """The rows of a table by the names of its header.

    Names lose the blanks around them; where blanks follow the separators of a CSV header, they follow those of its rows too.
    Semicolons or tabs separate a CSV whose header has no comma, as spreadsheets write it in half of the world. A lone CR is
    part of a text, unless no line ends otherwise. Columns without a name, such as pandas' index, are not read.

    Args:
        path: plain or gzipped, UTF-8 or UTF-16.
        report: takes rows that cannot be read.
        tab: TSV.

    Raises:
        DataError: the header names a column twice, or the file is damaged.
        UserError: it cannot be opened.
    """
    with opened(path) as file:
        lines = _lines(path, file)
        rows: Iterator[tuple[str, list[str]]]
        if tab:
            rows = ((f"{path}:{number}", line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines, 1))
            header = next((values for _, values in rows), [])
            if len(header) == 1 and {",", ";"} & set(header[0]):
                raise DataError(f"{path}:1: no tab in the header {header[0]!r:.60}; is this CSV? Then call it .csv")
        else:
            header_lines, separator, skip_blanks = _csv_form(lines)
            rows = _csv_rows(path, chain(header_lines, lines), separator, skip_blanks, report)
            header = next((values for _, values in rows), [])
        names = [name.strip() for name in header]
        yield from _records(path, names, rows, report)


def _records(path: Path, names: list[str], rows: Iterator[tuple[str, list[str]]], report: ReadingReport) -> Iterator[RawRow]:
    named = [name for name in names if name]
    if len(set(named)) != len(named):
        raise DataError(f"{path}:1: the header names a column twice: {', '.join(names)}")
    if len(named) != len(names):
        report.note(f"{path}: {len(names) - len(named)} columns without a name are not read")
    for where, values in rows:
        if not any(value.strip() for value in values):
            continue
        if len(values) == len(names):
            yield where, {name: value for name, value in zip(names, values, strict=True) if name}
        else:
            report.bad(where, f"{len(values)} fields; the header has {len(names)}: {', '.join(names)}")


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """The lines of a file with their ends. Only LF ends one, or CR where the first part of the file has no LF."""
    with reading(f"{path}:1"):
        head = file.peek(_LONGEST_HEADER)  # type: ignore[attr-defined]
    newline = "\r" if b"\r" in head.rstrip(b"\r") and b"\n" not in head else "\n"
    # Bytes that are not UTF-8 become half surrogates here, which the check of every row finds.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline=newline)
    number = 0
    while True:
        number += 1
        with reading(f"{path}:{number}"):
            line = text.readline(_LONGEST_LINE)
        if not line:
            text.detach()
            return
        if len(line) == _LONGEST_LINE:
            raise DataError(f"{path}:{number}: the line is longer than {_LONGEST_LINE >> 20} MB; is this the right file?")
        yield line[:-1] + "\n" if newline == "\r" and line.endswith("\r") else line


def _csv_form(lines: Iterator[str]) -> tuple[list[str], str, bool]:
    """The lines that the header takes, what separates its columns, and whether blanks follow that."""
    first = next(lines, "")
    named = _SPREADSHEET.fullmatch(first)
    header_lines = [next(lines, "")] if named else [first]
    while sum(line.count('"') for line in header_lines) % 2 and (more := list(islice(lines, 1))):
        header_lines += more
        if sum(map(len, header_lines)) > _LONGEST_HEADER:
            break  # a quote that never ends, which the reader refuses
    header = re.sub('"[^"]*"', '""', "".join(header_lines))
    separator = named[1] if named else next((sign for sign in ",;\t" if sign in header), ",")
    # Line numbers stay those of the file: what stands before the header is an empty line to the reader.
    return ["\n"] * bool(named) + header_lines, separator, f"{separator} " in header


def _csv_rows(
    path: Path, lines: Iterator[str], separator: str, skip_blanks: bool, report: ReadingReport
) -> Iterator[tuple[str, list[str]]]:
    csv.field_size_limit(_LONGEST_LINE)  # the module's own limit, which is global, would stop at 128 KB
    held = (_LONE_RETURN.sub(_HELD_RETURN, line) if "\r" in line else line for line in lines)
    reader = csv.reader(held, delimiter=separator, skipinitialspace=skip_blanks, strict=True)
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            report.bad(where, f"not CSV: {error}")
            continue
        if values is None:
            return
        if values:
            yield where, [value.replace(_HELD_RETURN, "\r") for value in values]

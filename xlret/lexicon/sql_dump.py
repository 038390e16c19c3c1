"""Rows of a MySQL dump as Wikimedia publishes them: gzipped INSERT statements, streamed."""

import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

from xlret.errors import DataError, UserError

Value = str | None

_COLUMN = re.compile(r"^\s*`([^`]+)`\s")
_VALUE = re.compile(r"\s*(?:(?:_binary\s*)?'((?:[^'\\]|\\.|'')*+)'|(NULL)|([^\s,()']+))\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}


def read_rows(path: Path, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Value, ...]]:
    """The values of some columns of a table, row by row, as text; NULL is None.

    Holds one line at a time: mysqldump writes a statement of about a megabyte a line, newer mariadb-dump a row a line.
    Column order comes from CREATE TABLE.
    Bytes that are not UTF-8 come as lone surrogates.

    Args:
        path: a `.sql` or `.sql.gz` file.
        table: its name, such as `langlinks`.
        columns: which columns, in the order wanted.

    Raises:
        UserError: it cannot be read, or has no such table or column.
        DataError: a row that cannot be read; names the line.
    """
    positions: list[int] | None = None
    known: list[str] | None = None
    start = f"INSERT INTO `{table}`"
    number, goes_on = 0, False  # goes_on: the statement that the line before held part of
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if goes_on and positions is not None:
                    goes_on = yield from _rows(line, 0, positions, f"{path}:{number}")
                elif line.startswith("CREATE TABLE"):
                    known = [] if f"`{table}`" in line else None
                elif known is not None and positions is None:
                    if column := _COLUMN.match(line):
                        known.append(column[1])
                    elif line.startswith(")"):
                        positions = _positions(path, table, known, columns)
                elif line.startswith(start):
                    if positions is None:
                        raise DataError(f"{path}:{number}: rows of {table} come before its CREATE TABLE")
                    values = line.find("VALUES", len(start))
                    if values < 0:
                        raise DataError(f"{path}:{number}: INSERT without VALUES: {line[:80]!r}")
                    goes_on = yield from _rows(line, values + 6, positions, f"{path}:{number}")
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzipped file is damaged or ends too early; fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if goes_on:
        raise DataError(f"{path}:{number}: the file ends within a statement; fetch it again")
    if positions is None:
        raise UserError(f"{path} holds no table {table}; give the dump of that table")


def _rows(line: str, here: int, positions: list[int], where: str) -> Generator[tuple[Value, ...], None, bool]:
    """The rows in a line from `here` on; returns whether the statement goes on in the next line."""
    while True:
        while line[here : here + 1].isspace() or line[here : here + 1] == ",":
            here += 1
        if here == len(line):
            return True
        if line[here] != "(":
            raise DataError(f"{where}: a row must begin with a bracket at {line[here : here + 40]!r}")
        values, here = _values(line, here + 1, where)
        if max(positions) >= len(values):
            raise DataError(f"{where}: a row has {len(values)} values, fewer than the table has columns")
        yield tuple(values[position] for position in positions)
        if line[here : here + 1] == ";":
            return False


def _values(line: str, here: int, where: str) -> tuple[list[Value], int]:
    """The values of one row and the position after its bracket."""
    values: list[Value] = []
    while True:
        match = _VALUE.match(line, here)
        if match is None:
            raise DataError(f"{where}: cannot read a value at {line[here : here + 40]!r}")
        text, null, bare = match.groups()
        values.append(None if null else bare if text is None else _ESCAPE.sub(_unescaped, text))
        here = match.end()
        sign = line[here : here + 1]
        if sign == ")":
            return values, here + 1
        if sign != ",":
            raise DataError(f"{where}: a comma or bracket is missing at {line[here : here + 40]!r}")
        here += 1


def _unescaped(match: re.Match[str]) -> str:
    sign = match[1]
    return "'" if sign is None else _ESCAPES.get(sign, sign)


def _positions(path: Path, table: str, known: list[str], columns: tuple[str, ...]) -> list[int]:
    for column in columns:
        if column not in known:
            raise UserError(f"{path}: table {table} has no column {column}; it has {', '.join(known)}")
    return [known.index(column) for column in columns]


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n")
    return open(path, encoding="utf-8", errors="surrogateescape", newline="\n")

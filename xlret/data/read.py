"""Records of the user's files with the place of each: JSON lines, Parquet, CSV and TSV, plain or gzipped."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from xlret.calls import Calls
from xlret.data.opened import is_plain_utf_8, opened, raw, reading
from xlret.data.rows import RawRow, ReadingReport
from xlret.data.table import table_records
from xlret.errors import DataError, UserError

KINDS = ".jsonl, .ndjson, .json (one record a line), .csv, .tsv, each also with .gz, and .parquet"
_LONGEST_LINE = 1 << 26
_ROWS_AT_ONCE = 1024
_JSON = (".jsonl", ".ndjson", ".json")
_SLICE_BYTES = 1 << 23
_MOST_SLICES = 256
_BLOCK = 1 << 20


class Slice(NamedTuple):
    """Some lines of a file of JSON lines: those that begin in a range of its bytes."""

    start: int
    stop: int
    lines_before: int


def slices_of(path: Path, calls: Calls) -> list[Slice | None]:
    """A large plain file of JSON lines in slices of some megabytes, [None] for any other: cut by the file alone.

    Costs a reading of the file, in calls, in which line ends are counted, so that every slice knows the numbers of its lines.

    Raises:
        UserError: the file cannot be opened.
    """
    if kind_of(path) not in _JSON or path.suffix.lower() == ".gz" or not is_plain_utf_8(path):
        return [None]
    size = path.stat().st_size
    step = max(_SLICE_BYTES, size // _MOST_SLICES)
    if size < 2 * step:
        return [None]
    stops = [*range(step, size - step + 1, step), size]
    ranges = list(zip([0, *stops[:-1]], stops, strict=True))
    ends = list(calls(_line_ends, [(path, start, stop) for start, stop in ranges]))
    slices: list[Slice | None] = []
    lines, is_line_start = 0, True
    for (start, stop), (count, ends_with_line) in zip(ranges, ends, strict=True):
        slices.append(Slice(start, stop, lines if is_line_start else lines + 1))
        lines, is_line_start = lines + count, ends_with_line
    return slices


def read_records(path: Path, report: ReadingReport, part: Slice | None = None) -> Iterator[RawRow]:
    """The records of a file, its kind told by its name; memory is bounded by one line or one small part of the file.

    CSV follows RFC 4180 with a header; TSV has a header and knows no quotes. Records that cannot be read (not JSON, not
    UTF-8, too many fields) are reported as bad rows. Blank lines are skipped.

    Args:
        path: the file.
        report: takes bad records.
        part: only these lines, as `slices_of` cut them.

    Raises:
        DataError: the file is empty or cut short.
        UserError: there is no such file, or it is of another kind.
    """
    kind = kind_of(path)
    if kind in _JSON:
        records = _json_records(path, report, part)
    elif kind in (".csv", ".tsv"):
        records = table_records(path, report, tab=kind == ".tsv")
    elif path.suffix.lower() == ".parquet":
        records = _parquet_records(path, report)
    else:
        raise UserError(f"{path}: unknown kind of file; allowed are {KINDS}")
    is_empty, skipped = True, report.skipped
    for record in records:
        is_empty = False
        yield record
    if is_empty and report.skipped == skipped and part is None:
        raise DataError(f"{path} holds no records")


def kind_of(path: Path) -> str:
    """The suffix that tells the kind of a file, in lower case and without `.gz`.

    >>> kind_of(Path("P.JSONL.GZ"))
    '.jsonl'
    """
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_lines(path: Path, report: ReadingReport, part: Slice | None = None) -> Iterator[tuple[str, str]]:
    """(`file:line`, text) of each line of a plain or gzipped text file, without the line end; lines that are not UTF-8 are bad.

    Raises:
        DataError: the gzip file is damaged or cut short, or a line is longer than 64 MB.
        UserError: the file cannot be opened.
    """
    with opened(path) as file:
        number, left = 0, None
        if part is not None:
            number, left = part.lines_before, part.stop - part.start
            with reading(f"{path}:{number + 1}"):
                left -= _to_line_start(file, part.start)
        while True:
            where = f"{path}:{number + 1}"
            if left is not None and left <= 0:
                return
            with reading(where):
                line = file.readline(_LONGEST_LINE)
            if not line:
                return
            left = None if left is None else left - len(line)
            number += 1
            if len(line) == _LONGEST_LINE:
                raise DataError(f"{where}: the line is longer than {_LONGEST_LINE >> 20} MB; is this the right file?")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                report.bad(where, f"not UTF-8 at byte {error.start + 1} of the line")
                continue
            yield where, text.rstrip("\r\n")


def read_columns(path: Path, names: Sequence[str], report: ReadingReport) -> Iterator[RawRow]:
    """Records of a tab-separated file without a header, such as `collection.tsv`; another number of columns is a bad row."""
    for where, line in read_lines(path, report):
        values = line.split("\t")
        if len(values) == len(names):
            yield where, dict(zip(names, values, strict=True))
        elif line:
            report.bad(where, f"{len(values)} columns between tabs; allowed are {len(names)}: {', '.join(names)}")


def _line_ends(piece: tuple[Path, int, int]) -> tuple[int, bool]:
    """How many lines end in a range of a file's bytes, and whether one ends at its end."""
    path, start, stop = piece
    count, last = 0, b""
    with raw(path) as file, reading(f"{path}"):
        file.seek(start)
        while start < stop and (block := file.read(min(_BLOCK, stop - start))):
            count, start, last = count + block.count(b"\n"), start + len(block), block[-1:]
    return count, last == b"\n"


def _to_line_start(file: BinaryIO, start: int) -> int:
    """Goes to the first line that begins at `start` or after it; the bytes from `start` to it."""
    if start == 0:
        return 0
    file.seek(start - 1)
    skipped = -1
    while block := file.readline(_BLOCK):
        skipped += len(block)
        if block.endswith(b"\n"):
            break
    return skipped


def _json_records(path: Path, report: ReadingReport, part: Slice | None) -> Iterator[RawRow]:
    for where, line in read_lines(path, report, part):
        if not line or line.isspace():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            hint = "; this begins a list, where one record a line is expected" if line.lstrip().startswith("[") else ""
            report.bad(where, f"not JSON: {error}{hint}")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            report.bad(where, f"a JSON {type(record).__name__}; each line must be an object with columns as keys")


def _parquet_records(path: Path, report: ReadingReport) -> Iterator[RawRow]:
    with raw(path) as file:
        number = 0
        try:
            table = pq.ParquetFile(file)
            names = table.schema_arrow.names
            if len(set(names)) != len(names):
                raise DataError(f"{path}: the schema names a column twice: {', '.join(names)}")
            for batch in table.iter_batches(_ROWS_AT_ONCE):
                for row in range(batch.num_rows):
                    number += 1
                    try:
                        record = batch.slice(row, 1).to_pylist()[0]
                    except UnicodeDecodeError:
                        report.bad(f"{path}:{number}", "a text that is not UTF-8")
                    except (ValueError, OverflowError) as error:
                        report.bad(f"{path}:{number}", f"a value that cannot be read: {error}")
                    else:
                        yield f"{path}:{number}", record
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns may be no UTF-8
            raise DataError(f"{path}:{number + 1}: not a whole Parquet file: {error}") from error

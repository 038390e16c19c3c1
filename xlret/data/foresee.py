"""What preparing a corpus would take, before anything is fetched or written: files, rows, languages, disk, memory."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel

from xlret.data.opened import GZIP, raw
from xlret.data.read import kind_of
from xlret.errors import DataError, UserError

_SAMPLE_BYTES = 1 << 20
_MOST_UNPACKED = 1 << 26
_ROW_BYTES = 200
"""What the spool keeps of a row besides its texts: id, hashes, place."""
_GROUP_BYTES = 200
_TEXT_BYTES = 50
_BASE_BYTES = 200 << 20
"""Of the interpreter and its libraries. These were set to what `python -m jobs.benchmark prepare` measured, rounded up."""


@dataclass(frozen=True)
class Foreseen:
    """Estimates; what cannot be known is None or said in a note."""

    files: Mapping[str, int]
    """Each file, and its bytes."""
    fetched_bytes: int = 0
    """Of these, what comes from a hub and is kept in its cache."""
    languages: tuple[str, ...] = ()
    """Empty where only the rows say them."""
    rows: int | None = None
    """Queries and passages in all languages, about."""
    groups: int | None = None
    text_bytes: int | None = None
    """Of the texts that a corpus is made of."""
    notes: list[str] = field(default_factory=list)

    @property
    def disk_bytes(self) -> int | None:
        """What the disk needs while the corpus is made: what is fetched, the spool and the corpus."""
        if self.rows is None or self.text_bytes is None:
            return None
        return self.fetched_bytes + 2 * self.text_bytes + _ROW_BYTES * self.rows

    @property
    def memory_bytes(self) -> int | None:
        """The driving process's: some numbers for each group, and for each text of one language."""
        if self.rows is None:
            return None
        groups = self.groups or self.rows
        return _BASE_BYTES + _GROUP_BYTES * groups + _TEXT_BYTES * self.rows // (2 * max(1, len(self.languages)))


def foreseen_of_files(settings: BaseModel) -> Foreseen:
    """What the files that some settings name would give: a row for each record, as far as a sample of each file tells.

    Raises:
        UserError: a file or folder is not there.
        DataError: a packed file is damaged.
    """
    files: dict[str, int] = {}
    rows = text_bytes = 0
    for path in sorted(set(_files(_paths(settings)))):
        files[str(path)] = path.stat().st_size
        records, unpacked = _records(path)
        rows, text_bytes = rows + records, text_bytes + unpacked
    note = "a row for each record or line; which of them are used, and how many groups they make, only reading tells"
    return Foreseen(files, languages=_languages(settings), rows=rows, text_bytes=text_bytes, notes=[note])


def _paths(value: Any) -> Iterator[Path]:
    """Every path in settings, however deep."""
    if isinstance(value, BaseModel):
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Path):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _paths(part)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            yield path
        else:
            raise UserError(f"cannot read {path}: no such file or folder")


def _languages(settings: BaseModel) -> tuple[str, ...]:
    values = (getattr(settings, name, None) for name in ("languages", "lang", "passage_lang"))
    codes = {code for value in values if value for code in ([value] if isinstance(value, str) else value)}
    for file in getattr(settings, "files", ()):
        if isinstance(file, BaseModel):
            codes |= set(_languages(file))
    return tuple(sorted(codes))


def _records(path: Path) -> tuple[int, int]:
    """About how many records a file holds, and bytes when it is unpacked; by its first megabyte."""
    size = path.stat().st_size
    if kind_of(path) == ".parquet":
        with raw(path) as file:
            about = pq.read_metadata(file)
        unpacked = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        return about.num_rows, unpacked
    with raw(path) as file:
        head = file.read(_SAMPLE_BYTES)
    looked_at = len(head)
    if head.startswith(GZIP):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            text = unpacking.decompress(head, _MOST_UNPACKED)
        except zlib.error as error:
            raise DataError(f"{path}: the gzip file is damaged ({error}); fetch it again") from error
        looked_at -= len(unpacking.unconsumed_tail)
        head = text
    lines, is_whole = head.count(b"\n"), looked_at == size
    if is_whole:
        return lines + (bool(head) and not head.endswith(b"\n")), len(head)
    return lines * size // looked_at, len(head) * size // looked_at

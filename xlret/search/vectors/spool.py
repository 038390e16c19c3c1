"""The input of a bulk encoding, checked and laid aside in parts before anything is encoded."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xlret.artifacts import write_table
from xlret.data.seen import FirstSeen
from xlret.errors import UserError
from xlret.search.metadata import Fields, FieldType
from xlret.search.passages import Passage, checked_passages
from xlret.search.vectors.store import open_part, passage_table

_PART_CHARACTERS = 1 << 26
"""A part ends early when its texts grow longer than this, so that memory stays bounded whatever they are."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputPart(_Value):
    """One part of the input."""

    start: int = Field(ge=0)
    """Passages before it."""
    rows: int = Field(ge=1)
    sha256: str
    """Of what was laid aside."""


class Input(_Value):
    """What was read: equal for equal passages in equal order."""

    parts: tuple[InputPart, ...]
    languages: dict[str, int]
    fields: dict[str, FieldType]
    repeated: int
    """Passages whose text came before; they get the vector of the first and are not encoded."""

    @property
    def count(self) -> int:
        """Passages."""
        return self.parts[-1].start + self.parts[-1].rows

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all passages in their order."""
        return hashlib.sha256("\n".join(part.sha256 for part in self.parts).encode()).hexdigest()


def lay_aside(
    passages: Iterable[Passage],
    directory: Path,
    rows_per_part: int,
    *,
    known: Input | None,
    needed: Callable[[int], bool],
    advance: Callable[[int], None],
) -> Input:
    """Reads and checks all passages, and writes the parts that are needed into `directory`.

    Memory: one part, and 48 bytes a passage to know ids and texts that came before.

    Args:
        passages: N passages.
        directory: where parts are written.
        rows_per_part: passages in a part.
        known: what an earlier start has read, which this must be as well.
        needed: whether a part (by number) must be there afterwards.
        advance: told how many passages were read.

    Raises:
        DataError: a bad passage.
        UserError: no passages, or others than those that are known.
    """
    fields, languages, parts, repeated = Fields(), Counter[str](), list[InputPart](), 0
    for number, (start, block, first) in enumerate(_parts(checked_passages(passages, fields), rows_per_part)):
        table = _table(block, first)
        part = InputPart(start=start, rows=len(block), sha256=_digest(table))
        if known is not None and known.parts[number : number + 1] != (part,):
            raise _other_input(directory, start)
        parts.append(part)
        languages.update(passage.lang for passage in block)
        repeated += int(np.count_nonzero(first != np.arange(start, start + len(block))))
        if needed(number) and not (directory / input_file(number)).exists():
            write_table(directory / input_file(number), table)
        advance(len(block))
    if not parts:
        raise UserError("there is no passage to encode; name files that hold some")
    spooled = Input(
        parts=tuple(parts),
        languages=dict(sorted(languages.items())),
        fields=dict(sorted(fields.types.items())),
        repeated=repeated,
    )
    if known is not None and spooled != known:
        raise _other_input(directory, spooled.count)
    return spooled


def input_file(number: int) -> str:
    """The file of a part that was laid aside."""
    return f"input-{number:05d}.arrow"


def texts_to_encode(path: Path, start: int) -> list[str]:
    """The texts of a part (title and text) that did not come before; `start` is the number of passages before the part."""
    table = open_part(path)
    new = pa.array(_first(table) == np.arange(start, start + table.num_rows))
    columns = (table.column(name).filter(new).to_pylist() for name in ("title", "text"))
    return [Passage("", "", title, text, {}).full_text for title, text in zip(*columns, strict=True)]


def laid_aside(path: Path) -> tuple[list[Passage], NDArray[np.int64]]:
    """The passages of a part, and for each the number of the first passage in the input with the same text."""
    table = open_part(path)
    columns = (table.column(name).to_pylist() for name in ("id", "lang", "title", "text", "metadata"))
    rows = zip(*columns, strict=True)
    passages = [Passage(name, lang, title, text, json.loads(values)) for name, lang, title, text, values in rows]
    return passages, _first(table)


def _parts(passages: Iterator[Passage], rows: int) -> Iterator[tuple[int, list[Passage], NDArray[np.int64]]]:
    """(passages before, passages, where each one's text came first) of each part."""
    seen, start = FirstSeen(), 0
    block: list[Passage] = []
    characters = 0

    def part() -> tuple[int, list[Passage], NDArray[np.int64]]:
        return start, block, seen.add([passage.full_text for passage in block], range(start, start + len(block)))

    for passage in passages:
        block.append(passage)
        characters += len(passage.text) + len(passage.title or "")
        if len(block) == rows or characters > _PART_CHARACTERS:
            yield part()
            start, block, characters = start + len(block), [], 0
    if block:
        yield part()


def _table(passages: list[Passage], first: NDArray[np.int64]) -> pa.Table:
    metadata: list[Any] = [json.dumps(passage.metadata, ensure_ascii=False, sort_keys=True) for passage in passages]
    table = passage_table(passages, {})
    return table.append_column("metadata", pa.array(metadata, pa.large_string())).append_column("first", pa.array(first))


def _digest(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for column in ("id", "lang", "title", "text", "metadata", "first"):
        for buffer in table.column(column).combine_chunks().buffers():
            digest.update(b"\0" if buffer is None else memoryview(buffer))
    return digest.hexdigest()


def _first(table: pa.Table) -> NDArray[np.int64]:
    first: NDArray[np.int64] = table.column("first").to_numpy()
    return first


def _other_input(directory: Path, start: int) -> UserError:
    return UserError(
        f"{directory} was begun with other passages (they differ after passage {start}); "
        "give the same files in the same order, or remove it to begin again"
    )

"""`release.json`: what a release says of itself, and the names that releases and aliases may have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from xlret.artifacts import FileEntry, first_fault
from xlret.errors import CorruptError, UserError
from xlret.files import sha256_of
from xlret.storage.url import path_of

RECORD = "release.json"
CHECKSUM = "release.json.sha256"
ENCODER = "encoder"
INDEX = "index"
RERANKER = "reranker"
CURRENT_ALIAS = "current"
"""The alias that `serve` follows."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LARGEST_RECORD = 64 * 2**20
"""Bytes of release.json that are read at most: a file takes some 150, and no release has 400,000 files."""

Quality = Mapping[str, Mapping[str, float]]
"""Benchmark -> metric -> value; `index` holds the recall of the approximate index against exact search."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class IndexPart(_Part):
    """What the index in the release is."""

    version: str
    """Name of the index version that was taken, a hash of its content."""
    passages: int = Field(ge=0)
    shards: int = Field(ge=1)
    factory: str
    debias: str | None = None
    """The method by which it lacks what language does to vectors; None: it holds them as the encoder makes them."""


class ReleaseRecord(_Part):
    """`release.json`."""

    schema_version: Literal[1] = 1
    name: str
    created: str
    """UTC, ISO 8601."""
    dimension: int = Field(ge=1)
    languages: dict[str, int]
    """Language -> passages in the index."""
    index: IndexPart
    reranker: bool
    quality: dict[str, dict[str, float]]
    """See `Quality`."""
    files: dict[str, FileEntry]
    """Every file of the directory but release.json and its checksum, by its path with `/`."""
    made_with: dict[str, str]
    """Package -> version that made the release."""

    @field_validator("name", mode="after")
    @classmethod
    def _name(cls, name: str) -> str:
        return checked_name(name)

    @field_validator("files", mode="after")
    @classmethod
    def _inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for path in files:
            if not is_inside(path):
                raise ValueError(f"{path!r} is no plain path below {ENCODER}/, {INDEX}/ or {RERANKER}/")
        return files

    def holds_encoder(self, files: Mapping[str, str]) -> bool:
        """Whether the release's encoder is the one whose files have these SHA-256, as `encoder_files` gives them."""
        entries = {name: self.files.get(f"{ENCODER}/{name}") for name in files}
        return all(entry is not None and entry.sha256 == files[name] for name, entry in entries.items())


@dataclass(frozen=True)
class Release:
    """A release that was found whole: where its parts are and how good they are."""

    path: Path
    name: str
    encoder: Path
    index: Path
    reranker: Path | None
    quality: Quality
    languages: Mapping[str, int]
    """Language -> passages in the index."""
    dimension: int
    record: ReleaseRecord

    @property
    def passages(self) -> int:
        """Passages in the index."""
        return self.record.index.passages


def release_at(path: Path, record: ReleaseRecord) -> Release:
    """The release of which `path` is the directory and `record` the release.json."""
    return Release(
        path=path,
        name=record.name,
        encoder=path / ENCODER,
        index=path / INDEX,
        reranker=path / RERANKER if record.reranker else None,
        quality=record.quality,
        languages=record.languages,
        dimension=record.dimension,
        record=record,
    )


def checked_name(name: str, kind: str = "a release") -> str:
    """The name of a release or an alias, if it may be one.

    Raises:
        UserError: it may not, such as `../x`.

    >>> checked_name("atlas-2026.1")
    'atlas-2026.1'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"{str(name)[:100]!r} is no name of {kind}; allowed are up to 64 of a-z, 0-9, '.', '_' and '-', "
            "of which the first is a letter or digit"
        )
    return name


def is_inside(path: str) -> bool:
    """Whether a path of `files` is a plain one below one of the parts.

    >>> [is_inside(path) for path in ("index/manifest.json", "index/../../etc/passwd", "/etc/passwd", "encoder/./x", "x")]
    [True, False, False, False, False]
    """
    parts = PurePosixPath(path).parts
    plain = not any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts)
    return plain and "/".join(parts) == path and len(parts) > 1 and parts[0] in (ENCODER, INDEX, RERANKER)


def read_record(path: Path) -> ReleaseRecord:
    """Reads and checks `release.json` of the release directory `path` against its checksum; no other file is looked at.

    Raises:
        UserError: no such directory, or one that is no release.
        CorruptError: release.json is not as it was written.
    """
    path = path_of(path).absolute()
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"there is no release {path}; make one with xlret release make")
    for name in (RECORD, CHECKSUM):
        file = path / name
        if file.is_symlink():
            raise CorruptError(f"{file} is a link; a release holds plain files only")
        if not file.is_file():
            other = path / (CHECKSUM if name == RECORD else RECORD)
            kind = CorruptError if other.exists() else UserError
            raise kind(f"{path} holds no {name}, so it is no release; make one with xlret release make")
        if file.stat().st_size > _LARGEST_RECORD:
            raise CorruptError(f"{file} is damaged: larger than {_LARGEST_RECORD:,} bytes")
    record = path / RECORD
    if (path / CHECKSUM).read_bytes() != checksum_line(record):
        raise CorruptError(f"{record} is damaged: its checksum is not the one in {CHECKSUM}; make the release again")
    try:
        contents = ReleaseRecord.model_validate_json(record.read_bytes())
    except ValidationError as error:
        raise CorruptError(f"{record} is damaged or of another version: {first_fault(error)}") from error
    if contents.name != path.name:
        raise CorruptError(f"{path} is the release {contents.name!r} under another name; call its directory {contents.name}")
    return contents


def checksum_line(record: Path) -> bytes:
    """What stands in `release.json.sha256`, so that `sha256sum -c` understands it."""
    return f"{sha256_of(record)}  {RECORD}\n".encode()

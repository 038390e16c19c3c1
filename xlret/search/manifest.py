"""What an index says of itself, and whether its files are what it says."""

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.artifacts import FileEntry, check_entry, entry_of, first_fault
from xlret.errors import CorruptError, UserError
from xlret.files import local, write_text

MANIFEST = "manifest.json"
CURRENT_FILE = "CURRENT"
VERSIONS = "versions"
TRAINED = "trained.faiss"
LISTS = "lists.npy"
SAMPLE = "sample.arrow"

Kind = Literal["flat", "ivf", "hnsw"]
FieldType = Literal["string", "int", "float", "bool"]
_VERSION = re.compile(r"[0-9a-f]{12}")
_MAX_BYTES = 64 << 20
REMEDY = "build the index again or take an older version"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(FileEntry):
    """A file of the version directory, itself no directory and no link."""

    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")


class ShardEntry(_Part):
    """One shard: its rows, sorted by language and id, and its files."""

    number: int = Field(ge=0)
    count: int = Field(ge=0)
    """Rows, deleted ones among them."""
    deleted: int = Field(0, ge=0)
    languages: dict[str, tuple[int, int]]
    """Language -> [start, end) of its rows."""
    rows: File
    """Texts and metadata (Arrow)."""
    vectors: File
    """The vectors as stored (FAISS, mapped): what scores are computed from."""
    index: File | None = None
    """What is searched (FAISS), where that is something else than the vectors."""
    tombstones: File | None = None
    """A bit for each row, the lowest first; set: deleted."""

    def files(self) -> list[File]:
        """All its files."""
        return [file for file in (self.rows, self.vectors, self.index, self.tombstones) if file is not None]


class Dial(_Part):
    """What one setting of nprobe (IVF) or ef (HNSW) gave on the sample of queries."""

    value: int = Field(ge=1)
    recall_10: float = Field(ge=0, le=1)
    recall_100: float = Field(ge=0, le=1)
    qps: float = Field(gt=0)
    """Queries a second of processor time, one by one, in one thread."""


class Certificate(_Part):
    """Recall against exact search, and speed, measured on this very index."""

    queries: int = Field(ge=1)
    made_of: str
    """What the queries were, in words."""
    exact_qps: float = Field(gt=0)
    target: float = Field(gt=0, le=1)
    """The recall@10 that the default dial was to reach."""
    dials: tuple[Dial, ...]
    default: int | None = None
    """The least dial that reaches the target, else the best one; None where there is nothing to dial."""

    @property
    def default_recall(self) -> float | None:
        """Recall@10 at the default dial; None where it was not measured."""
        by_value = {dial.value: dial.recall_10 for dial in self.dials}
        return by_value.get(self.default) if self.default is not None else next(iter(by_value.values()), None)


class IndexManifest(_Part):
    """`manifest.json` of one version of an index."""

    format: Literal[1] = 1
    version: str = Field("0" * 12, pattern="^[0-9a-f]{12}$")
    """From everything here but the measurements: same input, same version."""
    seal: str = ""
    """SHA-256 over everything else here."""
    parent: str | None = None
    dimension: int = Field(ge=1, le=65_536)
    dtype: Literal["float16", "float32"]
    metric: Literal["inner_product"] = "inner_product"
    factory: str
    kind: Kind
    nlist: int | None = Field(None, ge=1)
    lossless: bool
    """Whether what is searched holds the vectors as they are stored, not a coarser code of them."""
    refine: int = Field(1, ge=1)
    """With coarser codes, this many times top_k candidates are compared by their stored vectors."""
    exact_rows: int = Field(ge=0)
    """Restricted searches are exact where at most this many passages come into question."""
    base_shards: int = Field(ge=1)
    """Shards by hash of the id; further ones were appended."""
    count: int = Field(ge=0)
    """Passages that can be found."""
    languages: dict[str, int]
    """Of these, how many in each language; a language may have 0 left."""
    fields: dict[str, FieldType]
    encoder: dict[str, Any]
    settings: dict[str, Any]
    shards: tuple[ShardEntry, ...]
    files: dict[str, File]
    """trained (the index before anything was added), lists, sample, queries, calibration, debias: those there are."""
    certificate: Certificate | None = None
    faiss: str

    @property
    def default_dial(self) -> int:
        """nprobe or ef where a query names none."""
        if self.certificate is not None and self.certificate.default is not None:
            return self.certificate.default
        return {"flat": 1, "ivf": 32, "hnsw": 64}[self.kind]

    def all_files(self) -> Iterator[File]:
        """Every file but the manifest."""
        yield from self.files.values()
        for shard in self.shards:
            yield from shard.files()

    def sealed(self) -> "IndexManifest":
        """With `version` and `seal` as the rest demands."""
        content = self.model_dump(mode="json", exclude={"version", "seal", "certificate", "parent"})
        named = self.model_copy(update={"version": _digest(content)[:12], "seal": ""})
        return named.model_copy(update={"seal": _digest(named.model_dump(mode="json", exclude={"seal"}))})


def write_manifest(version_dir: Path, manifest: IndexManifest) -> IndexManifest:
    """Seals and writes it."""
    manifest = manifest.sealed()
    write_text(version_dir / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def read_manifest(version_dir: Path) -> IndexManifest:
    """Reads and checks `manifest.json` alone; `verify` checks the files too.

    Raises:
        UserError: there is no index.
        CorruptError: the manifest is damaged or of another program or version.
    """
    path = Path(version_dir) / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise UserError(f"no index at {version_dir}: no plain file {MANIFEST}; make one with xlret index build")
    if path.stat().st_size > _MAX_BYTES:
        raise CorruptError(f"{path} is damaged: {path.stat().st_size:,} bytes; build the index again")
    try:
        manifest = IndexManifest.model_validate_json(path.read_bytes())
    except (ValidationError, RecursionError) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else "too deep"
        raise CorruptError(f"{path} is damaged or foreign: {fault}; build the index again") from error
    if manifest.sealed() != manifest:
        raise CorruptError(f"{path} is damaged: its content does not fit its seal; build the index again")
    _check_agreement(path, manifest)
    return manifest


def verify(version_dir: Path, threads: int = 1) -> IndexManifest:
    """Reads the manifest and compares every file with it, before any reader sees one; costs about 1 s per GB and thread.

    Raises:
        UserError: there is no index.
        CorruptError: a file is missing, a link, damaged, or not listed; the message names it.
    """
    version_dir = Path(version_dir)
    manifest = read_manifest(version_dir)
    with ThreadPoolExecutor(threads) as pool:  # hashing lets other threads run
        list(pool.map(partial(check_file, version_dir), manifest.all_files()))
    listed = {MANIFEST, *(file.file for file in manifest.all_files())}
    for path in sorted(version_dir.iterdir()):
        if path.name not in listed:
            raise CorruptError(f"{path} does not belong to the index: {MANIFEST} does not list it; remove it")
    return manifest


def check_file(version_dir: Path, file: File) -> Path:
    """The path of a file that is what the manifest says.

    Raises:
        CorruptError: it is missing, a link, of another size or content.
    """
    path = Path(version_dir) / file.file
    check_entry(path, file, listed_in=MANIFEST, remedy=REMEDY, plain=True)
    return path


def file_entry(path: Path) -> File:
    """What the manifest says of a file, read back from the disk."""
    return File(file=path.name, **entry_of(path).model_dump())


def current_version(index_dir: Path) -> Path:
    """The version directory that an index directory's CURRENT names; a version directory is itself.

    Raises:
        UserError: there is no index.
        CorruptError: CURRENT names no version.
    """
    index_dir = local(Path(index_dir))
    if (index_dir / MANIFEST).is_file():
        return index_dir
    path = index_dir / CURRENT_FILE
    if not path.is_file():
        raise UserError(f"no index at {index_dir} (no {CURRENT_FILE} and no {MANIFEST}); make one with xlret index build")
    with open(path, "rb") as file:
        name = file.read(100).decode("utf-8", "replace").strip()
    if _VERSION.fullmatch(name) is None or not (index_dir / VERSIONS / name).is_dir():
        raise CorruptError(f"{path} is damaged: it says {name!r:.60}, which is no version of the index")
    return index_dir / VERSIONS / name


def _check_agreement(path: Path, manifest: IndexManifest) -> None:
    """Numbers that must fit each other, whoever sealed them."""
    names = [file.file for file in manifest.all_files()]
    starts_ok = all(_covers(shard) for shard in manifest.shards)
    counted = sum(shard.count - shard.deleted for shard in manifest.shards)
    if (
        not manifest.shards
        or [shard.number for shard in manifest.shards] != list(range(len(manifest.shards)))
        or len(set(names)) != len(names)
        or not starts_ok
        or {counted, sum(manifest.languages.values())} != {manifest.count}
        or any(code not in manifest.languages for shard in manifest.shards for code in shard.languages)
        or (manifest.kind == "ivf") != (manifest.nlist is not None)
        or (manifest.kind == "ivf" and "lists" not in manifest.files)
    ):
        raise CorruptError(f"{path} is damaged or foreign: its counts do not agree; build the index again")


def _covers(shard: ShardEntry) -> bool:
    """Whether the languages' ranges, in order, are all rows of the shard."""
    covered = 0
    for _, (start, end) in sorted(shard.languages.items()):
        if start != covered or end < start:
            return False
        covered = end
    return covered == shard.count and 0 <= shard.deleted <= shard.count


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

"""What directories with a manifest have in common: size and checksum of each file, one writer at a time, Arrow tables."""

import fcntl
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.errors import CorruptError, UserError
from xlret.files import sha256_of, write_error
from xlret.storage.url import as_url, is_url

_LONGEST_NOTE = 200


class FileEntry(BaseModel):
    """Size in bytes and SHA-256 of one file, as a manifest lists it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def entry_of(path: Path) -> FileEntry:
    """The entry of a file, which is read whole (about 1 s per GB)."""
    return FileEntry(size=path.stat().st_size, sha256=sha256_of(path))


def digest_of_texts(*columns: Sequence[str]) -> str:
    """Hex SHA-256 of columns of texts, each with its length, so that texts cut elsewhere have another."""
    digest = hashlib.sha256()
    for column in columns:
        for text in column:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
    return digest.hexdigest()


def check_entry(
    path: Path, entry: FileEntry, *, listed_in: str, remedy: str, checksum: bool = True, plain: bool = False
) -> None:
    """Checks that a file is what its entry says.

    Args:
        path: the file.
        entry: its size and checksum.
        listed_in: name of the manifest, for the message.
        remedy: what to do about damage, for the message.
        checksum: read the file whole and compare (about 1 s per GB); the size is always compared.
        plain: refuse a link.

    Raises:
        CorruptError: it is missing, of another size or content, or a link where that is refused.
    """
    if not path.is_file() or (plain and path.is_symlink()):
        raise CorruptError(f"{path} is missing{' or not a plain file' if plain else ''}; {remedy}")
    if (size := path.stat().st_size) != entry.size:
        raise CorruptError(f"{path} is damaged: {size:,} bytes, {listed_in} says {entry.size:,}; {remedy}")
    if checksum and sha256_of(path) != entry.sha256:
        raise CorruptError(f"{path} is damaged: its checksum is not the one in {listed_in}; {remedy}")


def first_fault(error: ValidationError) -> str:
    """Where a manifest is not as it should be, and why: the first of pydantic's complaints on one line.

    >>> try:
    ...     FileEntry(size=-1, sha256="0" * 64)
    ... except ValidationError as error:
    ...     print(first_fault(error))
    size: Input should be greater than or equal to 0
    """
    fault = error.errors()[0]
    location = ".".join(str(part) for part in fault["loc"])
    return f"{location}: {fault['msg']}" if location else str(fault["msg"])


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link to a file that never changes, or a copy where the disk has none (another file system, not the owner)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        target.unlink(missing_ok=True)
        copy_read_only(source, target)


def copy_read_only(source: Path, target: Path) -> None:
    """A copy that nobody may write to: writing in place would kill whoever has it mapped."""
    shutil.copyfile(source, target, follow_symlinks=False)
    target.chmod(0o444)


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Holds a lock until the block ends. The system lifts it when this process ends, however it does.

    The lock file stays and says who took it last. Stores behind URLs have no locks: there it keeps out those of this machine.

    Args:
        path: the lock file; its directory must exist.
        busy: what to say if another process holds the lock; None waits for it.

    Raises:
        UserError: another process holds the lock (the message names it), or the file cannot be written or locked.
    """
    if is_url(path):
        from xlret.storage.cache import lock_path

        path = lock_path(as_url(path))
    try:
        file = open(path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed below
    except OSError as error:
        raise write_error(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read(_LONGEST_NOTE).strip()
            raise UserError(f"{busy}{f' (it is {holder})' if holder.isprintable() and holder else ''}") from None
        except OSError as error:
            raise UserError(f"{path} cannot be locked: {error.strerror}; choose a disk that has locks") from error
        file.truncate(0)
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
        yield


def write_table(path: Path, table: pa.Table) -> None:
    """Writes an Arrow IPC file of one record batch, flushed to the disk, in one step: whoever sees the file sees all of it.

    Raises:
        UserError: the disk is full or may not be written to.
    """
    with table_writer(path, table.schema) as writer:
        writer.write_table(table.combine_chunks())


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """As `write_table`, for a file that is written record batch by record batch within the block."""
    beside = path.with_name(path.name + ".tmp")
    try:
        with open(beside, "wb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                yield writer
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise write_error(path, error) from error


def open_table(path: Path, remedy: str) -> pa.Table:
    """An Arrow IPC file as a table over the mapped file, which must never be written to again.

    Args:
        path: the file.
        remedy: what to do about damage, for the message.

    Raises:
        CorruptError: it cannot be read as an Arrow file.
    """
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptError(f"{path} is damaged: it cannot be read as an Arrow file ({error}); {remedy}") from error

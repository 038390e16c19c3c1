"""Writing files so that nobody ever sees half of one: beside, flushed, then renamed."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.storage.url import as_url, is_url, shown

_OTHERS_S = 86_400
"""How old a directory that another machine left must be."""


def shared_directory() -> Path:
    """The folder with real data and models: `$XLRET_SHARED`, by default `../shared`. It may be absent."""
    return Path(os.environ.get("XLRET_SHARED", "../shared")).resolve()


def shared_spelling(value: Any) -> Any:
    """A setting's value with `${XLRET_SHARED}` for the path of the shared folder, which every machine has elsewhere."""
    if isinstance(value, str):
        root = str(shared_directory())
        return f"${{XLRET_SHARED}}{value.removeprefix(root)}" if value == root or value.startswith(f"{root}/") else value
    if isinstance(value, dict):
        return {key: shared_spelling(inner) for key, inner in value.items()}
    return [shared_spelling(inner) for inner in value] if isinstance(value, list | tuple) else value


def path_variables() -> dict[str, str]:
    """Environment variables with which a process elsewhere takes relative paths, and `${XLRET_SHARED}`, as this one does."""
    return {"XLRET_HOME": str(expand_path(Path("."))), "XLRET_SHARED": str(shared_directory())}


def expand_path(path: Path) -> Path:
    """An absolute path, with `~` and environment variables filled in; `${XLRET_SHARED}` has its default.

    A relative path starts at `$XLRET_HOME`, by default the current directory. (`ray job submit` runs a job in a temporary
    copy of the working directory: XLRET_HOME says where corpora and runs really live, which may be a URL.) A URL is itself.

    Raises:
        UserError: a variable in it is not set, or it is a URL that cannot be used.
    """
    text = str(path).replace("${XLRET_SHARED}", str(shared_directory())).replace("$XLRET_SHARED", str(shared_directory()))
    text = os.path.expandvars(os.path.expanduser(text))
    if "$" in text:
        raise UserError(f"path {shown(str(path))} names an environment variable that is not set")
    if is_url(text):
        return as_url(text)
    home = os.environ.get("XLRET_HOME", ".")
    if is_url(home) and not os.path.isabs(text):
        return as_url(f"{home.rstrip('/')}/{os.path.normpath(text)}")
    return Path(os.path.abspath(Path(home) / text))


def local(path: Path) -> Path:
    """The path on this machine of what lies at a path: itself, or of a URL a verified copy in the cache (`storage/cache.py`).

    Whoever opens an artifact calls it, in the process that reads: each machine of a cluster has a cache of its own.

    Raises:
        UserError: of a URL: nothing is there, the store refuses or does not answer, or the cache cannot be written to.
        CorruptError: of a URL: an object is not what its listing says.
    """
    if is_url(path):
        from xlret.storage.cache import fetched

        return fetched(as_url(path))
    return path


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(local(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def directory_beside(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A fresh directory beside `target` that becomes `target` when the block ends without an error; that of a URL is uploaded.

    On any error the fresh directory is removed and `target` is as it was. A full disk is a one-line `UserError`. What killed
    processes left beside the same `target` is removed first; what a living one writes (on this machine) is not touched.

    Raises:
        UserError: `target` exists and `replace` is false, or the disk is full or not writable.
    """
    if is_url(target):
        from xlret.storage.publish import published_directory

        with published_directory(as_url(target), replace=replace) as fresh:
            yield fresh
        return
    target = Path(target).absolute()
    if target.parent.is_dir():
        remove_abandoned(target)
    if target.exists() and not replace:
        raise UserError(f"{target} exists already; choose another place or allow replacing it (--replace)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh, owned = _owned_directory(target)
    except OSError as error:
        raise write_error(target, error) from error
    try:
        yield fresh
        for path in sorted(fresh.rglob("*")):
            if path.is_file():
                flush(path)
        fresh.chmod(0o755)
        if target.exists():
            old = fresh.with_name(fresh.name + ".old")
            with _marked_as_owned(target):
                os.rename(target, old)
                os.rename(fresh, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(fresh, target)
        flush(target.parent)
    except BaseException as error:
        shutil.rmtree(fresh, ignore_errors=True)
        said = write_error(target, error)
        if said is error:
            raise
        raise said from error
    finally:
        os.close(owned)


@contextmanager
def edited_directory(directory: Path, *, may_be_missing: bool = False) -> Iterator[Path]:
    """A directory to change things in: itself, or of a URL a copy on this machine that is uploaded when the block ends well.

    Args:
        directory: holds something whole, made by xlret.
        may_be_missing: of a URL: whether nothing may be there yet.

    Raises:
        UserError: of a URL: nothing is there, or somebody else has changed it meanwhile.
    """
    if is_url(directory):
        from xlret.storage.publish import edited_directory as edited_copy

        with edited_copy(as_url(directory), may_be_missing=may_be_missing) as copy:
            yield copy
    else:
        yield directory


def remove_tree(directory: Path) -> None:
    """Removes a directory, wherever it is, and all that is in it."""
    if is_url(directory):
        from xlret.storage.publish import remove

        remove(as_url(directory))
    else:
        shutil.rmtree(directory)


def remove_abandoned(target: Path) -> None:
    """Removes what `directory_beside(target)` left where its process was killed; what another machine left, after a day.

    Was it killed while it put a new directory in the old one's place, the old one gets its name back.
    """
    pattern = re.compile(re.escape(f".{target.name}.building.") + r"([0-9a-f]{8})\.[a-z0-9_]{8}(\.old)?")
    for path in sorted(target.parent.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        try:
            if match[1] != _machine() and time.time() - path.stat().st_mtime < _OTHERS_S:
                continue  # some shared disks do not show one machine the locks of another
            owned = _own(path)
        except OSError:
            continue  # somebody else's, or on a disk without locks
        if owned is None:
            continue  # a living process writes it
        try:
            if path.suffix == ".old" and not target.exists():
                os.rename(path, target)
            else:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(owned)


def _owned_directory(target: Path) -> tuple[Path, int]:
    """A fresh directory beside `target`, and the open descriptor that says it is in use."""
    while True:
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.building.{_machine()}.", dir=target.parent))
        try:
            owned = _own(fresh)
        except OSError:  # a disk without locks: nobody ever finds a directory abandoned there
            owned = os.open(fresh, os.O_RDONLY)
        if owned is not None:
            return fresh, owned
        # Another process took it for abandoned before it was marked, and removes it.


def _machine() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


@contextmanager
def _marked_as_owned(directory: Path) -> Iterator[None]:
    owned = None
    with suppress(OSError):
        owned = _own(directory)
    try:
        yield
    finally:
        if owned is not None:
            os.close(owned)


def _own(directory: Path) -> int | None:
    """Marks a directory as in use by this process, until the descriptor is closed or the process ends, however it does.

    None: another process has marked it, or it is gone.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` in one step: a reader sees the old file or the new one."""
    if is_url(path):
        as_url(path).write_text(text)
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
        flush(path.parent)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """`write_text` of `value` as indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def flush(path: Path) -> None:
    """Waits until a file, or the list of names in a directory, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(target: Path, error: BaseException) -> BaseException:
    """The one-line form of errors in writing `target` that the user can mend; any other error stays what it is."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (written := _RUST_ERROR.search(str(error))):
        number = int(written[1])
    if number in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"no space left on the disk while writing {target}; free some or choose another place")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"cannot write {target}: {os.strerror(number)}; choose a place that you may write to")
    if number in (errno.ENOTDIR, errno.EEXIST):
        return UserError(f"cannot write {target}: {os.strerror(number)}")
    return error


_RUST_ERROR = re.compile(r"\(os error (\d+)\)$")
"""How libraries in Rust (safetensors, tokenizers) end an error of the system, which is no OSError."""

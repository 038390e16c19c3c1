"""Copies on this machine of what lies at URLs: fetched once for all its processes, verified, and removed when room is needed.

CACHE/                      $XLRET_CACHE, by default ~/.cache/xlret; a disk of this machine
  entries/CHECKSUM/         of the listing: content that is there is not fetched again
    content/PARENT/NAME     the directory or file, under the last two names of its URL
    entry.json              size and time of each file as they were when its checksum was found right
  entries/CHECKSUM.fetch    locked by the process that fetches it, for which others wait
  entries/CHECKSUM.use      locked, with others, by every process that was given the path, until it ends
  locks/                    of this machine's processes, for what they write to URLs
  work/                     what is being written, before it is uploaded
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from xlret.errors import CorruptError, UserError
from xlret.storage import remote
from xlret.storage.listing import Entry, Listing, Located, locate
from xlret.storage.url import Url

_THREADS = 8
_FRESH = "fresh-"
_DEFAULT_GB = 50.0
_in_use: dict[Path, int] = {}
"""Entries that this process was given, and the open descriptors that say so."""


def fetched(url: Url) -> Path:
    """The path of a copy on this machine of what lies at a URL now.

    A copy that is there is not fetched again; sizes and times of its files are compared with those that they had when they
    were verified, and where one differs it is fetched anew. It stays until this process ends; nobody may write to it.

    Raises:
        UserError: nothing at the URL, the store refuses or does not answer, no room or no right to write in the cache.
        CorruptError: an object is not what its listing says; the message names it.

    Cost: a few requests; when it is fetched, its bytes over the network, hashed as they come.
    """
    located = locate(url)
    try:
        return _entry(located)
    except CorruptError:
        again = locate(url)  # somebody may have written it anew meanwhile
        if again.listing == located.listing:
            raise
        return _entry(again)


def adopt(url: Url, directory: Path, listing: Listing) -> None:
    """Moves a directory that was just uploaded into the cache, so that this machine need not fetch it."""
    located = Located(url, listing, is_file=False)
    entry = _entry_path(located)
    with _fetching(entry):
        if not _is_whole(entry, located):
            with _beside(entry) as fresh:
                for path in directory.rglob("*"):
                    if path.is_file():
                        path.chmod(0o444)
                target = _content(fresh, url)
                target.parent.mkdir(parents=True)
                os.rename(directory, target)
                _note(fresh, located)
    _make_room(keep=entry)


def lock_path(url: Url) -> Path:
    """A file on this machine that stands for a URL where processes of this machine keep each other out."""
    return _directory("locks") / hashlib.sha256(str(url).encode()).hexdigest()


def work_path(url: Url | None = None) -> Path:
    """A directory for what is not uploaded yet; of a URL always the same, for work that goes on after it was interrupted."""
    return _directory("work") if url is None else _directory("work") / hashlib.sha256(str(url).encode()).hexdigest() / url.name


@contextmanager
def work_directory() -> Iterator[Path]:
    """A fresh directory for what is to be uploaded, gone at the end; those that killed processes left go first."""
    with ExitStack() as owning:
        with _fetching(work_path() / "making"):  # nobody takes one for left before it is marked
            for left in work_path().glob(f"{_FRESH}*"):
                with _owned(left) as is_ours:
                    if is_ours:
                        shutil.rmtree(left, ignore_errors=True)
            fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=work_path()))
            owning.enter_context(_owned(fresh))
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _owned(directory: Path) -> Iterator[bool]:
    """Marks a directory as in use while the block runs, or until the process ends; whether nobody else had."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = True
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(descriptor)


def cache_directory() -> Path:
    """`$XLRET_CACHE`, by default `~/.cache/xlret`."""
    return Path(os.path.abspath(os.path.expanduser(os.environ.get("XLRET_CACHE") or "~/.cache/xlret")))


def _directory(name: str) -> Path:
    path = cache_directory() / name
    with _writing():
        path.mkdir(parents=True, exist_ok=True)
    return path


def _entry_path(located: Located) -> Path:
    key = hashlib.sha256(f"{_content(Path(), located.url)} {located.is_file} {located.listing.checksum}".encode())
    if any(entry.sha256 is None for entry in located.listing.files.values()):
        key.update(str(located.url).encode())  # sizes and times alone do not say that it is the same
    return _directory("entries") / key.hexdigest()


def _content(entry: Path, url: Url) -> Path:
    """Where an entry has its content. Some names are shown: of a corpus `mine/dev`, of a release its own."""
    return entry / "content" / url.parent.name / url.name


def _entry(located: Located) -> Path:
    entry = _entry_path(located)
    _use(entry)
    if not _is_whole(entry, located):
        with _fetching(entry):
            if not _is_whole(entry, located):
                with _beside(entry) as fresh:
                    _fetch(located, fresh)
        _make_room(keep=entry)
    with suppress(OSError):
        os.utime(entry / "entry.json")  # used last now
    return _content(entry, located.url)


def _use(entry: Path) -> None:
    """Keeps other processes from removing an entry until this one ends."""
    if entry not in _in_use:
        with _writing():
            descriptor = os.open(f"{entry}.use", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        _in_use[entry] = descriptor


@contextmanager
def _fetching(entry: Path) -> Iterator[None]:
    """Held by one process of this machine at a time: a lock beside what it writes."""
    with _writing():
        file = open(f"{entry}.fetch", "a")  # noqa: SIM115  closed below
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _beside(entry: Path) -> Iterator[Path]:
    """A fresh directory that takes the entry's place when the block ends. Whoever has files of an old one open keeps them."""
    with _writing():
        for left in entry.parent.glob(f".{entry.name}.*"):  # of a process that was killed: this one has the lock
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
        try:
            yield fresh
            if entry.exists():
                shutil.rmtree(_set_aside(entry), ignore_errors=True)
            os.rename(fresh, entry)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _set_aside(entry: Path) -> Path:
    aside = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent)) / "old"
    os.rename(entry, aside)
    return aside.parent


def _fetch(located: Located, fresh: Path) -> None:
    """Downloads every file of a listing and compares size and checksum on the way."""
    root = _content(fresh, located.url)

    def fetch(name: str, entry: Entry) -> None:
        url, target = (located.url, root) if located.is_file else (located.url / name, root / name)
        digest, size = hashlib.sha256(), 0

        def tell(block: bytes) -> None:
            nonlocal size
            digest.update(block)
            size += len(block)

        try:
            remote.download(url, target, tell)
        except FileNotFoundError as error:
            raise CorruptError(f"{url} is missing, and the listing of its directory names it; publish it again") from error
        if size != entry.size:
            raise CorruptError(f"{url} is damaged: {size:,} bytes, its listing says {entry.size:,}; publish it again")
        if entry.sha256 is not None and digest.hexdigest() != entry.sha256:
            raise CorruptError(f"{url} is damaged: its checksum is not the one in its listing; publish it again")
        target.chmod(0o444)

    for directory in {(root / name).parent for name in located.listing.files} if not located.is_file else {root.parent}:
        directory.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="xlret-fetch") as pool:
        downloads = [pool.submit(fetch, name, entry) for name, entry in located.listing.files.items()]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _note(fresh, located)


def _note(fresh: Path, located: Located) -> None:
    root = _content(fresh, located.url)
    files = {name: root if located.is_file else root / name for name in located.listing.files}
    stamps = {name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in files.items()}
    (fresh / "entry.json").write_text(json.dumps({"url": str(located.url), "files": stamps}), encoding="utf-8")


def _is_whole(entry: Path, located: Located) -> bool:
    """Whether every file of an entry is there, as long and as old as when it was verified."""
    noted = _noted(entry)
    root = _content(entry, located.url)
    try:
        for name, stamp in noted.items():
            status = (root if located.is_file else root / name).lstat()
            if [status.st_size, status.st_mtime_ns] != stamp:
                return False
    except OSError:
        return False
    return noted.keys() == located.listing.files.keys()


def _noted(entry: Path) -> dict[str, Any]:
    try:
        files: dict[str, Any] = json.loads((entry / "entry.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return {}
    return files


def _make_room(keep: Path) -> None:
    """Removes entries that nobody uses, the longest unused first, until $XLRET_CACHE_GB (by default 50) are enough."""
    text = os.environ.get("XLRET_CACHE_GB") or str(_DEFAULT_GB)
    try:
        most = float(text) * 1e9
    except ValueError:
        raise UserError(f"XLRET_CACHE_GB is {text!r}; it is how many GB the cache may hold, such as {_DEFAULT_GB:g}") from None
    entries = [path for path in keep.parent.iterdir() if (path / "entry.json").is_file() and not path.name.startswith(".")]
    sizes = {path: sum(size for size, _ in _noted(path).values()) for path in entries}
    total = sum(sizes.values())
    for path in sorted(entries, key=_last_use):
        if total <= most:
            return
        if path != keep and path not in _in_use and _remove_unused(path):
            total -= sizes[path]


def _last_use(entry: Path) -> float:
    with suppress(OSError):
        return (entry / "entry.json").stat().st_mtime
    return 0.0


def _remove_unused(entry: Path) -> bool:
    """Removes an entry that no process was given and none fetches; whether it did."""
    with open(f"{entry}.fetch", "a") as fetch, open(f"{entry}.use", "a") as use:
        try:
            fcntl.flock(fetch, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if entry.exists():
            shutil.rmtree(_set_aside(entry), ignore_errors=True)
    return True


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {cache_directory()}: {error.strerror or error}; make room there, or set XLRET_CACHE "
            "to a directory of this machine's that you may write to"
        ) from error

"""A URL of an object store as a path, so that whoever takes a path takes `s3://bucket/corpora/mine` too."""

import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PosixPath, PurePath
from typing import IO, Any

from xlret.errors import UserError

SCHEMES = ("s3", "gs", "hdfs")
"""Amazon S3 and whatever speaks its protocol, Google Cloud Storage, Hadoop's file system."""
LISTING = "xlret-files.json"
"""The object below a directory's URL that lists it, with sizes and checksums; it is written last."""
UNFINISHED = "xlret-unfinished"
"""An object that is there while a directory is written and has no listing."""
OWN_NAMES = (LISTING, UNFINISHED)
"""What no reader of a directory sees."""
_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_ALLOWED = f"allowed are local paths and URLs {', '.join(f'{scheme}://' for scheme in SCHEMES)}"


class Url(PosixPath):
    """What lies at a URL. `/`, `name`, `parent`, `exists`, `glob`, `read_text` and their like do what they do for files; the
    builtin `open` does not know it: `files.local` gives the path of a copy on this machine.

    Every look at it is a request of some milliseconds, and costs what the store takes for one.

    >>> run = as_url("s3://bucket/runs/mine")
    >>> print(run / "model", run.name, run.parent)
    s3://bucket/runs/mine/model mine s3://bucket/runs
    """

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    @property
    def scheme(self) -> str:
        """`s3`, `gs` or `hdfs`."""
        return self.parts[0].removesuffix(":")

    @property
    def authority(self) -> str:
        """The bucket; the name node of HDFS, with its port."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """What stands behind the bucket or name node, without a slash before it."""
        return "/".join(self.parts[2:])

    def absolute(self) -> "Url":
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> "Url":
        """Itself: there are no links."""
        return self

    def exists(self) -> bool:
        """Whether there is an object of this name, or any below it."""
        from xlret.storage import remote

        return remote.kind_of(self) is not None

    def is_file(self) -> bool:
        from xlret.storage import remote

        return remote.kind_of(self) == "file"

    def is_dir(self) -> bool:
        from xlret.storage import remote

        return remote.kind_of(self) == "directory"

    def is_whole(self) -> bool:
        """Whether a directory was written there to its end."""
        from xlret.storage.listing import is_whole

        return is_whole(self)

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size and time of last change of an object.

        Raises:
            FileNotFoundError: there is none.
        """
        from xlret.storage import remote

        entry = remote.object_at(self)
        seconds = entry.modified_ns / 1e9
        fields = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, entry.size, *(int(seconds),) * 3)
        return os.stat_result((*fields, *(seconds,) * 3, *(entry.modified_ns,) * 3))

    def read_bytes(self) -> bytes:
        from xlret.storage import remote

        return remote.read(self)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def open(self, mode: str = "r", *_: Any, encoding: str | None = None, errors: str | None = None) -> IO[Any]:  # type: ignore[override]
        """The content, read into memory: for small files."""
        if mode not in ("r", "rb"):
            raise ValueError(f"{self} is opened for reading alone, not {mode!r}")
        content = io.BytesIO(self.read_bytes())
        return content if mode == "rb" else io.TextIOWrapper(content, encoding or "utf-8", errors)

    def write_bytes(self, data: Any) -> int:
        """Writes an object in one step: a reader sees the old one or the new one."""
        from xlret.storage import remote

        remote.write(self, bytes(data))
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> int:
        return self.write_bytes(data.encode(encoding or "utf-8", errors or "strict"))

    def unlink(self, missing_ok: bool = False) -> None:
        from xlret.storage import remote

        remote.delete(self, missing_ok=missing_ok)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: there are no directories, only names with slashes."""

    def iterdir(self) -> Iterator["Url"]:  # type: ignore[override]
        from xlret.storage import remote

        return iter(sorted(self / name for name in remote.names_in(self) if name not in OWN_NAMES))

    def glob(self, pattern: str) -> Iterator["Url"]:  # type: ignore[override]
        """As of files, but that `**` stands for a single part: `rglob` looks at all depths."""
        if "/" not in pattern:
            return (path for path in self.iterdir() if path.match(pattern))
        return (path for path in self.rglob("*") if PurePath(*path.relative_to(self).parts).match(pattern))

    def rglob(self, pattern: str) -> Iterator["Url"]:  # type: ignore[override]
        from xlret.storage import remote

        paths = (self / name for name in remote.objects_below(self))
        return (path for path in paths if path.match(pattern) and path.name not in OWN_NAMES)


def is_url(path: Path | str) -> bool:
    """Whether a path, or the text of one, is a URL, its scheme allowed or not.

    >>> is_url("s3://bucket/x"), is_url(Path("s3://bucket/x")), is_url("corpora/x"), is_url("name=/x")
    (True, True, False, False)
    """
    return _FORM.fullmatch(str(path)) is not None


def as_url(path: Path | str) -> Url:
    """A URL, which may have been a `Path` meanwhile (Python's own takes one of the two slashes away).

    Raises:
        UserError: another scheme, no bucket, or something that belongs into the environment: a user, a password, an option. The
            message does not show it.
    """
    if isinstance(path, Url):
        return path
    form = _FORM.fullmatch(str(path))
    assert form is not None, "is_url was asked before"
    scheme, rest = form[1].lower(), form[2]
    authority, _, key = rest.partition("/")
    url = shown(f"{scheme}://{rest}")
    if scheme not in SCHEMES:
        raise UserError(f"{url} cannot be read or written; {_ALLOWED}")
    if not re.fullmatch(r"[^:@]*(:[0-9]+)?" if scheme == "hdfs" else "[^:@]*", authority) or "?" in rest or "#" in rest:
        raise UserError(
            f"{url} was given with a user, a password, a port or options; those come from the environment alone "
            "(for S3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION)"
        )
    if not authority or ".." in key.split("/"):
        raise UserError(f"{url} is no URL of a directory or file; it has the form {scheme}://BUCKET/PATH")
    return Url(f"{scheme}:/{authority}", *key.split("/"))


def path_of(path: Path | str) -> Path:
    """A path as what it is: a URL, or a path of this machine.

    >>> path_of(Path("s3://bucket/x")), str(path_of("x"))
    (Url('s3://bucket/x'), 'x')
    """
    return as_url(path) if is_url(path) else Path(path)


def shown(text: str) -> str:
    """A text as it may be printed: without the user and password, and the options, of URLs in it.

    >>> shown("storage is s3://KEY:SEC/RET@bucket/x?token=1: refused")
    'storage is s3://bucket/x: refused'
    """
    user = r"(?:[^\s'\"]*:[^\s'\"]*@|[^\s/'\"]*@)?"  # a password may have slashes; a name with @ deeper in a path stays
    return re.sub(rf"([A-Za-z][A-Za-z0-9+.-]+:/+){user}([^\s?'\"]*)(\?[^\s:'\"]*)?", r"\1\2", text)

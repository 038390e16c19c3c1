"""Requests to object stores, through pyarrow's file systems: objects by URL, and errors in one line.

Where the store is and who asks comes from the environment, as the makers of the stores have it: for S3 `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY` (or a profile, or the machine's role), `AWS_REGION`, and `AWS_ENDPOINT_URL` for another store than
Amazon's; for Google `GOOGLE_APPLICATION_CREDENTIALS`; for HDFS `HADOOP_HOME`, `CLASSPATH` and `JAVA_HOME`.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pyarrow import fs

from xlret.errors import UserError
from xlret.storage.url import LISTING, OWN_NAMES, UNFINISHED, Url

BLOCK = 16 << 20
"""Bytes that are asked for at a time."""
_TRIES = 4
_CONNECT_S, _REQUEST_S = 10.0, 60.0
_REASONS = (
    (r"NO_SUCH_BUCKET|Bucket .* not found", "there is no such bucket; make it, or correct the URL"),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID|InvalidAccessKeyId|SignatureDoesNotMatch",
        "the store does not know the key; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        r"ACCESS_DENIED|HTTP status 40[13]|PERMISSION_DENIED|UNAUTHENTICATED|No credentials|NO_CREDENTIALS",
        "the store refuses; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who may (for gs:// "
        "GOOGLE_APPLICATION_CREDENTIALS), or correct the bucket",
    ),
    (
        r"NETWORK_CONNECTION|Could not connect|Could not resolve|Connection refused|timed? ?out",
        "the store does not answer; set AWS_ENDPOINT_URL and AWS_REGION, or unset them for Amazon's own",
    ),
    (r"libhdfs|libjvm|CLASSPATH", "Hadoop's client is not on this machine; set JAVA_HOME, HADOOP_HOME and CLASSPATH"),
)
"""What stands in the messages of the stores' clients -> what to say."""


class Object(NamedTuple):
    """What a store says of an object."""

    size: int
    modified_ns: int


@lru_cache(maxsize=32)
def _opened(scheme: str, authority: str, environment: tuple[str | None, ...]) -> Any:
    if scheme == "gs":
        return fs.GcsFileSystem()
    if scheme == "hdfs":
        host, _, port = authority.partition(":")
        return fs.HadoopFileSystem(host, int(port) if port.isdecimal() else 0)
    endpoint, region = environment[0] or environment[1], environment[2] or environment[3]
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(authority)
    return fs.S3FileSystem(
        region=region or "us-east-1",
        endpoint_override=endpoint,
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )


def filesystem_of(url: Url) -> tuple[Any, str]:
    """The pyarrow file system of a URL, and the URL's path in it.

    Raises:
        UserError: the bucket's region cannot be had, or Hadoop's client is missing.
    """
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID")
    with told(url, "reached"):
        store = _opened(url.scheme, url.authority, tuple(os.environ.get(name) or None for name in names))
    return store, f"/{url.key}" if url.scheme == "hdfs" else f"{url.authority}/{url.key}".rstrip("/")


@contextmanager
def told(url: Url, done: str) -> Iterator[None]:
    """Makes one line of what a store's client says; a missing object stays a `FileNotFoundError`.

    Args:
        url: what was asked for.
        done: what could not be done with it, such as `read`.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        text = str(error)
        reason = next((reason for pattern, reason in _REASONS if re.search(pattern, text, re.IGNORECASE)), f"{text:.300}")
        named = url.parent if url.name in OWN_NAMES else url
        raise UserError(f"{named} cannot be {done}: {reason}") from error


def kind_of(url: Url) -> Literal["file", "directory"] | None:
    """Whether there is an object, or are objects below the name; a directory that is not whole yet is none."""
    kind = _infos([url])[0].type
    if kind == fs.FileType.File:
        return "file"
    # A client leaves an empty object of a directory's name where it has removed what was in it.
    names = names_in(url) if kind == fs.FileType.Directory else []
    return "directory" if names and not (UNFINISHED in names and LISTING not in names) else None


def are_objects(urls: list[Url]) -> list[bool]:
    """Which of several objects of one store are there, asked for at once."""
    return [info.type == fs.FileType.File for info in _infos(urls)]


def object_at(url: Url) -> Object:
    """What the store says of an object.

    Raises:
        FileNotFoundError: there is none.
    """
    [info] = _infos([url])
    if info.type != fs.FileType.File:
        raise FileNotFoundError(f"there is nothing at {url}")
    return Object(info.size, info.mtime_ns or 0)


def names_in(url: Url) -> list[str]:
    """The names directly below a URL."""
    return [info.base_name for info in _listed(url, recursive=False)]


def objects_below(url: Url) -> dict[str, Object]:
    """Every object below a URL by its path from there, sorted."""
    root = filesystem_of(url)[1]
    objects = sorted(
        (info for info in _listed(url, recursive=True) if info.type == fs.FileType.File), key=lambda info: info.path
    )
    return {info.path[len(root) :].lstrip("/"): Object(info.size, info.mtime_ns or 0) for info in objects}


def read(url: Url) -> bytes:
    """The bytes of an object.

    Raises:
        FileNotFoundError: there is none.
    """
    store, path = filesystem_of(url)
    with told(url, "read"), store.open_input_stream(path, compression=None) as stream:
        content: bytes = stream.read()
    return content


def download(url: Url, target: Path, tell: Callable[[bytes], object]) -> None:
    """Writes an object's bytes to a new file, flushed to the disk.

    Args:
        url: the object.
        target: the file.
        tell: told of each block in order.

    Raises:
        FileNotFoundError: there is no such object.
    """
    store, path = filesystem_of(url)
    with open(target, "xb") as file:
        with told(url, "read"):
            stream = store.open_input_stream(path, compression=None)  # else pyarrow unpacks what is called .gz
        with stream:
            while True:
                with told(url, "read"):
                    block = stream.read(BLOCK)
                if not block:
                    break
                tell(block)
                file.write(block)
        file.flush()
        os.fsync(file.fileno())


def upload(source: Path, url: Url) -> None:
    """Writes a file as an object, in parts where it is large; it appears when it is whole."""
    store, path = filesystem_of(url)
    with told(url, "written"):
        _make_parent(url, store, path)
        fs.copy_files(str(source), path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=store, chunk_size=BLOCK)


def write(url: Url, content: bytes) -> None:
    """Writes an object, in one step."""
    store, path = filesystem_of(url)
    with told(url, "written"):
        _make_parent(url, store, path)
        with store.open_output_stream(path, compression=None) as stream:
            stream.write(content)


def delete(url: Url, *, missing_ok: bool) -> None:
    """Removes an object.

    Raises:
        FileNotFoundError: there is none, and that is not all right.
    """
    store, path = filesystem_of(url)
    with told(url, "removed"), suppress(*([FileNotFoundError] if missing_ok else [])):
        store.delete_file(path)


def delete_below(url: Url) -> None:
    """Removes all objects below a URL."""
    store, path = filesystem_of(url)
    with told(url, "removed"), suppress(FileNotFoundError):
        store.delete_dir(path)


def _make_parent(url: Url, store: Any, path: str) -> None:
    """HDFS has directories; object stores have names."""
    if url.scheme == "hdfs":
        store.create_dir(path.rpartition("/")[0], recursive=True)


def _infos(urls: list[Url]) -> list[Any]:
    store = filesystem_of(urls[0])[0]
    with told(urls[0], "read"):
        infos: list[Any] = store.get_file_info([filesystem_of(url)[1] for url in urls])
    return infos


def _listed(url: Url, *, recursive: bool) -> list[Any]:
    store, path = filesystem_of(url)
    with told(url, "read"):
        listed: list[Any] = store.get_file_info(fs.FileSelector(path, recursive=recursive, allow_not_found=True))
    return listed

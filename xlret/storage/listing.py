"""What belongs to a directory in an object store: names, sizes and checksums, in a file that is written last."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from xlret.errors import CorruptError, UserError
from xlret.storage import remote
from xlret.storage.url import LISTING, OWN_NAMES, UNFINISHED, Url

_LOCK = ".lock"
"""Of an index, where processes of a machine keep each other out."""


class Entry(BaseModel):
    """Size and content of an object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """None where another program wrote it: then size and time of change tell one content from another."""
    modified_ns: int | None = None


class Listing(BaseModel):
    """Files of a directory by their paths in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, Entry]

    @field_validator("files", mode="after")
    @classmethod
    def _inside(cls, files: dict[str, Entry]) -> dict[str, Entry]:
        for name in files:
            parts = PurePosixPath(name).parts
            if name.startswith("/") or not parts or ".." in parts or "/".join(parts) != name or "\0" in name:
                raise ValueError(f"{name!r} is no plain path inside a directory")
        return files

    @property
    def checksum(self) -> str:
        """The same for the same files, wherever they are."""
        return hashlib.sha256(self.as_json()).hexdigest()

    def as_json(self) -> bytes:
        """As it is written."""
        files = {name: entry.model_dump(exclude_none=True) for name, entry in sorted(self.files.items())}
        return json.dumps({"files": files}, ensure_ascii=False, indent=1).encode()


class Located(NamedTuple):
    """What lies at a URL, file by file."""

    url: Url
    listing: Listing
    is_file: bool
    """Whether the URL is that of one file; its path in the listing is its name."""


def listing_of(directory: Path) -> Listing:
    """The listing of a directory on this machine; reads every byte (about 1 s per GB)."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != _LOCK:
            with open(path, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.relative_to(directory).as_posix()] = Entry(size=path.stat().st_size, sha256=checksum)
    return Listing(files=files)


def written_listing(url: Url) -> Listing | None:
    """The listing that stands at a directory's URL; None where there is none.

    Raises:
        CorruptError: it is none of xlret's.
    """
    try:
        content = remote.read(url / LISTING)
    except FileNotFoundError:
        return None
    try:
        return Listing.model_validate_json(content)
    except ValidationError as error:
        raise CorruptError(f"{url / LISTING} is damaged; publish the directory again") from error


def is_whole(url: Url) -> bool:
    """Whether a directory was written there to its end: it has a listing, or one above it lists it."""
    return any(listed is not None and _inside(url, above, listed).files for above, listed in _listings(url))


def locate(url: Url) -> Located:
    """The files at a URL: by the listing there or of a directory that it lies in; else all objects that are there.

    Raises:
        UserError: there is nothing, or a directory that is not finished.
        CorruptError: a listing is damaged.
    """
    for above, listing in _listings(url):
        if listing is None:
            raise UserError(f"{above} is not whole: it is being written, or that was interrupted; wait, or write it again")
        if files := _inside(url, above, listing).files:
            return Located(url, Listing(files=files), is_file=url.relative_to(above).as_posix() in listing.files)
    return _unlisted(url)


def _listings(url: Url) -> Iterator[tuple[Url, Listing | None]]:
    """Directories that are listed, or are not finished (None): the URL's own, and those that it lies in."""
    for above in (url, *(parent for parent in url.parents if len(parent.parts) > 1)):
        is_listed, is_unfinished = remote.are_objects([above / LISTING, above / UNFINISHED])
        if is_listed or is_unfinished:
            yield above, written_listing(above) if is_listed else None


def _inside(url: Url, above: Url, listing: Listing) -> Listing:
    """Of the listing of a directory what lies at a URL in it: a file under its name, or the files of a directory."""
    inside = url.relative_to(above).as_posix()
    if inside in listing.files:
        return Listing(files={url.name: listing.files[inside]})
    prefix = "" if inside == "." else f"{inside}/"
    return Listing(files={name.removeprefix(prefix): entry for name, entry in listing.files.items() if name.startswith(prefix)})


def _unlisted(url: Url) -> Located:
    """What another program uploaded."""
    kind = remote.kind_of(url)
    if kind is None:
        raise UserError(f"there is nothing at {url}; correct the bucket or the path")
    objects = {url.name: remote.object_at(url)} if kind == "file" else remote.objects_below(url)
    files = {
        name: Entry(size=entry.size, modified_ns=entry.modified_ns)
        for name, entry in objects.items()
        if PurePosixPath(name).name not in OWN_NAMES
    }
    try:
        return Located(url, Listing(files=files), is_file=kind == "file")
    except ValidationError as error:
        raise UserError(f"{url} holds an object whose name is no path of a file; rename it") from error

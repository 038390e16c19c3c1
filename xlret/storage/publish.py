"""Writing to URLs: a directory is uploaded file by file and its listing last, so that nobody ever reads half of it."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from xlret.errors import UserError
from xlret.storage import cache, remote
from xlret.storage.listing import Listing, is_whole, listing_of, locate, written_listing
from xlret.storage.url import LISTING, UNFINISHED, Url

_THREADS = 8


def publish(directory: Path, url: Url, *, replace: bool = False, over: Listing | None = None) -> Listing:
    """Uploads a directory; what is there already with the same content is not sent again.

    New names come first. If files change under their names, the old listing goes before they do and readers are told to wait;
    then comes the new listing, and what it does not name is removed.

    Args:
        directory: on this machine.
        url: where it is to be.
        replace: whether other content may be there.
        over: what must be there still: it was changed here, and nobody else may have changed it meanwhile.

    Returns:
        Its listing.

    Raises:
        UserError: other content is there and may not be replaced, or not the one that was expected; the store refuses.
    """
    listing = listing_of(directory)
    standing = written_listing(url)
    if standing == listing:
        return listing
    if over is not None and standing != over:
        raise UserError(f"{url} was changed by somebody else meanwhile; start again from what is there now")
    refuse_other(url, standing, replace=replace)
    known = {} if standing is None else standing.files
    changed = [name for name, entry in listing.files.items() if name in known and known[name] != entry]
    fresh = [name for name in listing.files if name not in known]
    if standing is None:
        remote.write(url / UNFINISHED, b"")
    _upload(directory, url, fresh)
    if changed:
        remote.write(url / UNFINISHED, b"")
        remote.delete(url / LISTING, missing_ok=True)
        _upload(directory, url, changed)
    remote.write(url / LISTING, listing.as_json())
    for name in remote.objects_below(url):
        if name not in listing.files and name != LISTING:
            remote.delete(url / name, missing_ok=True)
    return listing


def refuse_other(url: Url, standing: Listing | None = None, *, replace: bool = False) -> None:
    """Refuses to write where something is that may not go.

    Raises:
        UserError: a whole directory, unless it may be replaced; or objects that xlret has not written, whatever is allowed.
    """
    if standing is not None or is_whole(url):
        if not replace:
            raise UserError(f"{url} exists already, with other content; choose another place or allow replacing it (--replace)")
    elif remote.kind_of(url) is not None:
        raise UserError(f"{url} holds what xlret has not written there; choose another place, or remove it yourself")


def remove(url: Url) -> None:
    """Removes everything below a URL, its listing first: a reader finds it whole or not at all."""
    remote.delete(url / LISTING, missing_ok=True)
    remote.delete_below(url)


@contextmanager
def published_directory(url: Url, *, replace: bool) -> Iterator[Path]:
    """A fresh directory on this machine that is uploaded when the block ends without an error.

    Raises:
        UserError: there is something at the URL and `replace` is false, or the store refuses.
    """
    refuse_other(url, replace=replace)
    with cache.work_directory() as work:
        directory = work / url.name
        directory.mkdir()
        yield directory
        cache.adopt(url, directory, publish(directory, url, replace=replace))


@contextmanager
def edited_directory(url: Url, *, may_be_missing: bool = False) -> Iterator[Path]:
    """A directory on this machine with what is at a URL; what the block makes of it takes its place there.

    Files are links to the cache's, which nobody may write to: they are replaced by new ones.

    Raises:
        UserError: nothing is there (unless it may be missing), somebody else changed it meanwhile, the store refuses.
    """
    with cache.work_directory() as work:
        directory, standing = work / url.name, written_listing(url)
        if standing is not None or is_whole(url):
            shutil.copytree(cache.fetched(url), directory, copy_function=_linked)
        elif may_be_missing:
            refuse_other(url)
            directory.mkdir()
        else:
            locate(url)
            raise UserError(f"{url} was not written by xlret, so it cannot be changed there; copy it, change that, publish it")
        yield directory
        cache.adopt(url, directory, publish(directory, url, replace=True, over=standing))


def _linked(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


def _upload(directory: Path, url: Url, names: list[str]) -> None:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="xlret-publish") as pool:
        uploads = [pool.submit(remote.upload, directory / name, url / name) for name in names]
        try:
            for upload in uploads:
                upload.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise

"""Checking a release before anything of it is read: every file there, none besides, each byte as it was written."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from xlret.artifacts import FileEntry, check_entry
from xlret.errors import CorruptError, UserError
from xlret.files import local
from xlret.release.content import check_model, check_reranker, files_below
from xlret.release.index import check_fits
from xlret.release.record import CHECKSUM, ENCODER, INDEX, RECORD, RERANKER, Release, ReleaseRecord, read_record, release_at
from xlret.search.manifest import MANIFEST, read_manifest

CheckBytes = Callable[[Path, FileEntry], None]
"""Checks that a file is what its entry says, or raises CorruptError."""
_REMEDY = "make the release again"


def check_bytes(path: Path, entry: FileEntry) -> None:
    """Reads a file of a release and compares it with its entry in release.json.

    Raises:
        CorruptError: it is missing, a link, of another size or content.
    """
    check_entry(path, entry, listed_in=RECORD, remedy=_REMEDY, plain=True)


def verify_release(path: Path, check: CheckBytes = check_bytes) -> Release:
    """The release in a directory, if it is whole and nothing in it can run as code.

    In this order: release.json against its checksum; no links, no file that is not listed, none missing; sizes; SHA-256 of
    every file; encoder and reranker hold safetensors and settings only; the index agrees with its own manifest and was
    made with this encoder. Nothing of the index or the weights is loaded.

    Args:
        path: the release's directory.
        check: how each file is compared; a `once.VerifiedOnce` leaves out what another process of a service has read.

    Cost: reads every file once; about 1 s per GB.

    Raises:
        UserError: there is no release.
        CorruptError: it is damaged or holds what it may not; the message names the file.
    """
    path = Path(os.path.abspath(local(path)))
    try:
        record = read_record(path)
        check_whole(path, record, check)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror}") from error
    return release_at(path, record)


def verify_files(path: Path, names: Iterable[str], check: CheckBytes = check_bytes) -> ReleaseRecord:
    """Verifies some files of a release and nothing else, for a process that reads no others.

    Args:
        path: the release's directory.
        names: as release.json lists them, such as `index/manifest.json`; or a part of the release, such as `encoder/`.
        check: as in `verify_release`.

    Returns:
        What release.json says.

    Raises:
        UserError: there is no release, or it has no such file.
        CorruptError: release.json or one of the files is damaged.
    """
    path = local(path)
    record = read_record(path)
    for name in names:
        files = [file for file in record.files if file == name or (name.endswith("/") and file.startswith(name))]
        if not files:
            raise UserError(f"the release {record.name} has no {name}")
        for file in files:
            check(Path(path) / file, record.files[file])
    return record


def check_whole(path: Path, record: ReleaseRecord, check: CheckBytes = check_bytes) -> None:
    """`verify_release` for a release.json that was read already.

    Raises:
        CorruptError: as there.
    """
    _check_names(path, record)
    for name, entry in record.files.items():  # sizes first: they cost nothing
        check_entry(path / name, entry, listed_in=RECORD, remedy=_REMEDY, checksum=False, plain=True)
    for name, entry in record.files.items():
        check(path / name, entry)
    release = release_at(path, record)
    check_model(release.encoder)
    if release.reranker is not None:
        check_reranker(release.reranker)
    check_fits(read_manifest(release.index), record, release.index)


def _check_names(path: Path, record: ReleaseRecord) -> None:
    present = set(files_below(path)) - {RECORD, CHECKSUM}
    for name in sorted(present - set(record.files)):
        raise CorruptError(f"{path / name} is not listed in {RECORD}; remove it or make the release again")
    for name in sorted(set(record.files) - present):
        raise CorruptError(f"{path / name} is missing; make the release again")
    parts = {ENCODER, INDEX, RERANKER} if record.reranker else {ENCODER, INDEX}
    listed = {name.split("/", 1)[0] for name in record.files}
    if listed != parts or f"{INDEX}/{MANIFEST}" not in record.files:
        raise CorruptError(
            f"{path / RECORD} lists files of {', '.join(sorted(listed))}, but tells of {', '.join(sorted(parts))}"
        )

"""Releases: encoder, index and measured quality in one directory that is checked before it is served."""

from xlret.release.alias import resolve
from xlret.release.make import make_release
from xlret.release.promote import Listed, list_releases, promote, rollback
from xlret.release.record import Quality, Release, checked_name
from xlret.release.verify import verify_release

__all__ = [
    "Listed",
    "Quality",
    "Release",
    "checked_name",
    "list_releases",
    "make_release",
    "promote",
    "resolve",
    "rollback",
    "verify_release",
]

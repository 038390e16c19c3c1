"""`xlret copy`: a file or directory from this machine to a URL, or back."""

import os
import shutil
from pathlib import Path

from cyclopts import App

from xlret.commands.frame import new_app
from xlret.errors import UserError
from xlret.files import directory_beside, expand_path, flush, local, write_error
from xlret.storage.url import as_url, is_url

EPILOGUE = """\
examples:
  xlret copy corpora/mine s3://bucket/corpora/mine
  xlret copy runs/NAME s3://bucket/runs/NAME      # the training goes on there
  xlret copy s3://bucket/indexes/wiki indexes/wiki

Wherever a command or a recipe takes a path, s3://BUCKET/PATH, gs://BUCKET/PATH
and hdfs://HOST:PORT/PATH do too; what they name is fetched once for each
machine into $XLRET_CACHE (by default ~/.cache/xlret), and every checksum is
compared. Who asks and where comes from the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for another store than
Amazon's.

A directory that is uploaded here is seen when all of it is there, and has a
list of checksums. What another program uploaded is read too, without them.
"""
app: App = new_app("copy", "Copy a file or directory to a URL of an object store, or from one.", EPILOGUE)


@app.default
def copy(source: Path, target: Path, /, *, replace: bool = False) -> int:
    """Copies all of it, or nothing where it is there already with the same content.

    Args:
        source: file or directory, here or at a URL
        target: what it is to be called, here or at a URL
        replace: replace what is there already
    """
    origin, target = expand_path(source), expand_path(target)
    if not origin.exists():
        raise UserError(f"there is nothing at {origin}; name a file or directory, or a URL")
    source = local(origin)
    if source.is_dir():
        _copy_directory(source, target, replace)
    else:
        _copy_file(source, target, replace)
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    print(f"{target}: {len(files):,} files, {sum(path.stat().st_size for path in files) / 1e6:,.1f} MB")
    return 0


def _copy_directory(source: Path, target: Path, replace: bool) -> None:
    if is_url(target):
        from xlret.storage.publish import publish

        publish(source, as_url(target), replace=replace)
        return
    with directory_beside(target, replace=replace) as fresh:
        shutil.copytree(source, fresh, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _copy_file(source: Path, target: Path, replace: bool) -> None:
    if target.exists() and not replace:
        raise UserError(f"{target} exists already; choose another place or allow replacing it (--replace)")
    if is_url(target):
        from xlret.storage.remote import upload

        upload(source, as_url(target))
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, beside)
        flush(beside)
        os.replace(beside, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        beside.unlink(missing_ok=True)

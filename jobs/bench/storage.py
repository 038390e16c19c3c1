"""How fast an object store is read through the cache, beside reading it without: `python -m jobs.bench.storage --help`."""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from xlret.commands.frame import call, new_app, run
from xlret.files import expand_path, local, sha256_of
from xlret.storage import remote
from xlret.storage.publish import publish
from xlret.storage.url import as_url

EPILOGUE = """\
The store is asked as by every command, by AWS_ENDPOINT_URL and its like. On one
machine, with moto's server (pip install 'moto[server]'):

  moto_server -p 5005 &
  export AWS_ENDPOINT_URL=http://127.0.0.1:5005 AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  curl -X PUT http://127.0.0.1:5005/bench
  python -m jobs.bench.storage s3://bench/speed
"""
app = new_app("python -m jobs.bench.storage", "Megabytes a second of the cache on this machine.", EPILOGUE)


@app.default
def bench(url: Path, /, *, files: int = 8, megabytes: int = 64, rounds: int = 3) -> int:
    """Uploads a directory of random bytes and reads it in several ways; each figure is the median of the rounds.

    Args:
        url: a directory that may be written, below a bucket; what is there is replaced
        files: in the directory
        megabytes: of each file
        rounds: of each reading
    """
    target, total_mb = as_url(expand_path(url)), files * megabytes
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        source.mkdir()
        random = np.random.default_rng(0)
        for number in range(files):
            (source / f"part-{number}").write_bytes(random.bytes(megabytes * 10**6))
        _print("uploaded, with checksums", total_mb, _seconds(lambda: publish(source, target, replace=True)))
        names = sorted(path.name for path in source.iterdir())
        hashed = [_seconds(lambda: [sha256_of(source / name) for name in names]) for _ in range(rounds)]
        _print("SHA-256 alone, one core", total_mb, *hashed)

        def plain() -> None:
            with tempfile.TemporaryDirectory() as directory:
                for name in names:
                    remote.download(target / name, Path(directory) / name, lambda block: None)

        _print("fetched without the cache, file after file, unverified", total_mb, *[_seconds(plain) for _ in range(rounds)])
        fetched, opened = [], []
        for number in range(rounds):
            os.environ["XLRET_CACHE"] = str(Path(temporary) / f"cache-{number}")
            fetched.append(_seconds(lambda: local(target)))
            opened.append(_seconds(lambda: local(target)))
        assert hashlib.sha256((local(target) / names[0]).read_bytes()).hexdigest() == sha256_of(source / names[0])
        _print("fetched into an empty cache, 8 files at a time, verified", total_mb, *fetched)
        print(f"opened again: {1000 * float(np.median([seconds for seconds, _ in opened])):.0f} ms")
    return 0


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of this process's cores: on a busy machine the two lie far apart."""
    began, began_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - began_cpu


def _print(what: str, megabytes: int, *seconds: tuple[float, float]) -> None:
    clock, cpu = np.median(seconds, axis=0)
    print(f"{what}: {megabytes / clock:.0f} MB/s, {megabytes / cpu:.0f} MB for a second of a core ({megabytes} MB)")


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))

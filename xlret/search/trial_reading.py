"""Reading FAISS files on trial: in a process whose memory is limited, before a server reads them.

A checksum says that a file is what its manifest lists, not that whoever made both meant well. FAISS reserves memory by what a
file's head says: 568 bytes that speak of 16 million lists take 2.7 GB and ten seconds. So a child process reads each file
first, with no more memory than passages of this number and kind can take, and not for ever. Where it fails, overruns or dies,
the index is refused in one line, and the process that asked has not grown.

Cost: one child for all files, about half a second of a core and 45 MB to start, then one more reading of each file from the
page cache (about 1 s per GB) with the memory of the largest while it lasts. What went well is not tried again in the same
process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from xlret.errors import CorruptError, UserError
from xlret.search.manifest import REMEDY, IndexManifest, ShardEntry

_SLACK = 64 << 20
_LIST_BYTES = 512
"""For each inverted list, besides its centroid: FAISS' own tables (162 bytes) and a graph over the centroids."""
_START_S = 120.0
_BYTES_A_SECOND = 50 << 20
"""Of a slow disk."""

_known: set[tuple[str, int]] = set()
"""(checksum, bytes allowed) of files that this process has tried or made."""


@dataclass(frozen=True)
class _Trial:
    """A file to read, and how much memory that may take."""

    path: str
    mapped: bool
    most_bytes: int
    sha256: str


def try_reading(version_dir: Path, manifest: IndexManifest, numbers: Iterable[int] | None = None) -> None:
    """Has a memory-limited child process read the FAISS files of shards; what it reads is thrown away.

    Args:
        version_dir: the version's directory, whose checksums have been compared.
        manifest: of the version.
        numbers: of the shards; by default all.

    Raises:
        CorruptError: a file is none that is read here, or reading it took more memory or time than is allowed, or killed the
            child; or no child could be started.
    """
    trials = [trial for trial in _trials(version_dir, manifest, numbers) if (trial.sha256, trial.most_bytes) not in _known]
    if not trials:
        return
    most_s = _START_S + sum(os.path.getsize(trial.path) for trial in trials) / _BYTES_A_SECOND
    command = [sys.executable, "-P", "-m", __name__]
    task = "".join(f"{json.dumps(asdict(trial))}\n" for trial in trials)
    try:
        child = subprocess.run(
            command,
            input=task,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=most_s,
            text=True,
            env=_environment(most_s),
        )
        said, end = child.stdout, f"ended with status {child.returncode}" if child.returncode else ""
    except subprocess.TimeoutExpired as overrun:
        said, end = (overrun.stdout or b"").decode(errors="replace"), f"took longer than {most_s:.0f} s"
    except OSError as error:
        raise CorruptError(f"{version_dir} cannot be read on trial: no process could be started ({error})") from error
    lines = said.splitlines()
    read = lines.count("read")
    refused = next((line for line in lines if line != "read"), None)
    if refused is not None:
        raise CorruptError(json.loads(refused))
    if read < len(trials):
        path, limit = trials[read].path, trials[read].most_bytes >> 20
        raise CorruptError(
            f"{path} is refused: a process that read it on trial, with {limit:,} MiB, {end or 'ended'}; {REMEDY}"
        )
    _known.update((trial.sha256, trial.most_bytes) for trial in trials)


def made_here(version_dir: Path, manifest: IndexManifest) -> None:
    """Notes files that this process has made itself: they need no trial."""
    _known.update((trial.sha256, trial.most_bytes) for trial in _trials(version_dir, manifest, None))


def most_bytes(manifest: IndexManifest, entry: ShardEntry, file_bytes: int) -> int:
    """The memory that reading one of a shard's FAISS files may take: codes, centroids, lists, codebooks; and slack.

    Args:
        manifest: of the version; it says the kind of index and the dimension.
        entry: of the shard; it says the number of passages.
        file_bytes: of the file: there are no more lists than it can hold centroids of.
    """
    from xlret.search.factory import factory_of

    dimension = manifest.dimension
    lists = min(manifest.nlist or 0, file_bytes // (4 * dimension))
    try:  # after deletions there may be fewer passages than lists
        kind = factory_of(manifest.factory, max(manifest.count, manifest.nlist or 0), dimension, manifest.dtype)
    except UserError as error:
        raise CorruptError(f"the manifest's factory is {manifest.factory!r:.80}, which is not read here; {REMEDY}") from error
    stored = dimension * (2 if manifest.dtype == "float16" else 4)
    codes = entry.count * max(kind.code_bytes, stored)
    trained = lists * (4 * dimension + _LIST_BYTES) + 4 * dimension * (dimension + 256)
    return _SLACK + (codes + trained) * 5 // 4


def _trials(version_dir: Path, manifest: IndexManifest, numbers: Iterable[int] | None) -> Iterator[_Trial]:
    for entry in manifest.shards if numbers is None else [manifest.shards[number] for number in numbers]:
        for file, mapped in ((entry.vectors, True), (entry.index, False)):
            if file is not None:
                path = str((Path(version_dir) / file.file).absolute())
                yield _Trial(path, mapped, most_bytes(manifest, entry, file.size), file.sha256)


def _environment(most_s: float) -> dict[str, str]:
    """The child's: nothing secret, one thread, and the same code."""
    kept = {name: value for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if (value := os.environ.get(name))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    return kept | threads | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "XLRET_TRIAL_S": f"{most_s:.0f}"}


def _read_all() -> None:
    """The child: says `read` for each file that could be, or why the first could not."""
    import resource

    from xlret.search.faiss_files import read_index

    seconds = int(os.environ["XLRET_TRIAL_S"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # also when nobody waits any longer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        trial = _Trial(**json.loads(line))
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = used + trial.most_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
        try:
            read_index(Path(trial.path), mapped=trial.mapped)
        except CorruptError as error:
            reason = str(error)
            if isinstance(error.__cause__, MemoryError):
                limit = trial.most_bytes >> 20
                reason = f"{trial.path} is refused: it wants more than the {limit:,} MiB that its passages can take; {REMEDY}"
            print(json.dumps(reason))
            return
        except MemoryError:
            print(json.dumps(f"{trial.path} is refused: it wants more memory than its passages can take; {REMEDY}"))
            return
        print("read", flush=True)


if __name__ == "__main__":
    _read_all()

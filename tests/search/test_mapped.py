"""A mapped file that is cut short under a running search is an error, not the end of the process, and can come back."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from index_building import build
from made_up import make_store, make_vectors

from xlret.search.index import SearchIndex
from xlret.search.mapped import MappedFileError
from xlret.search.query import SearchOptions

CHILD = """
import sys
from pathlib import Path
import numpy as np
from made_up import make_vectors
from xlret.search.index import SearchIndex
from xlret.search.mapped import MappedFileError
from xlret.search.query import SearchOptions

index = SearchIndex.open(Path(sys.argv[1]))
for line in sys.stdin:
    try:
        hits = index.search(make_vectors(1, seed=1), SearchOptions(top_k=5, languages=("de",)))
        print(" ".join(hits.ids[0]), " ".join(passage.id for passage in index.passages(hits, 0)), flush=True)
    except MappedFileError as error:
        print("refused:", error, flush=True)
"""


def test_a_file_that_is_cut_short_is_refused_and_taken_again_when_it_is_whole(tmp_path: Path) -> None:
    version = build(make_store(tmp_path / "store", 700), tmp_path / "index", shards=2, factory="IVF4,SQ8")
    command = [sys.executable, "-c", CHILD, str(version)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def asked() -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            print("search", file=child.stdin, flush=True)
            return child.stdout.readline().strip()

        def asked_until_answered() -> str:
            end = time.monotonic() + 60
            while (answer := asked()).startswith("refused"):
                assert time.monotonic() < end, answer
                time.sleep(0.01)
            return answer

        before = asked()
        assert len(before.split()) == 10
        for name in ("shard-0000.vectors.faiss", "shard-0001.arrow", "lists.npy", "sample.arrow"):
            path = version / name
            content = path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(b"")
            assert asked().startswith(f"refused: {path} was cut short or grew while in use: 0 bytes, not")
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # its size, but not its content
            for _ in range(3):
                assert asked().startswith(f"refused: {path} was written to while in use")
                time.sleep(0.05)
            path.write_bytes(content)
            assert asked_until_answered() == before
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait() == 0


def test_what_takes_a_files_name_does_not_disturb(tmp_path: Path) -> None:
    version = build(make_store(tmp_path / "store", 300), tmp_path / "index")
    index, query = SearchIndex.open(version), make_vectors(1, seed=1)
    before = index.search(query, SearchOptions())
    path = version / "shard-0000.vectors.faiss"
    path.rename(tmp_path / "elsewhere")
    path.write_bytes(b"")
    np.testing.assert_array_equal(index.search(query, SearchOptions()).scores[0], before.scores[0])
    (tmp_path / "elsewhere").chmod(0o644)
    (tmp_path / "elsewhere").write_bytes(b"x")
    with pytest.raises(MappedFileError, match=r"shard-0000\.vectors\.faiss was cut short"):
        index.check_files()
    with pytest.raises(MappedFileError):
        index.passages(before, 0)

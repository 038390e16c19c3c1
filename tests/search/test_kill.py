"""Killed at any moment, an index is as it was before or as it is after."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from index_building import build, quiet
from made_up import make_store, make_vectors

from xlret.keys import generator
from xlret.search.edit import delete
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions

CHANGES = """
import sys
from pathlib import Path
from xlret.search import certificate
from xlret.search.edit import append, compact, delete
from xlret.search.vectors.store import VectorStore
certificate._LEAST_SECONDS = 0.0
place, store = Path(sys.argv[1]), VectorStore.open(Path(sys.argv[2]))
print("ready", flush=True)
while True:
    append(place, store, replace=True, say=lambda line: None)
    delete(place, [f"x{number}" for number in range(60)], say=lambda line: None)
    compact(place, say=lambda line: None)
    print("round", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(make_store(tmp_path / "store", 300), index_dir, shards=2, factory="IVF8,SQ8")
    make_store(tmp_path / "more", 60, prefix="x")
    counts = set()
    for kill in range(12):
        command = [sys.executable, "-c", CHANGES, str(index_dir), str(tmp_path / "more")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == "ready\n", process.stderr and process.stderr.read()
            time.sleep(float(generator(0, "kill", kill).uniform(0, 4)))
            process.send_signal(signal.SIGKILL)
        index = SearchIndex.open(index_dir)
        counts.add(index.manifest.count)
        hits = index.search(make_vectors(1), SearchOptions(top_k=1000, exact=True))
        assert len(set(hits.ids[0])) == index.manifest.count
    assert counts <= {300, 360}
    delete(index_dir, ["p0"], say=quiet)
    assert not list(index_dir.glob(".building.*"))

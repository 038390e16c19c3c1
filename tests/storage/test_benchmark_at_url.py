"""The files of a benchmark at a URL, which are packed as they are published."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.benchmarks import benchmark
from xlret.storage.url import as_url

FILES = as_url("s3://bucket/benchmarks/xquad-r")


@pytest.mark.usefixtures("store")
def test_a_benchmark_is_read_and_looked_for(corpora: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, first = ParallelCorpus.open(corpora / "dev"), np.zeros(1, np.int64)
    [text], [question] = corpus.passages("en", first), corpus.queries("en", first)
    answer = {"answer_start": 0, "text": text.split()[0]}
    paragraph = {
        "context": text,
        "sentences": [text],
        "sentence_breaks": [[0, len(text)]],
        "qas": [{"id": "1", "question": question, "answers": [answer]}],
    }
    content = {"version": "1.1", "data": [{"paragraphs": [paragraph]}]}
    for lang in benchmark("xquad-r").languages:
        (FILES / f"{lang}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))
    [read] = benchmark("xquad-r").load(FILES, ["en"])
    assert read.query_texts == [question]
    main(["corpus", str(corpora / "dev"), "--against", f"xquad-r={FILES}"])
    assert re.search(r"xquad-r\W+all 11", capsys.readouterr().out)

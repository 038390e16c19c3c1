"""Small corpora that several tests write."""

from pathlib import Path

import numpy as np

from xlret.data.corpus import CorpusManifest, ParallelCorpus, Row, write_corpus


def write(path: Path, rows: list[Row], **options: object) -> CorpusManifest:
    return write_corpus(path, rows, source="made up", licence="CC0", revision="3", made_by="tests", **options)


def small(path: Path) -> ParallelCorpus:
    """Groups a (en, de), b (en query, de passage), c (en passage alone), d (en, de)."""
    rows = [
        Row("a", "en", "red house?", "House", "It is red."),
        Row("b", "en", "blue car?", None, None),
        Row("a", "de", "rotes Haus?", None, "Es ist rot."),
        Row("c", "en", None, "", "Nobody asks for this."),
        Row("b", "de", None, None, "Das Auto ist blau."),
        Row("d", "de", "grüner Baum?", "Baum", "Er ist grün."),
        Row("d", "en", "green tree?", None, "It is green."),
    ]
    write(path, rows)
    return ParallelCorpus.open(path)


def groups_of(corpus: ParallelCorpus, *ids: str) -> np.ndarray:
    known = corpus.group_ids(np.arange(corpus.n_groups))
    return np.array([known.index(one) for one in ids], dtype=np.int64)

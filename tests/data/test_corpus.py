"""Writing, opening and reading corpora."""

import errno
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import groups_of, small, write

from xlret.data.cluster import joined
from xlret.data.corpus import ParallelCorpus, Row
from xlret.data.mapped import MappedTable
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError


def test_what_was_written_is_read(tmp_path):
    corpus = small(tmp_path / "corpus")
    assert corpus.n_groups == 4
    assert corpus.languages == corpus.query_languages == corpus.passage_languages == ("de", "en")
    assert corpus.passages("en", groups_of(corpus, "d", "a", "c", "a")) == [
        "It is green.",
        "House It is red.",
        "Nobody asks for this.",
        "House It is red.",
    ]
    assert corpus.queries("en", groups_of(corpus, "b", "d")) == ["blue car?", "green tree?"]
    assert corpus.queries("de", groups_of(corpus, "a")) == ["rotes Haus?"]
    assert corpus.passages("de", groups_of(corpus, "b", "d")) == ["Das Auto ist blau.", "Baum Er ist grün."]
    assert corpus.queries("en", np.array([], dtype=np.int64)) == []
    assert (corpus.manifest.source, corpus.manifest.licence, corpus.manifest.revision) == ("made up", "CC0", "3")


def test_pools_are_the_groups_that_have_both(tmp_path):
    corpus = small(tmp_path / "corpus")

    def ids(query_lang: str, passage_lang: str) -> set[str]:
        pool = corpus.pool(query_lang, passage_lang)
        return set(corpus.group_ids(pool.take(np.arange(len(pool)))))

    assert ids("en", "en") == {"a", "d"}
    assert ids("en", "de") == {"a", "b", "d"}
    assert ids("de", "en") == {"a", "d"}
    assert ids("de", "fr") == ids("xx", "en") == set()
    assert len(corpus.side("passage", "en")) == 3
    assert not len(corpus.side("query", "fr"))


def test_a_missing_text_names_group_side_and_language(tmp_path):
    corpus = small(tmp_path / "corpus")
    with pytest.raises(UserError, match="group 'c' has no query in en"):
        corpus.queries("en", groups_of(corpus, "a", "c"))
    with pytest.raises(UserError, match="has no passage in fr"):
        corpus.passages("fr", np.array([0]))
    with pytest.raises(UserError, match="has no group 4; its groups are 0 to 3"):
        corpus.queries("en", np.array([4]))


LANGS = ("en", "de", "ar", "zh")
cells = st.tuples(st.integers(0, 8), st.sampled_from(LANGS), st.sampled_from(["query", "text", "both"]))


@settings(max_examples=40, deadline=None)
@given(st.lists(cells, min_size=1, unique_by=lambda cell: cell[:2]), st.randoms(use_true_random=False))
def test_any_corpus_comes_back_whatever_the_order_of_rows(tmp_path_factory, cells, shuffle):
    rows = [
        Row(
            f"g{group}",
            lang,
            f"{lang} {group}?" if kind != "text" else None,
            None,
            f"{lang} text {group}" if kind != "query" else None,
        )
        for group, lang, kind in cells
    ]
    shuffle.shuffle(rows)
    path = tmp_path_factory.mktemp("any") / "corpus"
    write(path, rows)
    corpus = ParallelCorpus.open(path)
    found = {(row.group_id, row.lang): (row.query, row.text) for row in corpus.rows(np.arange(corpus.n_groups))}
    assert found == {(row.group_id, row.lang): (row.query, row.text) for row in rows}
    for query_lang in LANGS:
        for passage_lang in LANGS:
            pool = corpus.pool(query_lang, passage_lang)
            expected = {r.group_id for r in rows if r.lang == query_lang and r.query}
            expected &= {r.group_id for r in rows if r.lang == passage_lang and r.text}
            assert set(corpus.group_ids(pool.take(np.arange(len(pool))))) == expected


def test_groups_of_equal_languages_lie_together(tmp_path):
    rng = random.Random(0)
    rows = [
        Row(f"{g}", lang, f"q {g}", None, f"t {g}") for g in range(300) for lang in rng.sample(LANGS, rng.choice([1, 2, 4]))
    ]
    rng.shuffle(rows)
    manifest = write(tmp_path / "corpus", rows)
    assert max(len(side.ranges) for side in manifest.sides) <= 8  # 4 + 6 + 1 signatures
    biggest = max(manifest.sides, key=lambda side: side.rows)
    assert len(biggest.ranges) == 1


def test_clusters_join_equal_texts_and_given_clusters(tmp_path):
    rows = [
        Row("a", "en", "Where is it?", None, "one"),
        Row("b", "en", "Where  is\nit?", None, "two"),  # as a, but for white space
        Row("c", "de", "Wo ist es?", None, "drei"),
        Row("b", "de", "Wo?", None, "zwei"),
        Row("d", "de", "Wer ist es?", "zwei", "x"),
        Row("e", "fr", "Cafe\u0301 ?", None, "quatre"),
        Row("f", "fr", "Café ?", None, "cinq"),  # as e, but for its Unicode form
        Row("g", "en", "zwei", None, "Where is it?"),  # equal texts of other sides and languages join nothing
        Row("h", "en", "who", None, "eight", cluster="page"),
        Row("i", "de", "wer", None, "neun", cluster="page"),
        Row("j", "de", "wann", "", "neun"),
        Row("k", "es", "two", None, "Wo?"),
    ]
    manifest = write(tmp_path / "corpus", rows)
    corpus = ParallelCorpus.open(tmp_path / "corpus")
    everything = np.arange(corpus.n_groups)
    clusters = dict(zip(corpus.group_ids(everything), corpus.clusters(everything).tolist(), strict=True))
    sets: dict[int, set[str]] = {}
    for group_id, cluster in clusters.items():
        sets.setdefault(cluster, set()).add(group_id)
    assert sorted(map(sorted, sets.values())) == [["a", "b"], ["c"], ["d"], ["e", "f"], ["g"], ["h", "i", "j"], ["k"]]
    assert manifest.n_clusters == 7
    for cluster, members in sets.items():
        assert cluster == min(groups_of(corpus, *members))


@given(st.integers(20, 30), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19))))
def test_joined_agrees_with_a_walk_over_the_graph(count, pairs):
    label = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    assert joined(count, np.array(pairs, dtype=np.int64).reshape(-1, 2)).tolist() == label


def test_equal_input_gives_an_equal_fingerprint_and_other_input_another(tmp_path):
    rows = [Row("a", "en", "q", None, "t"), Row("b", "en", "q2", None, "t2")]
    one, two = write(tmp_path / "one", rows), write(tmp_path / "two", rows)
    three = write(tmp_path / "three", [rows[0], Row("b", "en", "q2", None, "t3")])
    four = write(tmp_path / "four", [rows[0], Row("b", "de", "q2", None, "t2")])
    assert one.fingerprint == two.fingerprint
    assert len({one.fingerprint, three.fingerprint, four.fingerprint}) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row("a", "en", "q", None, "t"), "group 'a' has a query in en already"),
        (Row("a", "eng", None, None, "t"), "group 'a' has a passage in en already"),
        (Row("b", "xx-nothing", "q", None, "t"), "unknown language code 'xx-nothing'"),
        (Row("b", "en", " ", None, "t"), "query is empty"),
        (Row("b", "en", "q", None, "\n"), "text is empty"),
        (Row("", "en", "q", None, "t"), "group_id is empty"),
        (Row(None, "en", "q", None, "t"), "group_id is missing"),
        (Row("b", "en", None, "title", None), "neither a query nor a text"),
        (Row("b", "en", "q", None, "x" * 1_000_000), "text has 1,000,000 characters; allowed are 100,000"),
        (Row("b", "en", "q\0", None, "t"), "query holds a NUL"),
        (Row("b", "en", "q", "\ud800", "t"), "title holds a byte that is not UTF-8 or half of a surrogate pair"),
        (Row("b", "en", float("nan"), None, "t"), "query is nan, a float; it must be text"),
        (Row("b", "en", "q", 3, "t"), "title is 3, a int; it must be text"),
    ],
)
def test_bad_rows_are_errors_or_skipped(tmp_path, row, reason):
    good = [Row("a", "en", "q", None, "t"), Row("c", "de", "f", None, "a")]
    bad = Row(row.group_id, row.lang, row.query, row.title, row.text, None, "my.jsonl:7")
    with pytest.raises(DataError, match=r"^my\.jsonl:7: .*" + reason.replace("(", r"\(")):
        write(tmp_path / "corpus", [*good, bad])
    assert list(tmp_path.iterdir()) == []
    report = ReadingReport(on_bad_row="skip")
    write(tmp_path / "corpus", [good[0], bad, good[1]], report=report)
    assert report.skipped == 1
    assert reason in report.sample[0]
    assert ParallelCorpus.open(tmp_path / "corpus").n_groups == 2


def test_the_sample_of_skipped_rows_is_bounded(tmp_path):
    report = ReadingReport(on_bad_row="skip")
    bad = [Row("", "en", "q", None, "t", None, f"f:{line}") for line in range(50)]
    write(tmp_path / "corpus", [Row("a", "en", "q", None, "t"), *bad], report=report)
    assert report.skipped == 50
    assert len(report.sample) == 10


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no usable row"):
        write(tmp_path / "corpus", [])
    with pytest.raises(UserError, match="no usable row"):
        write(tmp_path / "corpus", [Row("a", "??", "q", None, "t")], report=ReadingReport(on_bad_row="skip"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_kept_unless_told(tmp_path):
    first = small(tmp_path / "corpus")
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path / "corpus", [Row("z", "en", "q", None, "t")])
    assert ParallelCorpus.open(tmp_path / "corpus").fingerprint == first.fingerprint
    write(tmp_path / "corpus", [Row("z", "en", "q", None, "t")], replace=True)
    assert ParallelCorpus.open(tmp_path / "corpus").n_groups == 1
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xlret.data.spool.SideSpool._flush", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        small(tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_under_arrow_is_the_same_error(tmp_path, monkeypatch):
    """/dev/full refuses the bytes for real, inside Arrow's writer."""
    import xlret.data.corpus_write as module

    def open_full(path: Path, mode: str) -> object:
        return open("/dev/full", mode, buffering=0)

    monkeypatch.setattr(module, "open", open_full, raising=False)
    with pytest.raises(UserError, match="no space left on the disk"):
        small(tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def test_rows_come_from_the_right_batch_of_a_file_with_many(tmp_path):
    schema = pa.schema([("text", pa.large_string()), ("number", pa.int64())])
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for start, stop in ((0, 3), (3, 4), (4, 11)):
            texts = pa.array([f"täxt {i}" for i in range(start, stop)], pa.large_string())
            writer.write_batch(pa.record_batch([texts, pa.array(range(start, stop), pa.int64())], schema=schema))
    table = MappedTable(tmp_path / "t.arrow")
    assert len(table) == 11
    for _ in range(2):
        rows = np.array([10, 0, 3, 4, 2, 3])
        assert table.texts("text", rows) == [f"täxt {i}" for i in rows]
        assert table.integers("number", rows).tolist() == rows.tolist()
        table.release()
    for row in (-1, 11):
        with pytest.raises(IndexError):
            table.texts("text", np.array([row]))


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from xlret.data.corpus import ParallelCorpus
def most_resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
before = most_resident()
corpus = ParallelCorpus.open(Path(sys.argv[1]))
rng = np.random.default_rng(0)
for _ in range(400):
    corpus.passages("en", rng.integers(corpus.n_groups, size=64))
print(most_resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_reading_all_over_a_large_corpus_takes_little_memory(tmp_path):
    text = "x" * 4000
    write(tmp_path / "corpus", (Row(f"{g}", "en", f"q{g}", None, f"{g} {text}") for g in range(36_000)))
    assert (tmp_path / "corpus" / "passage.en.arrow").stat().st_size > 144e6
    taken = subprocess.run([sys.executable, "-c", MEASURE, tmp_path / "corpus"], capture_output=True, text=True, check=True)
    assert int(taken.stdout) < 100e6

"""Input read in parts: whatever the parts, the corpus is the same, and so is what is said of bad rows."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlret.calls import in_turn
from xlret.config import settings_from
from xlret.data import read
from xlret.data.corpus import ParallelCorpus
from xlret.data.corpus_write import Provenance, fill_corpora
from xlret.data.prepare import PrepareSettings, prepare
from xlret.data.rows import ReadingReport, Row
from xlret.data.split import train_and_dev
from xlret.errors import DataError

LANGS = ("de", "en", "th")
ABOUT = Provenance("made up", "none", "1", "a test")
CONTENT_BEFORE_PARTS = {
    "train": "8ac95ef37a4992f3fed1625994aa720c1b8b469eb89707db43a57b203f37ba7b",
    "dev": "a5b0088e00648c2a2b98fd682239c7536ec8bf0fc23d79a04587cbd519ef3dd5",
}
"""Of what the rows below became when all were read by one process into one spool and a corpus was split by writing it again."""


def made_rows() -> list[Row]:
    """90 groups with holes: some have no query, some languages one side alone; equal questions and given clusters."""
    rows = []
    for group in range(90):
        for number, lang in enumerate(LANGS):
            if (group + number) % 7 == 0:
                continue
            query = None if group % 5 == number else f"question {group % 40 if group % 3 == 0 else group} {lang}"
            text = None if query is not None and group % 11 == number else f"answer {group} {lang}"
            title = f"title {group}" if group % 2 else None
            rows.append(Row(f"g{group}", lang, query, title, text, f"page {group // 4}" if group % 6 == 0 else None))
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    return [rows[row] for row in order]


def content(path: Path) -> str:
    """A digest of all that a corpus says, whatever the form of its files."""
    corpus, digest = ParallelCorpus.open(path), hashlib.sha256()
    groups = np.arange(corpus.n_groups)
    told: list[Any] = [corpus.group_ids(groups), corpus.clusters(groups).tolist()]
    told += [[row.group_id, row.lang, row.query, row.text] for row in corpus.rows(groups)]
    digest.update(json.dumps(told).encode())
    return digest.hexdigest()


def given(rows: list[Row], report: ReadingReport) -> Iterator[Row]:
    return iter(rows)


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("cuts", [(), (100,), (1, 150), (0, 60, 60)])
def test_whatever_the_parts_the_corpora_are_the_same(cuts: tuple[int, ...], tmp_path: Path) -> None:
    rows = made_rows()
    ends = [*cuts, len(rows)]
    parts = [partial(given, rows[start:end]) for start, end in zip([0, *cuts], ends, strict=True)]
    corpora = [(tmp_path / name, ABOUT) for name in ("train", "dev")]
    split = partial(train_and_dev, dev=20, seed=3, name="made up")
    fill_corpora(tmp_path, parts, ReadingReport(), 1000, in_turn, corpora, split)
    assert {name: content(tmp_path / name) for name in ("train", "dev")} == CONTENT_BEFORE_PARTS
    assert not (tmp_path / "spool").exists()


def recipe(directory: Path, output: str, **options: object) -> PrepareSettings:
    files = {"format": "rows", "files": [str(directory / "rows.jsonl"), str(directory / "more.jsonl")]}
    return settings_from(
        PrepareSettings, {"output": str(directory / output), "corpora": {"mine": {"read": files, "dev": 9}}, **options}
    )


def write_lines(path: Path, rows: list[Row], bad: dict[int, str]) -> None:
    lines = [json.dumps({"group_id": row.group_id, "lang": row.lang, "query": row.query, "text": row.text}) for row in rows]
    for number, line in bad.items():
        lines[number] = line
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("slice_bytes", [311, 4000])
def test_slices_of_a_file_say_the_same_of_bad_lines(slice_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made_rows()
    write_lines(tmp_path / "rows.jsonl", rows[:150], {3: "", 40: "{", 41: json.dumps({"lang": "en"}), 130: '"text"'})
    write_lines(tmp_path / "more.jsonl", [*rows[150:], rows[7], replace(rows[8], query="again")], {2: "[]"})
    [whole] = prepare(recipe(tmp_path, "whole", on_bad_row="skip"))
    monkeypatch.setattr(read, "_SLICE_BYTES", slice_bytes)
    [sliced] = prepare(recipe(tmp_path, "sliced", on_bad_row="skip"))
    for part in ("train", "dev"):
        assert bytes_of(tmp_path / "sliced/mine" / part) == bytes_of(tmp_path / "whole/mine" / part)
    assert sliced.report.summary() == whole.report.summary()
    with pytest.raises(DataError, match=r"rows\.jsonl:41: not JSON"):
        list(prepare(recipe(tmp_path, "refused")))


def test_what_is_wrong_first_is_said_first(tmp_path: Path) -> None:
    """A side that came before in another part is earlier than a bad row, and a damaged file, after it."""
    row = Row("g", "en", "question", None, "answer", where="a:1")

    def damaged(report: ReadingReport) -> Iterator[Row]:
        yield replace(row, where="b:1")
        raise DataError("b:2: cut short")

    late = replace(row, group_id=" ", where="c:1")
    parts = [partial(given, [row]), damaged, partial(given, [late])]
    for policy, message in (("error", "b:1: group 'g' has a query in en already"), ("skip", "b:2: cut short")):
        directory = tmp_path / policy
        directory.mkdir()
        with pytest.raises(DataError, match=message):
            fill_corpora(directory, parts, ReadingReport(policy), 1000, in_turn, [(directory, ABOUT)], None)


def test_a_row_that_is_left_out_takes_nothing_from_its_group(tmp_path: Path) -> None:
    """Its other side is free for a row that comes later, in whatever part."""
    rows = [
        Row("g", "en", "question", None, None),
        Row("g", "en", "question", None, "left out", where="b:1"),
        Row("g", "en", None, None, "taken"),
        Row("g", "de", None, None, "genommen", "page"),
        Row("h", "de", "Frage", None, "Antwort", "page"),
    ]
    report = ReadingReport("skip")
    fill_corpora(tmp_path, [partial(given, [row]) for row in rows], report, 1000, in_turn, [(tmp_path, ABOUT)], None)
    corpus = ParallelCorpus.open(tmp_path)
    assert sorted((row.group_id, row.lang, row.query, row.text) for row in corpus.rows(np.arange(2))) == [
        ("g", "de", None, "genommen"),
        ("g", "en", "question", "taken"),
        ("h", "de", "Frage", "Antwort"),
    ]
    assert corpus.manifest.n_clusters == 1
    assert report.summary() == [
        "1 bad rows left out, such as:",
        "  b:1: group 'g' has a query in en already; each language may come once",
    ]

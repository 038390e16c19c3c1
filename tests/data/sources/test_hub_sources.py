"""Training sources fetched from a hub by name: the same rows as from a folder, and the commit said."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_hub import commit_of, fake_hub

from xlret.config import settings_from
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.data.sources.miracl import MiraclSource
from xlret.data.sources.mmarco import MmarcoSource
from xlret.data.sources.swim_ir import SwimIrSource
from xlret.errors import UserError
from xlret.hub import PINNED


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def rows_of(kind: type[SourceSettings], **given: Any) -> tuple[list[Row], list[str]]:
    report = ReadingReport()
    return list(settings_from(kind, given).rows(report)), report.notes


def without_where(rows: list[Row]) -> set[tuple[Any, ...]]:
    return {(row.group_id, row.lang, row.query, row.title, row.text) for row in rows}


def test_rows_are_those_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, mmarco, miracl = tmp_path / "hub", tmp_path / "hub/unicamp-dl/mmarco/data", tmp_path / "hub/miracl"
    for name in ("english", "german", "french"):
        write(mmarco / f"google/queries/train/{name}_queries.train.tsv", f"7\t{name}?\n")
        write(mmarco / f"google/collections/{name}_collection.tsv", f"20\t{name}.\n")
    write(mmarco / "triples.train.ids.small.tsv", "7\t20\t21\n")
    write(miracl / "miracl/miracl-v1.0-sw/topics/topics.miracl-v1.0-sw-train.tsv", "1\tNani?\n")
    write(miracl / "miracl/miracl-v1.0-sw/qrels/qrels.miracl-v1.0-sw-train.tsv", "1\tQ0\t5#0\t1\n")
    passage = {"docid": "5#0", "title": "K", "text": "maandishi"}
    write(miracl / "miracl-corpus/miracl-corpus-v1.0-sw/docs-0.jsonl.gz", json.dumps(passage))
    swim = hub / "nthakur/swim-ir-monolingual"
    record = {"_id": "1", "title": "t", "text": "x", "query": "q", "lang": "Thai", "code": "th"}
    for lang in ("th", "fi"):
        (swim / lang).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([record | {"code": lang}]), swim / lang / "train-00000-of-00001.parquet")
    with fake_hub(hub, tmp_path / "cache", monkeypatch) as served:
        served.commits = dict(PINNED)
        rows, notes = rows_of(MmarcoSource, format="mmarco", hub="unicamp-dl/mmarco", languages=["de", "en"])
        folder, _ = rows_of(
            MmarcoSource,
            format="mmarco",
            path=mmarco / "google",
            pairs=mmarco / "triples.train.ids.small.tsv",
            languages=["de", "en"],
        )
        assert without_where(rows) == without_where(folder)
        assert len(rows) == 4
        assert notes[0] == f"read from the hub: unicamp-dl/mmarco@{PINNED['unicamp-dl/mmarco']}"
        assert not any("french" in path for path in served.fetched)
        rows, notes = rows_of(MiraclSource, format="miracl", hub="miracl/miracl", languages=["sw"])
        assert without_where(rows) == {
            ("miracl/sw/1|5#0", "sw", "Nani?", None, None),
            ("miracl/sw/1|5#0", "sw", None, "K", "maandishi"),
        }
        both = ("miracl/miracl", "miracl/miracl-corpus")
        assert notes == [f"read from the hub: {name}@{PINNED[name]}" for name in both]
        given = {"format": "swim_ir", "part": "monolingual", "hub": "nthakur/swim-ir-monolingual"}
        rows, notes = rows_of(SwimIrSource, **given, languages=["th"])
        assert {row.lang for row in rows} == {"th"}
        assert notes == [f"read from the hub: {given['hub']}@{commit_of(given['hub'])}"]  # the newest: none is pinned
        assert {row.lang for row in rows_of(SwimIrSource, **given)[0]} == {"th", "fi"}
        with pytest.raises(UserError, match="has no yo/"):
            rows_of(SwimIrSource, **given | {"hub": "miracl/miracl"}, languages=["yo"])


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (MmarcoSource, {"format": "mmarco"}, "either path or hub"),
        (MmarcoSource, {"format": "mmarco", "path": "x"}, "path needs pairs"),
        (MiraclSource, {"format": "miracl", "path": "x"}, "either path and corpus, or hub"),
        (MiraclSource, {"format": "miracl", "hub": "miracl/miracl", "hub_revision": "main"}, "two repositories"),
        (SwimIrSource, {"format": "swim_ir", "part": "monolingual"}, "either files or hub"),
    ],
)
def test_a_folder_or_the_hub(kind: type[SourceSettings], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings_from(kind, given)

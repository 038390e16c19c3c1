"""What preparing would take, told before anything is fetched or written."""

import gzip
import json
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_hub import fake_hub

from xlret.commands.app import main
from xlret.config import settings_from
from xlret.data.sources.mmarco import LANGUAGES, PAIRS
from xlret.data.sources.own import OwnSource
from xlret.errors import UserError
from xlret.hub import PINNED


def test_rows_of_files_are_estimated_from_their_beginnings(tmp_path: Path) -> None:
    """Files of equal lines, some larger than the sample, plain, packed and in Parquet."""
    line = json.dumps({"group_id": "g", "lang": "en", "query": "what is it?", "text": "it is " + "so " * 60}) + "\n"
    packed = [line.replace("so so", f"{blake2b(bytes([n % 256, n // 256])).hexdigest()}") for n in range(20_000)]
    (tmp_path / "small.jsonl").write_text(line * 3 + line.strip())
    (tmp_path / "large.jsonl").write_text(line * 20_000)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress("".join(packed).encode()))
    pq.write_table(pa.table({"group_id": ["g"] * 70, "text": ["t"] * 70}), tmp_path / "table.parquet")
    (tmp_path / "empty.csv").write_text("")
    wanted = {"small.jsonl": 4, "large.jsonl": 20_000, "packed.jsonl.gz": 20_000, "table.parquet": 70, "empty.csv": 0}
    for name, rows in wanted.items():
        source = settings_from(OwnSource, {"format": "rows", "files": [{"path": str(tmp_path / name), "lang": "de"}]})
        foreseen = source.foreseen()
        assert foreseen.rows == pytest.approx(rows, rel=0.02), name
        assert foreseen.files == {str(tmp_path / name): (tmp_path / name).stat().st_size}
        assert foreseen.languages == ("de",)
        if name != "empty.csv":
            assert foreseen.disk_bytes
            assert foreseen.disk_bytes > (tmp_path / name).stat().st_size
    missing = settings_from(OwnSource, {"format": "rows", "files": [str(tmp_path / "no.jsonl")]})
    with pytest.raises(UserError, match="no such file or folder"):
        missing.foreseen()


def test_mmarco_resolves_in_all_its_languages_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "hub/unicamp-dl/mmarco"
    for name in LANGUAGES.values():
        for file in (f"queries/train/{name}_queries.train.tsv", f"collections/{name}_collection.tsv"):
            (data / "data/google" / file).parent.mkdir(parents=True, exist_ok=True)
            (data / "data/google" / file).write_text("1\tx\n" * 5000)
    (data / PAIRS).write_text("1\t1\t2\n")
    command = ["prepare", "prepare-mmarco", "--dry-run", "--set", f"output={tmp_path}"]
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as served:
        served.commits = dict(PINNED)
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert f"{tmp_path}/mmarco:" in printed
        assert "29 files" in printed
        assert "of them to be fetched" in printed
        assert f"about {2 * 14 * 532_761:,} rows in 532,761 groups" in printed
        assert "languages: ar, de, en, es, fr, hi, id, it, ja, nl, pt, ru, vi, zh" in printed
        assert served.fetched == []
        assert [path.name for path in tmp_path.iterdir()] == ["hub"]
        (data / "data/google/collections/dutch_collection.tsv").unlink()
        with pytest.raises(UserError, match="unicamp-dl/mmarco has no nl; it has ar, de"):
            main(command)

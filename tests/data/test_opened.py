"""Files that are packed, encoded or called otherwise than they seem: read, or named with what to do."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError

TEXT = '{"id": "1", "text": "Grün 绿 🟢"}\r\n{"id": "2", "text": "b"}'
ROWS = [{"id": "1", "text": "Grün 绿 🟢"}, {"id": "2", "text": "b"}]


def zipped() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("p.jsonl", TEXT)
    return data.getvalue()


def read(path: Path, data: bytes) -> list[dict[str, object]]:
    path.write_bytes(data)
    return [record for _, record in read_records(path, ReadingReport())]


@pytest.mark.parametrize("name", ["p.jsonl", "P.JSONL", "p.JsonL.GZ", "p.ndjson", "p.jsonl.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_whatever_they_are_packed_encoded_and_called(
    tmp_path: Path, name: str, encoding: str, packed: bool
) -> None:
    data = ("\ufeff" * (encoding == "utf-16-be") + TEXT).encode(encoding)
    if name.lower().endswith(".gz") and not packed:
        with pytest.raises(DataError, match="the gzip file is damaged"):
            read(tmp_path / name, data)
    else:
        assert read(tmp_path / name, gzip.compress(data) if packed else data) == ROWS


def test_utf16_larger_than_any_buffer(tmp_path: Path) -> None:
    text = "".join(f'{{"id": "{number}", "text": "🟢{"ж" * 300}"}}\n' for number in range(500))
    rows = read(tmp_path / "p.jsonl", text.encode("utf-16"))
    assert [row["id"] for row in rows] == [str(number) for number in range(500)]
    assert {row["text"] for row in rows} == {"🟢" + "ж" * 300}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-16-le"), "this looks like UTF-16 without a byte order mark; save it as UTF-8"),
        (TEXT.encode("utf-32"), "this is encoded in UTF-32; save it as UTF-8"),
        (zipped(), "this is a zip archive, such as an Excel workbook"),
        (bz2.compress(TEXT.encode()), "this is packed with bzip2"),
        (lzma.compress(TEXT.encode()), "this is packed with xz"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "this is a pointer of Git LFS"),
        (gzip.compress(zipped()), "this is a zip archive"),
    ],
)
@pytest.mark.parametrize("name", ["p.jsonl", "p.csv"])
def test_what_is_no_text_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path / name, data)
    assert str(error.value).startswith(f"{tmp_path}/{name}")


def test_a_parquet_file_by_another_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"this is a Parquet file; call it \.parquet"):
        read(tmp_path / "p.json", (tmp_path / "p.parquet").read_bytes())
    assert read(tmp_path / "P.PARQUET", (tmp_path / "p.parquet").read_bytes()) == [{"id": "1"}]


def test_half_a_character_of_utf16(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.tsv:2: not UTF-16, as its first bytes say"):
        read(tmp_path / "p.tsv", ("id\ttext\n1\t" + "x" * 100_000).encode("utf-16")[:-1])


def test_a_list_over_many_lines_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.json:1: not JSON: .*; this begins a list, where one record a line is expected"):
        read(tmp_path / "p.json", b'[\n{"id": "1"}\n]')


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        list(read_records(Path("a\0b.jsonl"), ReadingReport()))


def test_a_column_of_parquet_whose_name_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"column": ["1"]}), tmp_path / "p.parquet", store_schema=False)
    with pytest.raises(DataError, match=r"p\.parquet:1: not a whole Parquet file"):
        read(tmp_path / "p.parquet", (tmp_path / "p.parquet").read_bytes().replace(b"column", b"\x80olumn"))

import gzip
from pathlib import Path

import numpy as np
import pytest

from xlret.errors import DataError, UserError
from xlret.lexicon.word_vectors import read_vectors


def test_vectors_are_read_scaled_and_folded(tmp_path: Path) -> None:
    path = tmp_path / "wiki.en.vec"
    path.write_text("4 2\nThe 3 4\nnull 0 0\nthe 1 0\ndog 0 -2 \n", encoding="utf-8")
    found = read_vectors(path, "en")
    assert found.words == ["the", "dog"]
    np.testing.assert_allclose(found.vectors_WD, [[0.6, 0.8], [0, -1]], atol=1e-7)
    assert found.vectors_WD.dtype == np.float32


def test_header_is_optional_and_gzip_too(tmp_path: Path) -> None:
    lines = "\n".join(f"word{n} {n} 1 2" for n in range(20_000)) + "\n"
    (tmp_path / "plain.vec").write_text(lines, encoding="utf-8")
    with gzip.open(tmp_path / "packed.vec.gz", "wt", encoding="utf-8") as file:
        file.write(f"20000 3\n{lines}")
    plain, packed = read_vectors(tmp_path / "plain.vec", "en"), read_vectors(tmp_path / "packed.vec.gz", "en")
    assert plain.words == packed.words
    assert plain.vectors_WD.shape == (20_000, 3)
    np.testing.assert_array_equal(plain.vectors_WD, packed.vectors_WD)


def test_limit_and_only(tmp_path: Path) -> None:
    path = tmp_path / "x.vec"
    path.write_text("a 1 2\nb 1 2\nc 1 2\nd broken\n", encoding="utf-8")
    assert read_vectors(path, "en", limit=3).words == ["a", "b", "c"]
    path.write_text("a 1 2\nb 1 2\nc 1 2\n", encoding="utf-8")
    assert read_vectors(path, "en", only={"c", "a", "z"}).words == ["a", "c"]
    with pytest.raises(UserError, match="no word vector of the words wanted"):
        read_vectors(path, "en", only={"z"})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("b 1 2 3", r"x\.vec:2: 3 numbers; the rows have 2"),
        ("b 1", r"x\.vec:2: "),
        ("b nan 1", r"x\.vec:2: the vector of 'b' holds NaN"),
        ("b 1 inf", r"x\.vec:2: the vector of 'b' holds NaN or infinity"),
        ("b 1 x", r"x\.vec:2: the vector of 'b' holds what is no number"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "x.vec"
    path.write_text(f"a 1 2\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_vectors(path, "en")


def test_a_damaged_gzip_file_and_a_limit_below_one_are_user_errors(tmp_path: Path) -> None:
    flipped = bytearray(gzip.compress(b"a 1 2\n" * 500))
    flipped[10] ^= 0xFF  # the first byte of the packed text
    (tmp_path / "x.vec.gz").write_bytes(flipped)
    with pytest.raises(DataError, match=r"x\.vec\.gz:1: .*is damaged"):
        read_vectors(tmp_path / "x.vec.gz", "en")
    with pytest.raises(UserError, match="limit is 0"):
        read_vectors(tmp_path / "x.vec.gz", "en", limit=0)


def test_empty_absent_and_binary_files_are_user_errors(tmp_path: Path) -> None:
    (tmp_path / "x.vec").write_text("3 300\n")
    with pytest.raises(UserError, match="holds no word vector"):
        read_vectors(tmp_path / "x.vec", "en")
    with pytest.raises(UserError, match="cannot read vectors"):
        read_vectors(tmp_path / "absent.vec", "en")
    (tmp_path / "x.bin").write_bytes(b"\xba\x16\x4f\xff\x00")
    with pytest.raises(UserError, match="holds no word vector; 1 lines are not UTF-8"):
        read_vectors(tmp_path / "x.bin", "en")


@pytest.mark.parametrize("header", [True, False])
def test_words_may_hold_spaces(tmp_path: Path, header: bool) -> None:
    rows = ["der 0.1 0.2 0.3", ". . 0.3 0.1 0.2", "new york 0.5 0.5 0.1", "mail at x@y.z 1 0 0", "7 0 1 0"]
    path = tmp_path / "x.vec"
    path.write_text("\n".join(["5 3"] * header + rows) + "\n", encoding="utf-8")
    vectors = read_vectors(path, "en")
    assert vectors.words == ["der", ". .", "new york", "mail at x@y.z", "7"]
    assert vectors.vectors_WD.shape == (5, 3)
    assert np.allclose(vectors.vectors_WD[3], [1, 0, 0])


def test_a_word_cut_within_a_character_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.vec"
    path.write_bytes(b"3 2\nthe 1 0\nna\xc3 0 1\nsun 1 1\n")
    vectors = read_vectors(path, "en")
    assert (vectors.words, vectors.skipped) == (["the", "sun"], 1)


@pytest.mark.parametrize("header", [b"", b"600 3\n"])
def test_a_short_row_is_named_by_its_own_line(tmp_path: Path, header: bytes) -> None:
    rows = [b"w%d 0.1 0.2 0.%d" % (number, number) for number in range(1, 601)]
    rows[299] = b"short 0.1"
    path = tmp_path / "x.vec"
    path.write_bytes(header + b"\n".join(rows))
    with pytest.raises(DataError, match=rf"x.vec:{301 if header else 300}: 'short 0.1' must be a word and the 3 numbers"):
        read_vectors(path, "en")

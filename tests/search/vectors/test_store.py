"""A store gives back what was written, and notices what was not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from xlret.errors import CorruptError, DataError, UserError
from xlret.keys import generator
from xlret.search.passages import Passage
from xlret.search.vectors.store import STORE, DType, VectorStore, open_part, passages_of, stored, vectors_of, write_store


def unit(count: int, dimension: int = 8) -> NDArray[np.float32]:
    vectors = generator(0, "vectors").standard_normal((count, dimension)).astype(np.float32)
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def some(count: int) -> list[Passage]:
    return [
        Passage(
            f"p{number}",
            "de" if number % 3 else "fr",
            f"Title {number}" if number % 2 else None,
            f"Text {number} ü",
            {
                "n": number if number % 4 else number + 0.5,
                "flag": number % 5 == 0 or None,
                "word": "a",
                "count": number,
                "no": None,
            },
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_comes_back(tmp_path: Path, dtype: DType) -> None:
    passages, vectors = some(20), unit(20)
    written = write_store(tmp_path / "s", iter(passages), vectors, dtype=dtype, passages_per_part=8, encoder={"dimension": 8})
    store = VectorStore.open(tmp_path / "s")
    assert (store.count, store.dimension, store.dtype, store.encoder) == (20, 8, dtype, {"dimension": 8})
    assert store.languages == {"de": 13, "fr": 7}
    assert store.fields == {"n": "float", "flag": "bool", "word": "string", "count": "int"}
    assert written.manifest == store.manifest
    parts = list(store.parts())
    assert [part.num_rows for part in parts] == [8, 8, 4]
    names = ["id", "lang", "title", "text", "meta.count", "meta.flag", "meta.n", "meta.word", "vector"]
    assert all(part.column_names == names for part in parts)
    found = np.concatenate([vectors_of(part) for part in parts])
    assert found.dtype == dtype
    assert np.array_equal(found, vectors.astype(dtype))
    back = [passage for part in parts for passage in passages_of(part)]
    assert [passage[:4] for passage in back] == [passage[:4] for passage in passages]
    for passage, given in zip(back, passages, strict=True):
        assert passage.metadata == {name: given.metadata[name] for name in store.fields}
    assert passages_of(parts[1].take(pa.array([2]))) == [back[10]]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_store(tmp_path / name, some(20), unit(20), passages_per_part=7)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["part-00000.arrow", "part-00001.arrow", "part-00002.arrow", STORE]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "length 0, not 1"), (1e-30, "not 1"), (3.0, "not 1")],
)
def test_a_vector_that_cannot_be_searched_is_refused_by_name(tmp_path: Path, value: float, reason: str) -> None:
    vectors = unit(20)
    vectors[13] = value
    with pytest.raises(DataError, match=f"the vector of passage 'p13' .*{reason}"):
        write_store(tmp_path / "s", some(20), vectors)
    assert list(tmp_path.iterdir()) == []
    vectors[15] = value
    with pytest.raises(DataError, match="and 1 more of these 20"):
        stored([passage.id for passage in some(20)], vectors, "float16")


def test_vectors_must_fit_the_passages(tmp_path: Path) -> None:
    for passages, vectors in ((some(3), unit(4)), ([], unit(0)), (some(3), np.ones(3, np.float32))):
        with pytest.raises(UserError, match="needed is a vector for each"):
            write_store(tmp_path / "s", passages, vectors)
    write_store(tmp_path / "s", some(3), unit(3))
    with pytest.raises(UserError, match="exists already"):
        write_store(tmp_path / "s", some(3), unit(3))
    assert write_store(tmp_path / "s", some(4), unit(4), replace=True).count == 4


def damage_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [damage_bit, damage_end, Path.unlink])
def test_a_damaged_part_is_named(tmp_path: Path, damage: Any) -> None:
    write_store(tmp_path / "s", some(20), unit(20), passages_per_part=8)
    damage(tmp_path / "s" / "part-00001.arrow")
    with pytest.raises(CorruptError, match=r"part-00001\.arrow is (damaged|missing)"):
        VectorStore.open(tmp_path / "s")


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s", some(20), unit(20), passages_per_part=8)
    path = tmp_path / "s" / STORE
    whole = json.loads(path.read_text())
    for change in ({"format": 2}, {"count": 21}, {"languages": {"de": 19}}, {"dimension": 0}, {"dtype": "int8"}, {"more": 1}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(CorruptError, match=r"store\.json is damaged"):
            VectorStore.open(tmp_path / "s")
    for name in ("../part-00000.arrow", "/etc/passwd", "part-x.arrow"):
        path.write_text(json.dumps(whole | {"parts": [whole["parts"][0] | {"file": name}]}))
        with pytest.raises(CorruptError, match=r"store\.json is damaged"):
            VectorStore.open(tmp_path / "s")
    path.write_text("{")
    with pytest.raises(CorruptError, match=r"store\.json is damaged"):
        VectorStore.open(tmp_path / "s")
    with pytest.raises(UserError, match="no encoded passages at"):
        VectorStore.open(tmp_path / "none")


def test_a_file_that_is_no_arrow_file(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"ARROW1\0\0" * 100):
        (tmp_path / "a.arrow").write_bytes(content)
        with pytest.raises(CorruptError, match=r"a\.arrow is damaged"):
            open_part(tmp_path / "a.arrow")

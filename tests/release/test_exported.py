"""Exported encoders: the vectors of torch, and with which indexes and releases they may be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from xlret.errors import CorruptError, UserError
from xlret.evaluation.export import export
from xlret.evaluation.export_settings import ExportSettings
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings
from xlret.release import make_release, verify_release
from xlret.search.from_files import check_appendable
from xlret.search.text_index import TextIndex
from xlret.search.vectors.parts import loaded_here

pytest.importorskip("onnxruntime")
TEXTS = ["ba be bi", "ko ku", "", "ba " * 90, "ko"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, encoder: Path, corpora: Path) -> dict[str, Path]:
    """The encoder by ONNX Runtime in float32, measured on a corpus, and in int8."""
    root = tmp_path_factory.mktemp("exports")
    with open(root / "log", "w") as log:
        console = Console(file=log, width=100)
        export(encoder, root / "onnx", ExportSettings(backend="onnx", corpus=corpora / "dev"), console=console)
        export(encoder, root / "onnx-int8", ExportSettings(), console=console)
    return {name: root / name for name in ("onnx", "onnx-int8", "log")}


def change(exported: Path, target: Path, file: str, **values: object) -> Path:
    """A copy of an exported encoder with other values in one of its JSON files."""
    shutil.copytree(exported, target)
    path = target / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return target


def test_vectors_are_those_of_torch(exports: dict[str, Path], encoder: Path) -> None:
    torch_encoder = Encoder.load(encoder)
    for side in ("query", "passage"):
        expected = torch_encoder.encode(TEXTS, side)
        for name, within in (("onnx", 1e-6), ("onnx-int8", 0.05)):
            exported = Encoder.load(exports[name], device="cuda")  # stays on the CPU
            vectors = exported.encode(TEXTS, side)
            np.testing.assert_allclose(vectors, expected, atol=within, err_msg=f"{name} {side}")
            apart = np.concatenate([exported.encode([text], side) for text in TEXTS])
            np.testing.assert_allclose(apart, expected, atol=within, err_msg=f"{name} {side}, one by one")
            assert not np.array_equal(vectors, expected) or name == "onnx"
    log = exports["log"].read_text()
    assert "cosine with the vectors before" in log
    assert "Mul" in log


def test_an_export_shares_the_index_of_what_it_was_made_from(
    exports: dict[str, Path], encoder: Path, index: Path, tmp_path: Path
) -> None:
    hits = TextIndex.open(index, encoder).search("ba be bi", 3)
    shared = TextIndex.open(index, exports["onnx"]).search("ba be bi", 3)
    assert [hit.id for hit in shared] == [hit.id for hit in hits]
    assert TextIndex.open(index, exports["onnx-int8"]).search("ba be bi", 1)
    with pytest.raises(UserError, match="encoded otherwise"):
        check_appendable(index, exports["onnx"], "float16")
    prompted = change(exports["onnx"], tmp_path / "prompted", "xlret.json", max_query_tokens=7)
    with pytest.raises(UserError, match="is not the encoder of this index"):
        TextIndex.open(index, prompted)
    far = {"texts": 9, "mean": 0.97, "least": 0.5}
    with pytest.raises(UserError, match=r"mean cosine of 0\.9700.*0\.98 is needed"):
        TextIndex.open(index, change(exports["onnx"], tmp_path / "far", "export.json", agreement=far))


def test_a_release_may_hold_an_export(exports: dict[str, Path], index: Path, tmp_path: Path) -> None:
    release = verify_release(make_release(tmp_path, "int8", exports["onnx-int8"], index))
    np.testing.assert_array_equal(
        Encoder.load(release.encoder).encode(TEXTS, "query"), Encoder.load(exports["onnx-int8"]).encode(TEXTS, "query")
    )
    stray = shutil.copytree(exports["onnx"], tmp_path / "stray")
    (stray / "more.onnx").write_bytes(b"")
    with pytest.raises(CorruptError, match=r"more\.onnx may not be in a release"):
        make_release(tmp_path, "stray-release", stray, index)


def test_what_an_export_cannot_do_is_said(exports: dict[str, Path], tmp_path: Path, corpora: Path) -> None:
    exported = Encoder.load(exports["onnx"])
    exported.save(tmp_path / "again")
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in exports["onnx"].iterdir() if path.is_file()
    }
    with pytest.raises(UserError, match="precision"):
        exported.encode(TEXTS, "query", precision="bfloat16")
    with pytest.raises(UserError, match="cannot be trained"):
        start_encoder(EncoderSettings(start=str(exports["onnx"])), None, 0)
    with pytest.raises(UserError, match="exported already"):
        export(exports["onnx"], tmp_path / "twice", ExportSettings(corpus=corpora / "dev"), console=Console(quiet=True))
    kept = shutil.copytree(exports["onnx"], tmp_path / "kept")
    for out in (kept, kept / "int8"):
        with pytest.raises(UserError, match="choose another place"):
            export(kept, out, ExportSettings(), replace=True)
    damaged = shutil.copytree(exports["onnx"], tmp_path / "damaged")
    (damaged / "onnx/model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"cannot load .*model\.onnx"):
        Encoder.load(damaged)
    (damaged / "export.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"export\.json is damaged"):
        Encoder.load(damaged)


def test_gpus_are_refused_for_exports(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(UserError, match="runs on CPUs"):
        loaded_here(exports["onnx"], gpu=True)

"""Encoder and index become one directory, or nothing."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import transformers
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

from xlret.errors import CorruptError, UserError
from xlret.model.encoder import Encoder
from xlret.release import make_release, resolve, verify_release
from xlret.release.record import RECORD


def nothing_but(root: Path, *names: str) -> bool:
    return sorted(one.name for one in root.iterdir()) == sorted(names)


def test_a_release_holds_encoder_and_index(whole: Path, encoder: Path, index: Path) -> None:
    release = verify_release(whole)
    assert (release.name, release.path, release.dimension) == ("whole", whole, 32)
    assert release.reranker is None
    assert sum(release.languages.values()) == release.passages > 0
    texts = ["ba be bi", "ko ku"]
    vectors = Encoder.load(encoder).encode(texts, "query")
    np.testing.assert_array_equal(Encoder.load(release.encoder).encode(texts, "query"), vectors)
    theirs = SentenceTransformer(str(release.encoder), device="cpu").encode(texts, prompt_name="query")
    np.testing.assert_allclose(theirs, vectors, atol=1e-5)
    version = index / "versions" / (index / "CURRENT").read_text().strip()
    assert {one.name: one.read_bytes() for one in release.index.iterdir()} == {
        one.name: one.read_bytes() for one in version.iterdir()
    }
    assert release.quality["index"]["recall@10"] > 0
    assert release.record.made_with["xlret"]


def test_sha256sum_agrees(whole: Path) -> None:
    assert subprocess.run(["sha256sum", "-c", "--strict", f"{RECORD}.sha256"], cwd=whole, capture_output=True).returncode == 0
    files = json.loads((whole / RECORD).read_text())["files"]
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in files.items())
    assert subprocess.run(["sha256sum", "-c", "--strict"], input=lines.encode(), cwd=whole, capture_output=True).returncode == 0


def test_the_index_is_linked_and_the_encoder_is_not(tmp_path: Path, encoder: Path, index: Path) -> None:
    linked = verify_release(make_release(tmp_path, "linked", encoder, index))
    copied = verify_release(make_release(tmp_path, "copied", encoder, index, link=False))
    manifest = index / "versions" / (index / "CURRENT").read_text().strip() / "manifest.json"
    assert os.path.samefile(linked.index / "manifest.json", manifest)
    assert not os.path.samefile(copied.index / "manifest.json", manifest)
    assert not os.path.samefile(linked.encoder / "config.json", encoder / "config.json")


def test_where_the_disk_has_no_links_files_are_copied(
    tmp_path: Path, encoder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    release = verify_release(make_release(tmp_path, "copied", encoder, index))
    assert release.index.joinpath("manifest.json").stat().st_nlink == 1


def test_a_version_of_an_index_can_be_named(tmp_path: Path, encoder: Path, index: Path) -> None:
    version = next((index / "versions").iterdir())
    assert verify_release(make_release(tmp_path, "one", encoder, version)).record.index.version == version.name


def test_names_are_taken_once_and_bad_ones_refused(tmp_path: Path, encoder: Path, index: Path) -> None:
    make_release(tmp_path, "a", encoder, index)
    with pytest.raises(UserError, match="exists already"):
        make_release(tmp_path, "a", encoder, index)
    for name in ("../a", "/tmp/a", "A", "", ".hidden", "a/b", "a\n", "a" * 65, "ä"):
        with pytest.raises(UserError, match="is no name of a release"):
            make_release(tmp_path, name, encoder, index)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="exists already"):
        make_release(tmp_path, "mine", encoder, index)
    assert nothing_but(tmp_path, "a", "mine")


def test_an_index_of_another_encoder_is_refused(tmp_path: Path, encoder: Path, index: Path) -> None:
    other = shutil.copytree(encoder, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    name = next(one for one in weights if one.endswith("weight"))
    weights[name] = weights[name] + np.float32(1e-3)
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"was made with the encoder .* model\.safetensors is another"):
        make_release(tmp_path / "root", "a", other, index)
    other = shutil.copytree(encoder, tmp_path / "prompted")
    card = json.loads((other / "xlret.json").read_text())
    (other / "xlret.json").write_text(json.dumps(card | {"passage_prompt": "passage: "}))
    with pytest.raises(UserError, match="was made with the encoder"):
        make_release(tmp_path / "root", "a", other, index)
    other = shutil.copytree(encoder, tmp_path / "layered")
    (other / "2_Dense").mkdir()
    shutil.copyfile(other / "model.safetensors", other / "2_Dense" / "model.safetensors")
    with pytest.raises(UserError, match=r"was made with the encoder .*, which had no 2_Dense/model\.safetensors"):
        make_release(tmp_path / "root", "a", other, index)
    assert not (tmp_path / "root").exists()


def _write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def do(directory: Path) -> None:
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return do


def _set(name: str, **values: object) -> Callable[[Path], None]:
    def do(directory: Path) -> None:
        found = json.loads((directory / name).read_text())
        (directory / name).write_text(json.dumps(found | values))

    return do


FOREIGN: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickled weights": (_write("pytorch_model.bin", b"\x80\x02}q\x00."), r"pytorch_model\.bin may not be in a release"),
    "a checkpoint": (_write("optimizer.pt", b"\x80\x02}q\x00."), r"optimizer\.pt may not be"),
    "a pickle": (_write("tokenizer.pkl", b"\x80\x02}q\x00."), r"tokenizer\.pkl may not be"),
    "code": (_write("modeling_mine.py", "import os"), r"modeling_mine\.py may not be"),
    "code below": (_write("1_Pooling/custom.py", "import os"), r"1_Pooling/custom\.py may not be"),
    "a hidden file": (_write(".env", "KEY=1"), r"\.env may not be"),
    "pickle in disguise": (_write("model.safetensors", b"\x80\x02}q\x00." * 9), r"model\.safetensors is not safetensors"),
    "cut weights": (lambda path: os.truncate(path / "model.safetensors", 5000), r"model\.safetensors is not safetensors"),
    "remote code": (_set("config.json", auto_map={"AutoModel": "modeling_mine.Mine"}), r"config\.json has auto_map"),
    "trust": (_set("tokenizer_config.json", trust_remote_code=True), r"tokenizer_config\.json has trust_remote_code"),
    "remote code deep": (_set("config.json", text_config={"auto_map": {"a": "b"}}), r"config\.json has auto_map"),
    "a module of others": (
        _write("modules.json", json.dumps([{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}])),
        r"modules\.json has the module type 'custom_st",
    ),
    "broken settings": (_write("config.json", '{"a": '), r"config\.json is not JSON"),
    "a link": (lambda path: (path / "vocab.txt").symlink_to("/etc/passwd"), r"vocab\.txt is a link"),
    "a linked directory": (lambda path: (path / "3_Dense").symlink_to("/etc"), r"3_Dense is a link"),
    "a pipe": (lambda path: os.mkfifo(path / "vocab.txt"), r"vocab\.txt is no plain file"),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), r"holds no model\.safetensors"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_could_run_as_code_is_refused_by_name(tmp_path: Path, encoder: Path, index: Path, what: str) -> None:
    change, message = FOREIGN[what]
    other = shutil.copytree(encoder, tmp_path / "other")
    change(other)
    with pytest.raises(CorruptError, match=message):
        make_release(tmp_path / "root", "a", other, index)
    with pytest.raises(CorruptError, match=message):
        make_release(tmp_path / "root", "a", encoder, index, reranker=other)
    assert not (tmp_path / "root").exists()


def test_a_reranker_comes_along(tmp_path: Path, encoder: Path, index: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(encoder, num_labels=1)
    reranker = tmp_path / "reranker"
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(reranker)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(encoder / name, reranker / name)
    release = verify_release(make_release(tmp_path / "root", "a", encoder, index, reranker))
    assert release.reranker == tmp_path / "root" / "a" / "reranker"
    assert load_file(release.reranker / "model.safetensors").keys() == load_file(reranker / "model.safetensors").keys()
    config = json.loads((reranker / "config.json").read_text())
    (reranker / "config.json").write_text(json.dumps(config | {"id2label": {"0": "no", "1": "yes"}}))
    with pytest.raises(CorruptError, match=r"ForSequenceClassification.* with the labels .*yes.*; a reranker is"):
        make_release(tmp_path / "root", "b", encoder, index, reranker)
    with pytest.raises(CorruptError, match="a reranker is a sequence classifier with one"):
        make_release(tmp_path / "root", "b", encoder, index, encoder)


def test_words_of_a_vocabulary_are_not_settings(tmp_path: Path, encoder: Path, index: Path) -> None:
    other = shutil.copytree(encoder, tmp_path / "other")
    (other / "vocab.json").write_text(json.dumps({"auto_map": 7, "trust_remote_code": 8}))
    assert verify_release(make_release(tmp_path, "a", other, index)).name == "a"


def test_a_damaged_index_is_refused(tmp_path: Path, encoder: Path, index: Path) -> None:
    other = shutil.copytree(index, tmp_path / "index")
    shard = next(other.rglob("shard-0000.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptError, match=r"shard-0000\.arrow"):
        make_release(tmp_path / "root", "a", encoder, other)
    with pytest.raises(UserError, match="nowhere"):
        make_release(tmp_path / "root", "a", encoder, tmp_path / "nowhere")
    with pytest.raises(UserError, match="there is no encoder"):
        make_release(tmp_path / "root", "a", tmp_path / "nowhere", index)
    with pytest.raises(UserError, match="there is no reranker"):
        make_release(tmp_path / "root", "a", encoder, index, tmp_path / "nowhere")
    assert not (tmp_path / "root").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path, encoder: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "root").mkdir()
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        make_release(tmp_path / "root", "a", encoder, index)
    assert nothing_but(tmp_path / "root")


def test_numbers_come_from_evaluations_of_this_encoder(
    tmp_path: Path, encoder: Path, index: Path, evaluation: Callable[..., Path]
) -> None:
    fine = evaluation()
    plain = json.loads(fine.read_text())["settings"]
    for name, given in (("file", fine), ("directory", fine.parent)):
        release = verify_release(make_release(tmp_path, name, encoder, index, evaluations=[given]))
        expected = {"mo": 0.9, "mul": 0.5, "rank_distance": 40.0, "queries": 160.0, "passages": 160.0}
        assert release.quality["made/dev"] == expected
    for name, changes, message in (
        ("other", {"encoder_files": {"model.safetensors": "0" * 64}}, "whose files are not those of"),
        ("hub", {"encoder_files": None}, "whose files are not those of"),
        ("reranked", {"settings": {**plain, "balance": "none", "reranker": "runs/r"}}, "made with --reranker runs/r, so"),
        ("balanced", {"settings": {**plain, "balance": "quota"}}, "evaluate without --balance"),
        ("translated", {"settings": {**plain, "translate_test": "muse"}}, "evaluate without --translate-test"),
        ("switched", {"settings": {**plain, "switch_queries": "muse"}}, "evaluate without --switch-queries"),
        ("fused", {"settings": {**plain, "baseline": "bm25"}}, "evaluate without --baseline"),
        ("set", {"settings": {**plain, "max_query_tokens": 9}}, "another max_query_tokens"),
        ("bare", {"sets": None}, r"is no evaluation\.json"),
    ):
        with pytest.raises(UserError, match=message):
            make_release(tmp_path, "b", encoder, index, evaluations=[evaluation(name, **changes)])
    with pytest.raises(UserError, match="cannot read"):
        make_release(tmp_path, "b", encoder, index, evaluations=[tmp_path / "nowhere"])


def test_resolve_takes_a_release_or_the_directory_of_releases(tmp_path: Path, whole: Path) -> None:
    assert resolve(whole) == whole
    (tmp_path / "current").write_text("whole\n")
    with pytest.raises(UserError, match="which is not there"):
        resolve(tmp_path)
    shutil.copytree(whole, tmp_path / "whole")
    assert resolve(tmp_path) == tmp_path / "whole"
    for wrong in ("../whole\n", "", "whole\nmore\n", "\x00", "x" * 5000):
        (tmp_path / "current").write_text(wrong)
        with pytest.raises(CorruptError, match="does not hold the name of a release"):
            resolve(tmp_path)
    with pytest.raises(UserError, match="has no alias"):
        resolve(tmp_path / "nowhere")

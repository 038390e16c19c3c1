"""Bulk encoding on Ray: the encoder's own vectors, in the input's order, and the same bytes whatever happens on the way."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import encode_input
import numpy as np
import pytest
import torch
from encode_input import SETTINGS, WORDS, some

from xlret.calls import calls_for
from xlret.config import settings_from
from xlret.data import read
from xlret.data.prepare import PrepareSettings, prepare
from xlret.errors import CorruptError, DataError, UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.search.build import build_index
from xlret.search.edit import compact
from xlret.search.manifest import read_manifest
from xlret.search.passages import Passage
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.parts import EncoderWorkers, Part
from xlret.search.vectors.spool import input_file, lay_aside
from xlret.search.vectors.store import VectorStore, part_file, passages_of, vectors_of, write_store
from xlret.search.vectors.workers import encoded_parts
from xlret.session import ray_session

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # Ray on a very busy machine
ONE = SETTINGS.model_copy(update={"encoders": 1})
HERE = SETTINGS.model_copy(update={"encoders": 0})
"""Without Ray."""
KINDS = {"tasks": 2, "alone": 0}
"""Workers by the directory of the index that they make."""


def make_encoder(directory: Path, seed: int = 0, **changes: str) -> Path:
    fresh = FreshEncoder(vocabulary=200, layers=2, hidden=32, heads=2, feed_forward=64, max_positions=48)
    settings = EncoderSettings(fresh=fresh, max_query_tokens=16, max_passage_tokens=32).model_copy(update=changes)
    start_encoder(settings, lambda: [" ".join(WORDS)], seed).save(directory)
    return directory


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder") / "one", passage_prompt="passage: ")


@pytest.fixture(scope="module")
def on_ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else the workers starve on a busy machine
        with ray_session(cpus=2, object_store_gb=0.3):
            yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, encoder: Path, on_ray: None) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "store"
    lines: list[str] = []
    encode_passages(iter(some(300)), encoder, out, SETTINGS, show=lines.append, progress=False)
    assert lines == ["300 passages in 2 languages, 42 of them with a text that came before"]
    return out


def bytes_of(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_the_store_holds_the_encoders_vectors_in_the_order_of_the_input(encoder: Path, undisturbed: Path) -> None:
    store, given = VectorStore.open(undisturbed), some(300)
    found = [one for part in store.parts() for one in passages_of(part)]
    vectors = np.concatenate([vectors_of(part) for part in store.parts()])
    assert found == given
    assert [part.num_rows for part in store.parts()] == [32] * 9 + [12]
    own = Encoder.load(encoder).encode([one.full_text for one in given], "passage")
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors.astype(np.float32), own, atol=1e-3)
    assert (store.languages, store.fields) == ({"de": 150, "en": 150}, {"number": "int"})
    about = store.encoder
    assert about["path"] == str(encoder)
    assert (about["dimension"], about["passage_prompt"], about["max_passage_tokens"]) == (32, "passage: ", 32)
    assert {"model.safetensors", "tokenizer.json", "xlret.json", "config.json"} <= about["sha256"].keys()
    assert [path.name for path in undisturbed.parent.iterdir()] == ["store"]


def test_a_damaged_store_is_not_taken(tmp_path: Path, encoder: Path) -> None:
    passages = some(9)
    store = write_store(tmp_path / "store", passages, np.eye(9, 32, dtype=np.float32))
    path = store.path / part_file(0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=r"part-00000\.arrow is damaged: its checksum"):
        encode_passages(passages, encoder, store.path, SETTINGS, progress=False)


def test_equal_texts_have_equal_vectors(undisturbed: Path) -> None:
    first: dict[str, bytes] = {}
    twice = 0
    for part in VectorStore.open(undisturbed).parts():
        for one, vector in zip(passages_of(part), vectors_of(part), strict=True):
            twice += one.full_text in first
            assert first.setdefault(one.full_text, vector.tobytes()) == vector.tobytes()
    assert twice == 42


def test_without_ray_the_bytes_are_the_same(tmp_path: Path, encoder: Path, undisturbed: Path) -> None:
    threads = torch.get_num_threads()
    store = encode_passages(some(300), encoder, tmp_path / "store", HERE, show=lambda line: None, progress=False)
    assert bytes_of(store.path) == bytes_of(undisturbed)
    assert torch.get_num_threads() == threads
    if not torch.cuda.is_available():
        on_gpu = HERE.model_copy(update={"gpu": True})
        with pytest.raises(UserError, match="no GPU that torch can use"):
            encode_passages(some(3), encoder, tmp_path / "other", on_gpu, show=lambda line: None, progress=False)


def test_float32_and_a_pool_of_another_size(tmp_path: Path, encoder: Path, undisturbed: Path) -> None:
    settings = SETTINGS.model_copy(update={"store": "float32", "encoders": 1, "tasks": 2})
    store = encode_passages(some(300), encoder, tmp_path / "s", settings, show=print, progress=True)
    assert store.dtype == "float32"
    exact = np.concatenate([vectors_of(part) for part in store.parts()])
    rounded = np.concatenate([vectors_of(part) for part in VectorStore.open(undisturbed).parts()])
    assert np.array_equal(exact.astype(np.float16), rounded)
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), 1, atol=1e-6)


def test_a_store_that_is_there_is_taken_only_if_it_is_the_same(tmp_path: Path, encoder: Path, undisturbed: Path) -> None:
    out = tmp_path / "store"
    shutil.copytree(undisturbed, out)
    lines: list[str] = []
    silent = {"progress": False}
    assert encode_passages(some(300), encoder, out, SETTINGS, show=lines.append, **silent).count == 300
    assert lines == [f"{out} is there already"]
    encode_passages(some(300), encoder, out, EncodeSettings(passages_per_part=32), show=lines.append, **silent)
    for passages in (some(299), some(301), some(300)[::-1]):
        with pytest.raises(UserError, match="exists already and holds other passages"):
            encode_passages(passages, encoder, out, SETTINGS, **silent)
    with pytest.raises(UserError, match="begun with precision float32, not bfloat16"):
        encode_passages(some(300), encoder, out, SETTINGS.model_copy(update={"precision": "bfloat16"}), **silent)
    with pytest.raises(UserError, match=r"another encoder \(model.safetensors, xlret.json differ\)"):
        encode_passages(some(300), make_encoder(tmp_path / "other", seed=1), out, SETTINGS, **silent)
    (tmp_path / "else").mkdir()
    with pytest.raises(UserError, match="no encoded passages at"):
        encode_passages(some(300), encoder, tmp_path / "else", SETTINGS, **silent)
    assert bytes_of(out) == bytes_of(undisturbed)


CHILD = """
import os, signal, sys
from pathlib import Path
import xlret.search.vectors.encode as encode
from encode_input import SETTINGS, some

point, encoder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
replace, rename = os.replace, os.rename
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
def dying_replace(one, other):
    name = Path(other).name
    if (point, name) in (("reading", "input-00004.arrow"), ("writing", "part-00005.arrow"), ("manifest", "store.json")):
        die()
    replace(one, other)
    if (point, name) == ("between", "part-00003.arrow"):
        die()
os.replace = dying_replace
if point == "moving":
    os.rename = die
if point == "moved":
    encode.shutil.rmtree = die
encode.encode_passages(iter(some(300)), encoder, out, SETTINGS.model_copy(update={"encoders": int(sys.argv[4])}))
"""


def run_killed_at(point: str, encoder: Path, out: Path, encoders: int = 2) -> str:
    """A process of its own that encodes `some(300)` (0 encoders: without Ray) and kills itself at a point; what it said."""
    said = out.with_name(f"{point}.txt")
    with open(said, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, point, str(encoder), str(out), str(encoders)],
            cwd=Path(encode_input.__file__).parent,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"RAY_worker_niceness": "0"},
            start_new_session=True,
        )
    try:
        process.wait(timeout=400)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what is left of its Ray
    output = said.read_text(encoding="utf-8")
    assert process.returncode == -signal.SIGKILL, output
    return output


def done(out: Path) -> list[str]:
    return sorted(path.name for path in (out.with_name("store.partial") / "store").glob("part-*.arrow"))


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, encoder: Path, undisturbed: Path, on_ray: None
) -> None:
    out, silent, lines = tmp_path / "store", {"progress": False}, list[str]()
    run_killed_at("writing", encoder, out, encoders=0)
    assert done(out) == [part_file(number) for number in range(5)]
    assert not out.exists()
    parts = out.with_name("store.partial") / "store"
    before = {name: (parts / name).stat().st_mtime_ns for name in done(out)}
    with pytest.raises(UserError, match=r"begun with other passages \(they differ after passage 64\)"):
        encode_passages(some(70) + some(300)[71:], encoder, out, SETTINGS, **silent)
    for other in (some(301), some(299)):
        with pytest.raises(UserError, match="begun with other passages"):
            encode_passages(other, encoder, out, SETTINGS, **silent)
    with pytest.raises(UserError, match="begun with tokens_per_batch 256, not 512"):
        encode_passages(some(300), encoder, out, SETTINGS.model_copy(update={"tokens_per_batch": 512}), **silent)
    with pytest.raises(UserError, match="begun with another encoder"):
        encode_passages(some(300), make_encoder(tmp_path / "other", seed=1), out, SETTINGS, **silent)
    (parts / part_file(2)).write_bytes(b"")  # as after a failure of the disk
    encode_passages(some(300), encoder, out, EncodeSettings(passages_per_part=32, encoders=1), show=lines.append, **silent)
    assert lines[1] == "4 of 10 parts are there already"
    assert bytes_of(out) == bytes_of(undisturbed)
    after = {name: (out / name).stat().st_mtime_ns for name in before}
    assert [name for name in before if after[name] != before[name]] == [part_file(2)], "a part was encoded again"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("store")] == ["store"]


@pytest.mark.slow
def test_a_run_that_is_killed_everywhere_ends_in_the_same_bytes(tmp_path: Path, encoder: Path, undisturbed: Path) -> None:
    out, work = tmp_path / "store", tmp_path / "store.partial"
    run_killed_at("reading", encoder, out)
    assert not (work / "input.json").exists()
    run_killed_at("between", encoder, out)
    assert len(done(out)) == 4
    assert "4 of 10 parts are there already" in run_killed_at("writing", encoder, out)
    assert len(done(out)) == 5
    assert "5 of 10 parts are there already" in run_killed_at("manifest", encoder, out)
    assert "10 of 10 parts are there already" in run_killed_at("moving", encoder, out)
    assert not out.exists()
    run_killed_at("moved", encoder, out)
    assert bytes_of(out) == bytes_of(undisturbed)
    assert work.exists()
    encode_passages(some(300), encoder, out, SETTINGS, progress=False)
    assert not work.exists()
    assert bytes_of(out) == bytes_of(undisturbed)


def test_two_processes_do_not_encode_into_the_same_place(tmp_path: Path, encoder: Path) -> None:
    work = tmp_path / "s.partial"
    work.mkdir()
    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is encoding into"):
            encode_passages(some(3), encoder, tmp_path / "s", SETTINGS, progress=False)


def test_bad_input_ends_before_anything_is_encoded(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(UserError, match="there is no passage to encode"):
        encode_passages([], encoder, tmp_path / "s", SETTINGS, progress=False)
    with pytest.raises(DataError, match="passage 101: id 'p5' came before, at passage 6"):
        encode_passages([*some(100), some(6)[5]], encoder, tmp_path / "s", SETTINGS, progress=False)
    with pytest.raises(UserError, match="there is no encoder at"):
        encode_passages(some(3), tmp_path / "none", tmp_path / "s", SETTINGS, progress=False)
    assert not (tmp_path / "s").exists()


def broken(directory: Path, change: Callable[[Encoder], None]) -> Path:
    model = Encoder.load(make_encoder(directory / "whole"))
    change(model)
    model.save(directory / "broken")
    return directory / "broken"


def test_a_vector_that_is_not_finite_is_refused_by_name(tmp_path: Path) -> None:
    def poison(model: Encoder) -> None:
        others = [one.full_text for one in some(40)]
        token = (set(model.tokeniser.ragged(["z"], "passage")[0]) - set(model.tokeniser.ragged(others, "passage")[0])).pop()
        with torch.no_grad():
            model.backbone.get_input_embeddings().weight[int(token)] = float("nan")  # type: ignore[operator]

    passages = [*some(40), Passage("culprit", "en", None, "z", {}), *[one._replace(id=f"x{one.id}") for one in some(40)]]
    with pytest.raises(DataError, match="the vector of passage 'culprit' is not finite"):
        encode_passages(passages, broken(tmp_path, poison), tmp_path / "s", HERE, progress=False)
    assert not (tmp_path / "s").exists()


def test_a_damaged_encoder_is_one_line(tmp_path: Path, on_ray: None) -> None:
    directory = make_encoder(tmp_path / "encoder")
    (directory / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot load the encoder in"):
        encode_passages(some(3), directory, tmp_path / "s", ONE, progress=False)


@pytest.mark.slow
def test_an_encoder_that_is_killed_is_replaced(tmp_path: Path, encoder: Path, undisturbed: Path, on_ray: None) -> None:
    found = lay_aside(some(300), tmp_path, 32, known=None, needed=lambda number: True, advance=lambda count: None)
    parts = [Part(number, tmp_path / input_file(number), part.start) for number, part in enumerate(found.parts)]
    pool = EncoderWorkers(encoders=1, threads=1, tasks=1, gpu=False, tokens_per_batch=256, precision="float32")
    vectors, killed = [], False
    for _, some_vectors in encoded_parts(parts, encoder, pool):
        vectors.append(some_vectors)
        if not killed:
            (worker,) = _encoders()
            os.kill(worker, signal.SIGKILL)
            killed = True
    expected = np.concatenate([vectors_of(part) for part in VectorStore.open(undisturbed).parts()])
    texts = [one.full_text for one in some(300)]
    new = [number for number, text in enumerate(texts) if text not in texts[:number]]
    assert np.array_equal(np.concatenate(vectors).astype(np.float16), expected[new])


def _encoders() -> list[int]:
    """Ray's processes under this one that hold an encoder."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    parent = {int(pid): int(above) for pid, above, _ in rows}

    def mine(pid: int) -> bool:
        return pid == os.getpid() or (pid in parent and mine(parent[pid]))

    return [int(pid) for pid, _, arguments in rows if "MapWorker" in arguments and "_Encode" in arguments and mine(int(pid))]


def test_shards_made_by_tasks_of_ray_are_the_same(
    tmp_path: Path, undisturbed: Path, on_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is what they measured; an error of a task is the one that it raised."""
    store = VectorStore.open(undisturbed)
    settings = IndexSettings(shards=3, factory="IVF4,SQ8", certificate_queries=10, threads=1)
    by_tasks, alone = (
        build_index(store, tmp_path / name, settings.model_copy(update={"workers": workers}), say=lambda line: None)
        for name, workers in KINDS.items()
    )
    assert by_tasks.name == alone.name
    measured, wanted = (read_manifest(version).certificate for version in (by_tasks, alone))
    assert measured is not None
    assert wanted is not None
    assert [(dial.value, dial.recall_10) for dial in measured.dials] == [(dial.value, dial.recall_10) for dial in wanted.dials]
    compacted = [compact(tmp_path / name, shards=2, workers=workers, say=lambda line: None) for name, workers in KINDS.items()]
    assert compacted[0].name == compacted[1].name
    with calls_for(2, most=3) as (calls, side_by_side):
        assert side_by_side == 2
        assert list(calls(part_file, range(5))) == [part_file(number) for number in range(5)]
        with pytest.raises(UserError, match="no encoded passages"):
            list(calls(VectorStore.open, [undisturbed, tmp_path]))
    monkeypatch.setenv("RAY_ADDRESS", "auto")  # as in a job: by default on the machine that the command is on
    with calls_for(None, most=9) as (calls, side_by_side):
        assert side_by_side == 2
        assert list(calls(part_file, range(3))) == [part_file(number) for number in range(3)]


def test_corpora_made_by_tasks_of_ray_are_the_same(tmp_path: Path, on_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_SLICE_BYTES", 4000)
    record = {"lang": "en", "query": "What?", "text": "That."}
    lines = [json.dumps(record | {"group_id": number % 290, "text": f"That {number}."}) for number in range(300)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, "{"]))
    files = {"format": "rows", "files": [str(tmp_path / "rows.jsonl")]}
    prepared = {}
    for name, workers in KINDS.items():
        corpora = {"mine": {"read": files}}
        values = {"output": str(tmp_path / name), "corpora": corpora, "on_bad_row": "skip", "workers": workers}
        [prepared[name]] = prepare(settings_from(PrepareSettings, values))
    of_tasks, alone = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "mine/train").iterdir()} for name in ("tasks", "alone")
    )
    assert of_tasks == alone
    assert prepared["tasks"].report.summary() == prepared["alone"].report.summary()
    assert prepared["tasks"].report.skipped == 11

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from ray.exceptions import OutOfDiskError

from xlret.batches import stream
from xlret.batches.assemble import Assembler, Inputs
from xlret.batches.settings import PlanSettings
from xlret.batches.stream import StreamOptions, batches
from xlret.errors import DataError
from xlret.model.encoder import start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.session import ray_session
from xlret.switch.settings import SwitchSettings

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    with ray_session(object_store_gb=0.3):
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, corpora: Path, lexicon: Path) -> Inputs:
    directory = tmp_path_factory.mktemp("start") / "encoder"
    fresh = FreshEncoder(vocabulary=300, layers=1, hidden=32, heads=2, feed_forward=64)
    start_encoder(EncoderSettings(fresh=fresh), lambda: ["ba be bi bo bu"], 0).save(directory)
    switch = SwitchSettings(policy="ml", lexicons=(lexicon,))
    return Inputs((corpora / "train",), PlanSettings(batch_size=16), switch, directory)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_stream_is_what_one_process_assembles_from_any_start(inputs: Inputs, rank: int) -> None:
    options = StreamOptions(steps_per_block=4, blocks_ahead=2)
    assemble = Assembler(inputs)
    steps = 0
    for batch in batches(inputs, rank, 2, 5, 23, options):
        expected = assemble(5 + steps, rank, 2)
        for name in ("queries", "passages"):
            ours, theirs = getattr(batch, name), getattr(expected, name)
            assert np.array_equal(ours.ids, theirs.ids)
            assert np.array_equal(ours.lengths, theirs.lengths)
        assert np.array_equal(batch.clusters, expected.clusters)
        scalars = ("step", "rank", "kind", "words", "switched", "tokens")
        assert [getattr(batch, name) for name in scalars] == [getattr(expected, name) for name in scalars]
        steps += 1
    assert steps == 18


@pytest.mark.parametrize("fault", ["hangs", "full"])
def test_a_worker_assembles_what_its_tasks_do_not(
    inputs: Inputs, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second of five tasks straggles, or fails as where object store and disk are full: its steps are the same."""
    end, spans, assemble = threading.Event(), [], Assembler(inputs)

    def execute(inputs: Inputs, rank: int, world: int, start: int, stop: int, *_: object) -> list[pa.Table]:
        spans.append((start, stop))
        if spans.count((2, 6)) == 1 and (start, stop) == (2, 6):
            if fault == "full":
                raise OutOfDiskError("the disk of the object store is full\nand more")
            end.wait(30)
        return [stream.to_table([assemble(step, rank, world) for step in range(start, stop)])]

    monkeypatch.setattr(stream, "_execute", execute)
    options = StreamOptions(steps_per_block=2, blocks_ahead=2, straggle_s=1.5)
    made = list(batches(inputs, 1, 2, 0, 16, options))
    end.set()
    assert [batch.step for batch in made] == list(range(16))
    for batch in made:
        assert np.array_equal(batch.queries.ids, assemble(batch.step, 1, 2).queries.ids)
    assert sorted(spans) == [(0, 2), (2, 6), (6, 10), (10, 14), (14, 16)]
    [said] = [record.getMessage() for record in caplog.records if record.name == "xlret.batches.stream"]
    assert said.startswith("worker 1 assembles steps 2 to 6 itself, its task did not: ")
    assert "TimeoutError" in said if fault == "hangs" else said.endswith("OutOfDiskError the disk of the object store is full")


def test_nothing_is_streamed_where_nothing_is_left(inputs: Inputs) -> None:
    assert list(batches(inputs, 0, 2, 7, 7, StreamOptions())) == []


def test_an_error_in_a_task_is_the_one_line_of_its_step(inputs: Inputs, tmp_path: Path) -> None:
    corpus = tmp_path / "damaged"
    corpus.mkdir()
    for path in inputs.corpora[0].iterdir():
        (corpus / path.name).write_bytes(path.read_bytes())
    for path in corpus.glob("passage.de.arrow"):
        path.write_bytes(path.read_bytes().replace(b"a", b"\xff"))  # the sizes stay, the texts are no UTF-8 any more
    stream = batches(replace(inputs, corpora=(corpus,), switch=SwitchSettings()), 0, 2, 0, 40, StreamOptions(steps_per_block=8))
    with pytest.raises(DataError, match=r"^step \d+: .*passage\.de\.arrow is damaged") as error:
        list(itertools.islice(stream, 40))
    assert "\n" not in str(error.value)

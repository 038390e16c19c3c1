"""Training, index and release with nothing but URLs, each step on a machine with an empty disk, in this process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from xlret.files import local
from xlret.release.alias import resolve
from xlret.release.make import make_release
from xlret.release.promote import list_releases, promote
from xlret.release.verify import verify_release
from xlret.search import edit
from xlret.search.from_files import build_from, passages_from
from xlret.search.settings import EncodeSettings
from xlret.search.text_index import TextIndex
from xlret.storage.publish import publish
from xlret.storage.url import as_url
from xlret.training.checkpoint import kept_checkpoints
from xlret.training.run import train
from xlret.training.settings import TrainJob

STEPS = 8
BUCKET = as_url("s3://bucket/all")


def job(storage: Path, corpora: Path, lexicon: Path) -> TrainJob:
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": STEPS,
        "log_every": 2,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "switch": {"policy": "ml", "lexicons": [lexicon]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "dev": {"corpora": [corpora / "dev"], "every": 4, "groups": 10},
        "ray": {"workers": 0},
    }
    return TrainJob.model_validate(values)


class Stop:
    """Interrupts a run at a step."""

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        if step == 6:
            raise KeyboardInterrupt

    def on_checkpoint(self, step: int, directory: Path) -> None:
        assert directory.is_whole()  # type: ignore[attr-defined]  # it is a URL


@pytest.fixture
def empty_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setenv("XLRET_CACHE", str(tmp_path / name))


def test_from_a_corpus_to_an_answer(
    store: dict[str, str], corpora: Path, lexicon: Path, tmp_path: Path, empty_disk: Callable[[str], None]
) -> None:
    for part in ("train", "dev"):
        publish(corpora / part, BUCKET / "corpora" / part)
    publish(lexicon, BUCKET / "lexicon")
    on_disk = train(job(tmp_path / "runs", corpora, lexicon), show=None)

    at_url, lines = job(BUCKET / "runs", BUCKET / "corpora", BUCKET / "lexicon"), list[str]()
    with pytest.raises(KeyboardInterrupt):
        train(at_url, show=None, callbacks=[Stop()])
    assert [path.name for path in kept_checkpoints(BUCKET / "runs" / "run")] == ["step-000000002", "step-000000004"]
    empty_disk("second")
    result = train(at_url, show=lines.append)
    assert "going on from step-000000004" in lines
    assert result.weights_sha256 == on_disk.weights_sha256
    assert [line["loss"] for line in result.history()] == [line["loss"] for line in on_disk.history()]
    assert (result.run_directory / "report.html").exists()
    assert train(at_url, show=None) == result, "it is finished"

    empty_disk("third")
    index, here = BUCKET / "indexes" / "wiki", EncodeSettings(encoders=0)
    version = build_from(passages_from(BUCKET / "corpora" / "dev"), result.model, index, encoding=here, say=lambda line: None)
    assert version.parent == index / "versions"
    [passage, *_] = passages_from(BUCKET / "corpora" / "dev")
    edit.delete(index, [passage.id], say=lambda line: None)
    assert (index.with_name("wiki.vectors")).is_whole()
    releases = BUCKET / "releases"
    make_release(releases, "first", result.model, index)
    promote(releases, "first", force=True)

    empty_disk("fourth")
    opened = TextIndex.open(index)
    count = sum(1 for _ in passages_from(BUCKET / "corpora" / "dev"))
    assert len(opened) == count - 1
    assert passage.id not in [hit.id for hit in opened.search(passage.text, k=count - 1)]
    [listed] = list_releases(releases)
    assert (listed.name, listed.aliases, listed.damage) == ("first", ("current",), None)
    assert resolve(releases) == releases / "first"
    assert verify_release(releases / "first").passages == count - 1
    assert local(releases / "first").name == "first"

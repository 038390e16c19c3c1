"""The whole way with nothing but URLs, each step on a machine with an empty disk; one of them is killed half way."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_releases import make_releases
from processes import service

from xlret import api
from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus
from xlret.model.encoder import Encoder
from xlret.release.alias import resolve
from xlret.release.verify import verify_release
from xlret.search.from_files import passages_from
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.storage.publish import publish
from xlret.storage.url import as_url
from xlret.training.checkpoint import kept_checkpoints
from xlret.training.run import TrainResult, train
from xlret.training.settings import TrainJob

pytestmark = [pytest.mark.ray, pytest.mark.slow]
BUCKET = as_url("s3://bucket/all")
KILLED = """
import sys, time
from xlret.training.run import train
from xlret.training.settings import TrainJob

class Hold:
    def on_report(self, step, metrics): pass

    def on_checkpoint(self, step, directory):
        print("checkpoint", step, flush=True)
        time.sleep(600 if step == 4 else 0)

train(TrainJob.model_validate_json(sys.argv[1]), show=None, callbacks=[Hold()])
"""


def job(name: str, storage: Path, corpora: Path, lexicon: Path, workers: int = 0) -> TrainJob:
    values = {
        "name": name,
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": 8,
        "log_every": 2,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "switch": {"policy": "ml", "lexicons": [lexicon]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "dev": {"corpora": [corpora / "dev"], "every": 4, "groups": 10},
        "ray": {"workers": workers},
    }
    return TrainJob.model_validate(values)


@pytest.fixture(scope="module")
def prepared(store: dict[str, str], corpora: Path, lexicon: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora made of rows at a URL, there and on this disk, and a lexicon there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLRET_CACHE", str(tmp_path_factory.mktemp("first")))
        rows = ParallelCorpus.open(corpora / "train").rows(np.arange(60))
        values = ({name: getattr(row, name) for name in ("group_id", "lang", "query", "text")} for row in rows)
        (BUCKET / "raw.jsonl").write_text("".join(f"{json.dumps(value)}\n" for value in values))
        made = f"corpora={{mine: {{read: {{format: rows, files: [{BUCKET / 'raw.jsonl'}]}}, dev: 20}}}}"
        assert main(["prepare", "--set", f"output={BUCKET / 'corpora'}", "--set", made]) == 0
        directory = tmp_path_factory.mktemp("disk") / "mine"
        assert main(["copy", str(BUCKET / "corpora" / "mine"), str(directory)]) == 0
        publish(lexicon, BUCKET / "lexicon")
    return directory


@pytest.fixture(scope="module")
def on_disk(prepared: Path, lexicon: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run without URLs."""
    return train(job("run", tmp_path_factory.mktemp("runs"), prepared, lexicon), show=None)


@pytest.fixture
def empty_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Goes on as a machine of this name would, whose cache is empty."""
    monkeypatch.setenv("XLRET_HOME", str(tmp_path))
    return lambda name: monkeypatch.setenv("XLRET_CACHE", str(tmp_path / f"cache of {name}"))


def test_from_rows_to_answers(
    on_disk: TrainResult, tmp_path: Path, empty_disk: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    empty_disk("the killed")
    at_url, run = job("run", BUCKET / "runs", BUCKET / "corpora" / "mine", BUCKET / "lexicon"), BUCKET / "runs" / "run"
    command = [sys.executable, "-c", KILLED, at_url.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["checkpoint 2\n", "checkpoint 4\n"]
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in kept_checkpoints(run)] == ["step-000000002", "step-000000004"]

    empty_disk("the second")
    lines = list[str]()
    result = train(at_url, show=lines.append)
    assert "going on from step-000000004" in lines
    assert result.weights_sha256 == on_disk.weights_sha256
    assert [line["loss"] for line in result.history()] == [line["loss"] for line in on_disk.history()]
    assert [path.name for path in kept_checkpoints(run)] == ["step-000000006", "step-000000008"]
    assert (run / "report.html").exists()
    assert train(at_url, show=None) == result, "it is finished"

    empty_disk("the third")
    model, index, root = str(run / "model"), str(BUCKET / "indexes" / "wiki"), ("--root", str(BUCKET / "releases"))
    corpora = BUCKET / "corpora" / "mine"
    [passage, *_] = passages_from(corpora / "train")
    (BUCKET / "ids.txt").write_text(f"{passage.id}\n")
    capsys.readouterr()
    main(["evaluate", "--encoder", model, "--corpus", str(corpora / "dev"), "--out", str(run / "dev")])
    encoding = ("--encoder", model, "--encode.encoders", "0", "--corpus")
    main(["index", "build", index, *encoding, str(corpora / "train")])
    assert f"{index}/versions/" in capsys.readouterr().out
    main(["index", "append", index, *encoding, str(corpora / "dev")])
    main(["index", "delete", index, str(BUCKET / "ids.txt")])
    main(["release", "make", "one", "--encoder", model, "--index", index, "--evaluation", str(run / "dev"), *root])
    main(["release", "promote", "one", *root])
    capsys.readouterr()
    main(["release", "list", *root])
    assert capsys.readouterr().out.startswith("current -> one: ")

    empty_disk("the fourth")
    count = sum(1 for part in ("train", "dev") for _ in passages_from(corpora / part)) - 1
    assert resolve(BUCKET / "releases") == BUCKET / "releases" / "one"
    assert verify_release(BUCKET / "releases" / "one").passages == count
    capsys.readouterr()
    main(["index", "search", index, passage.text, "--top-k", "3"])
    hits = [line.split()[2] for line in capsys.readouterr().out.splitlines()]
    assert len(hits) == 3
    assert passage.id not in hits
    with api.serve_local(str(BUCKET / "releases")) as server:
        body = json.dumps({"query": passage.text, "top_k": 3}).encode()
        request = urllib.request.Request(f"{server.url}/v1/search", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert passage.id not in (served := [hit["id"] for hit in json.load(response)["results"][0]["hits"]])
    assert len(served) == 3
    machines = {f"cache of the {name}" for name in ("killed", "second", "third", "fourth")}
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == machines, "nothing lies beside the caches"


def test_over_ray_the_weights_are_the_same(on_disk: TrainResult, empty_disk: Callable[[str], None]) -> None:
    empty_disk("a cluster")
    over_ray = job("over-ray", BUCKET / "runs", BUCKET / "corpora" / "mine", BUCKET / "lexicon", workers=1)
    result = train(over_ray, show=None)
    assert result.weights_sha256 == on_disk.weights_sha256
    assert [line["loss"] for line in result.history()] == [line["loss"] for line in on_disk.history()]
    assert [path.name for path in kept_checkpoints(result.run_directory)] == ["step-000000006", "step-000000008"]


def test_over_ray_a_release_is_served_from_its_url(
    corpora: Path, store: dict[str, str], tmp_path: Path, empty_disk: Callable[[str], None]
) -> None:
    """Answers are those of the index on this disk; another release is swapped in; each is fetched once."""
    made, root = make_releases(tmp_path / "made", corpora / "train"), BUCKET / "served"
    for name in ("one", "two"):
        publish(made / name, root / name)
    (root / "current").write_text("one\n")
    empty_disk("a service")
    queries = ["badu gilo ?", "koru"]
    with service(root, "log.stderr=false") as running:
        for name in ("one", "two"):
            answer = running.client().ask("POST", "/v1/search", {"queries": queries, "top_k": 20, "timeout_ms": 30_000})
            assert answer.whole, answer
            assert answer.body["release"] == name
            index, encoder = SearchIndex.open(made / name / "index"), Encoder.load(made / name / "encoder")
            expected = index.search(encoder.encode(queries, "query"), SearchOptions(top_k=20)).ids
            assert [[hit["id"] for hit in result["hits"]] for result in answer.body["results"]] == expected
            if name == "one":
                assert running.swap("two").status == 200
    releases = [path.name for path in (tmp_path / "cache of a service").glob("entries/*/content/served/*")]
    assert sorted(releases) == ["one", "two"], "each was fetched once"

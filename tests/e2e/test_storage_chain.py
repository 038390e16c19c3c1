"""The whole way through a store that speaks S3: every path of every command is a URL, and machines begin with empty disks."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import SECRET, object_store

from xlret import api
from xlret.artifacts import entry_of
from xlret.files import local
from xlret.storage.url import Url, as_url
from xlret.training.checkpoint import kept_checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STEPS = 24
SETTINGS = (
    "corpora=[s3://bucket/corpora/mine/train]",
    "dev.corpora=[s3://bucket/corpora/mine/dev]",
    "switch={policy: ml, lexicons: [s3://bucket/lexicons/en-de.txt]}",
    "encoder.fresh={vocabulary: 400, layers: 1, hidden: 32, heads: 2, feed_forward: 64}",
    "optimiser.learning_rate=0.001",
    f"steps={STEPS}",
    "plan.batch_size=8",
    "log_every=4",
    "checkpoint_every=4",
    "dev.every=12",
    "dev.groups=10",
)
SLOW_STEPS = """
import sys, time
from xlret.commands.app import main
from xlret.training import loop

step = loop._Training._optimiser_step

def slowly(self, window):
    step(self, window)
    time.sleep(0.3)

loop._Training._optimiser_step = slowly
main(sys.argv[1:])
"""


class Machine:
    """A disk that is empty at first, and commands that run on it."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        directory.mkdir()
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if name not in ("XLRET_CACHE", "XLRET_HOME", "RAY_ADDRESS")}
        self.environment = kept | settings | {"XLRET_CACHE": str(directory / "cache"), "XLRET_HOME": str(directory)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def xlret(self, *arguments: str, status: int = 0) -> str:
        process = self.start("-m", "xlret", *arguments)
        printed = process.communicate(timeout=900)[0]
        assert process.returncode == status, printed
        assert SECRET not in printed
        return printed

    def files(self) -> set[str]:
        """What lies on the disk beside the cache."""
        return {path.name for path in self.directory.iterdir()} - {"cache"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A store that holds a prepared corpus and a lexicon; this process has a cache of its own."""
    before = os.environ.get("XLRET_CACHE")
    os.environ["XLRET_CACHE"] = str(tmp_path_factory.mktemp("own") / "cache")
    with object_store("bucket") as environment:
        as_url("s3://bucket/raw/rows.jsonl").write_text("".join(map(row, range(120))))
        as_url("s3://bucket/lexicons/en-de.txt").write_text("number Zahl\nanswer Antwort\nwhat was\n")
        machine = Machine(tmp_path_factory.mktemp("machines") / "preparing", environment)
        read = "{format: rows, files: [s3://bucket/raw/rows.jsonl]}"
        corpora = f"corpora={{mine: {{read: {read}, dev: 20}}}}"
        printed = machine.xlret("prepare", "--set", "output=s3://bucket/corpora", "--set", corpora)
        assert "s3://bucket/corpora/mine" in printed
        assert machine.files() == set()
        yield environment
    if before is None:
        del os.environ["XLRET_CACHE"]
    else:
        os.environ["XLRET_CACHE"] = before


def row(number: int) -> str:
    group, lang = divmod(number, 2)
    code, words = (("en", "what is number"), ("de", "was ist die Zahl"))[lang]
    text = f"{code} answer {group} and {group * 7 % 60} " * 3
    return (
        json.dumps({"group_id": str(group), "lang": code, "query": f"{words} {group} {group * 7 % 60}?", "text": text}) + "\n"
    )


def train(name: str, workers: int) -> list[str]:
    settings = (*SETTINGS, f"name={name}", "storage=s3://bucket/runs", f"ray.workers={workers}")
    return ["train", *(argument for setting in settings for argument in ("--set", setting))]


def weights(name: str) -> str:
    checkpoint = kept_checkpoints(as_url("s3://bucket/runs") / name)[-1]
    return entry_of(local(checkpoint) / "module.safetensors").sha256


def killed(process: "subprocess.Popen[str]", run: Url) -> None:
    """Kills a training, with all that it started, as soon as it has two checkpoints."""
    end = time.monotonic() + 600
    while len(kept_checkpoints(run)) < 2 and time.monotonic() < end:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_from_rows_to_answers(settings: dict[str, str], tmp_path: Path) -> None:
    first, second = Machine(tmp_path / "first", settings), Machine(tmp_path / "second", settings)
    first.xlret(*train("whole", 0))
    run = as_url("s3://bucket/runs/broken")
    killed(first.start("-c", SLOW_STEPS, *train("broken", 0)), run)
    assert 0 < int(kept_checkpoints(run)[-1].name.removeprefix("step-")) < STEPS
    printed = second.xlret(*train("broken", 0))
    assert "going on from step-0000000" in printed
    assert weights("broken") == weights("whole")
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == [0, 4, 8, 12, 16, 20, 24]
    assert len(kept_checkpoints(run)) == 2, "older ones are removed there"
    assert "is finished already" in second.xlret(*train("broken", 0))
    assert second.files() == set()

    model = str(run / "model")
    third = Machine(tmp_path / "third", settings)
    dev = ("--corpus", "s3://bucket/corpora/mine/dev", "--out", "s3://bucket/runs/broken/dev")
    third.xlret("evaluate", "--encoder", model, *dev)
    passages = ("--encoder", model, "--encode.encoders", "0", "--corpus")
    printed = third.xlret("index", "build", "s3://bucket/indexes/wiki", *passages, "s3://bucket/corpora/mine/train")
    assert "s3://bucket/indexes/wiki/versions/" in printed
    third.xlret("index", "append", "s3://bucket/indexes/wiki", *passages, "s3://bucket/corpora/mine/dev")
    parts = ("--encoder", model, "--index", "s3://bucket/indexes/wiki", "--evaluation", "s3://bucket/runs/broken/dev")
    root = ("--root", "s3://bucket/releases")
    third.xlret("release", "make", "one", *parts, *root)
    third.xlret("release", "promote", "one", *root)
    assert "current -> one" in third.xlret("release", "list", *root)
    assert third.files() == set()

    fourth = Machine(tmp_path / "fourth", settings)
    assert "3:de" in fourth.xlret("index", "search", "s3://bucket/indexes/wiki", "was ist die Zahl 3 21?", "--languages", "de")
    assert "every checksum agrees" in fourth.xlret("release", "verify", "one", *root)
    fourth.xlret("copy", "s3://bucket/releases/one", "releases/one")
    fourth.xlret("release", "verify", "releases/one")
    with api.serve("s3://bucket/releases") as server:
        body = json.dumps({"query": "was ist die Zahl 3 21?", "top_k": 1, "languages": ["de"]}).encode()
        request = urllib.request.Request(f"{server.url}/v1/search", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["hits"][0]["id"] == "3:de"


def test_over_ray_too(settings: dict[str, str], tmp_path: Path) -> None:
    first, second = Machine(tmp_path / "first", settings), Machine(tmp_path / "second", settings)
    first.xlret(*train("over-ray", 2))
    run = as_url("s3://bucket/runs/over-ray-broken")
    killed(first.start("-c", SLOW_STEPS, *train("over-ray-broken", 2)), run)
    assert "going on from step-0000000" in second.xlret(*train("over-ray-broken", 2))
    assert weights("over-ray-broken") == weights("over-ray")
    assert [path.name for path in (run / "tensorboard").iterdir()]
    assert second.files() == set()


def test_an_error_is_one_line(settings: dict[str, str], tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", settings)
    printed = machine.xlret("corpus", "s3://no-such-bucket/corpora/mine", status=2)
    assert printed.splitlines()[-1].startswith(
        "error: there is nothing at s3://no-such-bucket/corpora/mine; correct the bucket"
    )
    machine.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    printed = machine.xlret("corpus", "s3://bucket/corpora/mine/train", status=2)
    assert printed.splitlines()[-1].startswith(
        "error: s3://bucket/corpora/mine/train cannot be read: the store does not answer"
    )

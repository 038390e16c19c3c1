"""A sweep goes on from a file of results on a machine that has none of its runs."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.conftest import rows
from tests.helpers.sweeps import ML, sweep_job
from xlret.data.corpus import write_corpus
from xlret.errors import UserError
from xlret.sweep.configuration import trial_directory
from xlret.sweep.kept_results import kept_table
from xlret.sweep.run import sweep
from xlret.sweep.settings import SweepJob

Make = Callable[..., SweepJob]


@pytest.fixture
def make(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> Make:
    """A sweep in a directory of its own."""

    def made(out: str, **settings: Any) -> SweepJob:
        return sweep_job(tmp_path, corpora, lexicon, encoder, **{"seeds": [0], "out": str(tmp_path / out), **settings})

    return made


@pytest.fixture
def kept(make: Make, tmp_path: Path) -> Path:
    """The results of a sweep whose runs are on another machine."""
    swept(make("first"), results=tmp_path / "kept.jsonl")
    return tmp_path / "kept.jsonl"


def swept(job: SweepJob, **how: Any) -> str:
    said = io.StringIO()
    sweep(job, Console(file=said, width=200), without_ray=True, **how)
    return said.getvalue()


def test_what_the_file_has_is_not_trained_again(
    make: Make, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept.read_text(encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr("xlret.sweep.trial.train", None)
        patched.setattr("xlret.sweep.trial.evaluate_encoder", None)
        said = swept(make("second"), results=kept)
    assert "not trained again: 2 of" in said
    assert kept.read_text(encoding="utf-8") == before
    tables = [(tmp_path / out / "table.md").read_text(encoding="utf-8") for out in ("first", "second")]
    assert tables[0] == tables[1]

    later = make("second", seeds=[0, 1])
    assert "trained elsewhere" not in swept(later, results=kept)
    assert kept.read_text(encoding="utf-8").startswith(before)
    assert [json.loads(line)["seed"] for line in kept.read_text(encoding="utf-8").splitlines()] == [0, 0, 1]
    assert "| ml | 2 |" in kept_table(later, kept)
    swept(later, results=tmp_path / "copy.jsonl")
    assert sorted((tmp_path / "copy.jsonl").read_text().splitlines()) == sorted(kept.read_text().splitlines())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"changes": {"steps": 4}}, "its settings or evaluations are others"),
        ({"changes": {"optimiser.learning_rate": 1.0e-4}}, "its settings or evaluations are others"),
        ({"scheduler": {"method": "median", "first": 2}}, "goes by the curves"),
    ],
)
def test_another_training_of_the_same_name_is_refused_before_any(
    make: Make, kept: Path, settings: dict[str, Any], why: str
) -> None:
    job = make("second", **settings)
    with pytest.raises(UserError, match=why):
        swept(job, results=kept)
    assert not trial_directory(job, ML, 0).exists()


def test_so_is_one_on_another_corpus_or_of_an_older_xlret(make: Make, kept: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "elsewhere" / "train", rows(50), source="made up", licence="none", revision="1", made_by="tests")
    with pytest.raises(UserError, match=r"corpus .*/train is another"):
        swept(make("second", changes={"corpora": [str(tmp_path / "elsewhere" / "train")]}), results=kept)
    fresh: dict[str, dict[str, Any]] = {
        "changes": {"encoder": {"start": "fresh", "fresh": {"vocabulary": 200, "layers": 1, "hidden": 32, "heads": 2}}},
        "points": {"start": {"untrained": True}},
    }
    vocabulary = tmp_path / "fresh.jsonl"
    swept(make("fresh", **fresh), results=vocabulary)
    assert "not trained again: 1 of" in swept(make("again", **fresh), results=vocabulary)
    fresh["changes"]["corpora"] = [str(tmp_path / "elsewhere" / "train")]
    with pytest.raises(UserError, match=r"corpus .*/train is another"):
        swept(make("other-words", **fresh), results=vocabulary)
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    kept.write_text("".join(json.dumps({**line, "recipe_sha256": None}) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(UserError, match="an older xlret"):
        swept(make("third"), results=kept)


def test_workers_threads_and_folders_make_no_other_training(make: Make, kept: Path) -> None:
    changes = {"ray.threads_per_worker": 1, "log_every": 3}
    assert "not trained again: 2 of" in swept(make("second", changes=changes), results=kept)


def test_no_release_is_made_of_weights_that_are_elsewhere(make: Make, kept: Path, corpora: Path) -> None:
    job = make("second", release={"corpora": [str(corpora / "dev")], "shards": 1})
    with pytest.raises(UserError, match=r"needs the weights of the best, and .* was trained elsewhere"):
        swept(job, results=kept, release="best")


def test_a_trial_that_is_trained_here_after_all_is_its_own(make: Make, kept: Path) -> None:
    job = make("second")
    swept(job, results=kept)
    (trial_directory(job, ML, 0) / "result.json").unlink()
    swept(job)
    assert (trial_directory(job, ML, 0) / "model").exists()
    assert not (trial_directory(job, ML, 0) / "kept.json").exists()

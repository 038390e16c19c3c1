"""A sweep goes on from a file of results on a machine that has none of its runs."""

import io
import json
import re
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
from xlret.sweep.dry_run import print_dry_run
from xlret.sweep.kept_results import kept_table
from xlret.sweep.run import sweep
from xlret.sweep.same_training import recipe_sha256
from xlret.sweep.seeds import run_configuration
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


def test_a_dry_run_counts_what_the_file_has(make: Make, kept: Path) -> None:
    for results, done in ((kept, 2), (kept.with_name("none.jsonl"), 0)):
        said = io.StringIO()
        print_dry_run(make("second", seeds=[0, 1]), Console(file=said, width=200), without_ray=True, results=results)
        assert sum(int(found[1]) for found in re.finditer(r"(\d)/[12]$", said.getvalue(), re.MULTILINE)) == done


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


def test_it_is_of_the_corpora_that_it_was_watched_and_judged_on(make: Make, corpora: Path, tmp_path: Path) -> None:
    def corpus(folder: str, count: int) -> str:
        path = tmp_path / folder / "corpora" / "dev"
        write_corpus(path, rows(count), source="made up", licence="none", revision="1", made_by="tests")
        return str(path)

    here, there = corpus("here", 30), corpus("there", 31)
    path = tmp_path / "judged.jsonl"
    swept(make("first", evaluation={"corpus": here, "run_depth": 0}), results=path)
    swept(make("again", evaluation={"corpus": here, "run_depth": 0}), results=path)
    with pytest.raises(UserError, match="evaluated corpora/dev is another"):
        swept(make("second", evaluation={"corpus": there, "run_depth": 0}), results=path)
    watched = {"changes": {"dev.corpora": [here]}, "points": {"ml": dict(ML.settings)}}
    swept(make("third", **watched), results=tmp_path / "watched.jsonl")
    watched["changes"] = {"dev.corpora": [there]}
    with pytest.raises(UserError, match="dev corpora/dev is another"):
        swept(make("fourth", **watched), results=tmp_path / "watched.jsonl")


def test_a_trial_that_was_taken_up_is_compared_at_every_start(make: Make, kept: Path, tmp_path: Path) -> None:
    swept(make("second"), results=kept)
    for results in (kept, None, tmp_path / "new.jsonl"):
        with pytest.raises(UserError, match="was taken from a file of results and would be another training now"):
            swept(make("second", changes={"steps": 4}), results=results)


def test_none_is_taken_up_of_a_file_with_one_that_differs(make: Make, kept: Path) -> None:
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    lines[-1]["recipe_sha256"] = "0" * 64
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(UserError, match="its settings or evaluations are others"):
        swept(make("second"), results=kept)
    assert not (make("second").out / "trials").exists()


def test_what_the_sweep_itself_decides_makes_another_training(make: Make) -> None:
    def hashed(**settings: Any) -> str:
        return recipe_sha256(make("hashed", **settings), ML, 0)

    assert hashed() == hashed(changes={"track": ["mlflow"]}) == hashed(retriever="models/one")
    rankers = {"changes": {"model": "reranker"}}
    assert len({hashed(), *(hashed(**rankers, retriever=name) for name in ("one/model", "two/model"))}) == 3
    assert hashed(trial={"diverged_factor": 9.0}) != hashed()
    starts = [hashed(changes={"encoder.start": f"/somewhere/{run}/model"}) for run in ("one", "two", "one")]
    assert starts[0] == starts[2] != starts[1]


def test_a_search_by_what_came_before_is_not_gone_on_with_elsewhere(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    tpe = {
        "points": {},
        "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}},
        "search": {"method": "tpe", "samples": 1},
        "goals": ["mul"],
    }
    swept(make("first", **tpe), results=tmp_path / "tpe.jsonl")
    swept(make("first", **tpe), results=tmp_path / "tpe.jsonl")
    with pytest.raises(UserError, match="search tpe draws by what came of the runs before"):
        swept(make("second", **tpe), results=tmp_path / "tpe.jsonl")


def test_a_trial_is_in_the_file_as_soon_as_it_has_ended(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept.jsonl"
    lines: list[int] = []

    def counted(job: SweepJob, configuration: Any, *rest: Any) -> None:
        lines.append(len(path.read_text(encoding="utf-8").splitlines()))
        run_configuration(job, configuration, *rest)

    monkeypatch.setattr("xlret.sweep.in_process.run_configuration", counted)
    swept(make("first"), results=path)
    assert lines == [0, 1]


def test_a_file_that_cannot_be_written_is_refused_before_the_first_training(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file" / "kept.jsonl", tmp_path):
        with pytest.raises(UserError, match="cannot"):
            swept(make("first"), results=path)
    assert not (make("first").out / "trials").exists()


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

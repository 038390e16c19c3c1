"""What a run checks before it trains, and how it ends when it cannot go on."""

import json
from pathlib import Path

import pytest
import yaml

from xlret.commands.app import run
from xlret.errors import CorruptError, UserError
from xlret.tokens.card import read_card
from xlret.training.run import train
from xlret.training.settings import TrainJob
from xlret.training.setup import check_settings


def job(tmp_path: Path, prepared: Path, **changes: object) -> TrainJob:
    fresh = {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}
    values = {"name": "run", "storage": tmp_path, "corpora": [prepared / "train"], "encoder": {"fresh": fresh}, **changes}
    return TrainJob.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan": {"batch_size": 200}}, r"pool for mono batches has 160 groups, fewer than the batch of 200"),
        (
            {"plan": {"batch_size": 16, "languages": ["en"]}},
            r"no group .* has a query in one language and a passage in another",
        ),
        ({"plan": {"batch_size": 16, "languages": ["en", "ja"]}}, r"plan\.languages: no corpus has ja"),
        ({"plan": {"batch_size": 16}, "hard_negatives": 2}, r"hard_negatives is 2, but .* holds none"),
        ({"plan": {"batch_size": 16}, "dev": {"corpora": ["/nowhere"]}}, r"/nowhere"),
        ({"plan": {"batch_size": 16}, "switch": {"policy": "ml", "lexicons": ["/nowhere"]}}, r"/nowhere"),
        ({"plan": {"batch_size": 16}, "encoder": {"start": "/nowhere"}}, r"/nowhere"),
        ({"corpora": ["/nowhere"]}, r"/nowhere"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path: Path, corpora: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        train(job(tmp_path, corpora, **changes))
    assert not (tmp_path / "run" / "config.yaml").exists(), "a run that never began leaves no settings behind"


def test_a_damaged_corpus_is_refused_by_the_name_of_its_file(tmp_path: Path, corpora: Path) -> None:
    copy = tmp_path / "copy" / "train"
    copy.mkdir(parents=True)
    for path in (corpora / "train").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    damaged = copy / "passage.de.arrow"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(CorruptError, match=r"passage\.de\.arrow"):
        train(job(tmp_path, tmp_path / "copy"))


def test_a_run_of_the_same_name_with_other_settings_is_not_continued(tmp_path: Path, corpora: Path) -> None:
    first = job(tmp_path, corpora)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(first.model_dump(mode="json")))
    with pytest.raises(UserError, match=r"steps was 1000 and is now 7"):
        train(job(tmp_path, corpora, steps=7))
    (tmp_path / "run" / "config.yaml").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        train(first)


def test_a_finished_run_is_not_trained_again(tmp_path: Path, corpora: Path) -> None:
    (tmp_path / "run").mkdir()
    outcome = {"steps": 1000, "best_metric": 0.5, "best_step": 900, "weights_sha256": "0" * 64}
    (tmp_path / "run" / "run.json").write_text(json.dumps({"finished": outcome}))
    shown: list[str] = []
    assert train(job(tmp_path, corpora), show=shown.append).best_metric == 0.5
    assert "finished already" in shown[0]


def test_the_job_ends_with_one_line_and_status_2(
    tmp_path: Path, corpora: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--set", "name=run", "--set", f"storage={tmp_path}", "--set", f"corpora=[{corpora}/train]"]
    monkeypatch.setattr("sys.argv", ["xlret", *arguments, "--set", "plan.batch_size=200"])
    with pytest.raises(SystemExit) as stop:
        run("train")
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_settings_that_xlret_did_not_have_when_a_run_began_do_not_end_it(tmp_path: Path, corpora: Path) -> None:
    values = job(tmp_path, corpora).model_dump(mode="json")
    del values["encoder"]["dimensions"], values["ray"]["blocks_ahead"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(values))
    check_settings(job(tmp_path, corpora))
    with pytest.raises(UserError, match=r"encoder.dimensions was \[\] and is now \[8\]"):
        check_settings(job(tmp_path, corpora, encoder={**values["encoder"], "dimensions": [8]}))


def test_how_a_run_is_carried_out_may_change_but_not_the_number_of_workers(tmp_path: Path, corpora: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(job(tmp_path, corpora).model_dump(mode="json")))
    check_settings(job(tmp_path, corpora, log_every=3, ray={"blocks_ahead": 2}))
    with pytest.raises(UserError, match=r"ray.workers was 2 and is now 4"):
        check_settings(job(tmp_path, corpora, ray={"workers": 4}))


def test_the_start_of_a_run_that_never_began_is_not_kept(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    wrong = {"policy": "ml", "lexicons": ["/nowhere"]}
    with pytest.raises(UserError, match="/nowhere"):
        train(job(tmp_path, corpora, switch=wrong))
    with pytest.raises(UserError, match="/nowhere"):
        train(job(tmp_path, corpora, switch=wrong, encoder={"start": str(encoder), "max_query_tokens": 17}))
    assert read_card(tmp_path / "run" / "start").max_query_tokens == 17


# Ray Train must not try again
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=[pytest.mark.ray, pytest.mark.slow])])
def test_a_loss_that_is_no_number_ends_the_run_at_once_and_says_what_to_do(tmp_path: Path, corpora: Path, workers: int) -> None:
    shown: list[str] = []
    plan, optimiser = {"batch_size": 16}, {"learning_rate": 1e38, "warmup": 0.0}
    with pytest.raises(UserError, match=r"the loss of step \d+ is nan; lower optimiser.learning_rate"):
        train(job(tmp_path, corpora, plan=plan, optimiser=optimiser, ray={"workers": workers}), show=shown.append)
    assert not any("going on" in line for line in shown)

"""`python -m jobs.evaluate` from an encoder and data to tables and files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from jobs.evaluate import EvaluateSettings, evaluate_encoder, main
from xlret.config import EncoderSettings, FreshEncoder, settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.trec import read_qrels, read_run
from xlret.model.encoder import start_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    """A tiny encoder from random weights, saved."""
    corpus = ParallelCorpus.open(corpora / "train")
    texts = [text for lang in corpus.languages for text in corpus.passages(lang, np.arange(corpus.n_groups))]
    fresh = FreshEncoder(vocabulary=300, layers=1, hidden=32, heads=2, feed_forward=64)
    path = tmp_path_factory.mktemp("encoder") / "model"
    start_encoder(EncoderSettings(fresh=fresh, max_query_tokens=16, max_passage_tokens=24), lambda: texts, 0).save(path)
    return path


def test_a_corpus_is_evaluated_and_everything_written(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--out", str(out), "--held-out", "tr"]
    assert main([*arguments, "--run-depth", "160"]) == 0
    shown = capsys.readouterr().out
    found = json.loads((out / "evaluation.json").read_text())
    assert f"{found['mo']:.4f}"[1:] in shown
    assert found["settings"]["corpus"] == str(corpora / "dev")
    assert found["versions"]["torch"]
    assert found["hardware"]["cpus"]
    assert found["seconds"]["encoding"] > 0
    assert found["held_out"][f"{corpora.name}/dev"]["mo"] > 0
    assert -1 <= found["sets"][0]["mrc@100"] <= 1
    run, qrels = read_run(out / "run.trec"), read_qrels(out / "qrels.trec")
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)
    assert np.mean([row["map"] for row in theirs.values()]) == pytest.approx(found["micro"], abs=1e-9)
    assert "heat" in (out / "report.html").read_text()

    # again: not over what is there; with --replace; and compared with itself
    with pytest.raises(UserError, match="exists already; choose another place, or add --replace"):
        main(arguments)
    assert main([*arguments, "--run-depth", "0", "--replace", "--compare", str(out / "evaluation.json")]) == 0
    again = json.loads((out / "evaluation.json").read_text())
    assert again["mo"] == found["mo"]
    assert {row["p"] for row in again["comparison"]["tests"]} == {1}
    assert not (out / "run.trec").exists()


def test_replace_never_removes_what_is_no_evaluation(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"exists already; choose another place$"):
        main(["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--out", str(tmp_path), "--replace"])
    assert (tmp_path / "thesis.txt").exists()


def test_the_settings_reach_the_encoder(corpora: Path, encoder: Path) -> None:
    def mul(**values: Any) -> float:
        settings = settings_from(EvaluateSettings, {"corpus": corpora / "dev", "groups": 15, **values})
        (found,) = evaluate_encoder(str(encoder), settings, None)
        return found.mul

    plain = mul()
    assert mul() == plain
    assert mul(max_passage_tokens=24, max_query_tokens=16) == plain  # what the encoder's card says
    assert mul(max_passage_tokens=5) != plain
    assert mul(query_prompt="bababa tatata ") != plain


def test_a_benchmark_of_several_sets_is_averaged(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in ("deu", "tha"):
        for side in (code, "eng"):
            (tmp_path / f"tatoeba.{code}-eng.{side}").write_text("ba be\nki ko ku\nmu\n")
    out = tmp_path / "out"
    main(["--encoder", str(encoder), "--benchmark", "tatoeba", "--data", str(tmp_path), "--out", str(out)])
    found = json.loads((out / "evaluation.json").read_text())
    assert found["recall@1"] == 1
    assert [one["name"] for one in found["sets"]] == ["tatoeba/deu", "tatoeba/tha"]
    assert found["benchmark"]["metric"] == "recall@1"
    assert found["mo"] is None
    assert "mean recall@1 of 2 sets: 1.0000" in capsys.readouterr().out
    assert (out / "tatoeba-tha.qrels.trec").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "nowhere"], "nowhere"),
        ([], "either a benchmark with its data or a corpus"),
        (["--benchmark", "xquad-r", "--corpus", "x"], "either a benchmark with its data or a corpus"),
        (["--benchmark", "xquad-r"], "xquad-r needs data: a directory with LANG.json"),
        (["--benchmark", "squad", "--data", "."], "unknown benchmark 'squad'"),
        (["--corpus", "x", "--precision", "int4"], "precision is 'int4'"),
        (["--corpus", "x", "--languages", "qq1"], "unknown language code 'qq1'"),
        (["--corpus", "x", "--compare", "nowhere/evaluation.json"], "there is no .*nowhere/queries.csv"),
    ],
)
def test_bad_arguments_are_one_line(encoder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(["--encoder", str(encoder), *arguments])


def test_fresh_is_no_encoder(corpora: Path) -> None:
    with pytest.raises(UserError, match="no encoder `fresh`"):
        main(["--encoder", "fresh", "--corpus", str(corpora / "dev")])

"""`xlret evaluate` from an encoder and data to tables and files."""

import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from trec_eval import evaluated, mean, read_qrels, read_run

from xlret.commands.app import main
from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import sha256_of
from xlret.search.calibration import Calibration


def test_a_corpus_is_evaluated_and_everything_written(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--out", str(out), "--held-out", "tr"]
    measures = ["--measure", "nDCG@20", "AP(rel=2)@100", "MRR@5"]
    assert main(["evaluate", *arguments, "--run-depth", "160", *measures]) == 0
    shown = capsys.readouterr().out
    found = json.loads((out / "evaluation.json").read_text())
    assert f"{found['mo']:.4f}"[1:] in shown
    assert found["settings"]["corpus"] == str(corpora / "dev")
    assert found["versions"]["torch"]
    assert found["encoder_files"]["model.safetensors"] == sha256_of(encoder / "model.safetensors")
    assert found["hardware"]["cpus"]
    assert found["seconds"]["encoding"] > 0
    assert found["held_out"][f"{corpora.name}/dev"]["mo"] > 0
    assert -1 <= found["sets"][0]["mrc"] == found["mrc"] <= 1
    assert found["peer"] is None  # one answer a language: the same for all rankings
    assert "PEER" not in shown
    assert found["means"]["macro"]["ndcg@10"] == found["ndcg@10"]
    qrels, run = read_qrels(out / "qrels.trec"), read_run(out / "run.trec")
    theirs = evaluated(qrels, run)
    for name in ("mul", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100"):
        assert mean(theirs, name) == pytest.approx(found["means"]["micro"][name], abs=1e-12)
    assert found["micro"] == found["means"]["micro"]["mul"]
    assert "heat" in (out / "report.html").read_text()
    for measure, value in ir_measures.calc_aggregate([ir_measures.nDCG @ 20, ir_measures.RR @ 5], qrels, run).items():
        assert value == pytest.approx(found["means"]["micro"][str(measure)], abs=1e-9)
    assert found["sets"][0]["measures"] == found["settings"]["measure"] == ["nDCG@20", "AP(rel=2)@100", "RR@5"]
    assert f"{found['nDCG@20']:.4f}"[1:] in shown.split("measures over the pooled corpus")[1]
    assert found["AP(rel=2)@100"] == 0  # nothing has a grade of 2
    columns = (out / "queries.csv").read_text().splitlines()[0].split(",")
    assert columns[:5] == ["id", "lang", "group", "average_precision", "rank_distance"]
    assert {"nDCG@20", "RR@5", "recall@10"} <= set(columns)

    # again: not over what is there; with --replace; and compared with itself
    with pytest.raises(UserError, match="exists already; choose another place, or add --replace"):
        main(["evaluate", *arguments])
    assert main(["evaluate", *arguments, "--run-depth", "0", "--replace", "--compare", str(out / "evaluation.json")]) == 0
    again = json.loads((out / "evaluation.json").read_text())
    assert again["mo"] == found["mo"]
    assert {row["p"] for row in again["comparison"]["tests"]} == {1}
    assert not (out / "run.trec").exists()


def test_replace_never_removes_what_is_no_evaluation(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"exists already; choose another place$"):
        main(["evaluate", "--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--out", str(tmp_path), "--replace"])
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


@pytest.mark.parametrize("balance", ["quota", "calibrated"])
def test_the_effect_of_a_balance_is_shown_beside_none(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str], balance: str
) -> None:
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev")]
    main(["evaluate", *arguments, "--out", str(tmp_path / "none")])
    capsys.readouterr()
    main(["evaluate", *arguments, "--out", str(tmp_path / "new"), "--balance", balance, "--compare", str(tmp_path / "none")])
    shown = capsys.readouterr().out
    plain, new = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("none", "new"))
    effect = new["balance"][f"{corpora.name}/dev"]
    assert plain["balance"] is None
    assert new["settings"]["balance"] == balance
    assert effect["none"]["mul"] == plain["mul"]  # before and after stand side by side, and the evaluation is of after
    assert effect[balance]["mul"] == new["mul"] == new["sets"][0]["mul"]
    assert effect[balance]["rank_distance"] == new["rank_distance"] != plain["rank_distance"]
    assert effect["calibrated_from"] == f"passages of {corpora.name}/dev"
    assert new["mo"] == pytest.approx(plain["mo"], abs=1e-6)
    title, table = shown.split("balance of languages before and after, calibrated from ")[1].split("\n", 1)
    assert title == f"passages of {corpora.name}/dev"
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line.split()}
    for name, found in (("none", plain), (balance, new)):
        assert rows[name][1] == f"{found['mul']:.4f}"[1:]
        assert rows[name][2] == f"{found['rank_distance']:.1f}"
    theirs = evaluated(read_qrels(tmp_path / "new/qrels.trec"), read_run(tmp_path / "new/run.trec"))
    assert mean(theirs, "mul") == pytest.approx(new["micro"], abs=1e-9)
    assert new["comparison"]["tests"]


def test_a_calibration_can_come_from_elsewhere(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    languages = ParallelCorpus.open(corpora / "dev").languages
    file = tmp_path / "calibration.json"
    Calibration(means=dict.fromkeys(languages, (0.0,) * 32), spreads=dict.fromkeys(languages, 0.5)).save(file)

    def found(**values: Any) -> Evaluation:
        (one,) = evaluate_encoder(str(encoder), settings_from(EvaluateSettings, {"corpus": corpora / "dev", **values}), None)
        return one

    # Means of zero and one spread for all leave every order as it is; the set's own calibration does not.
    assert found(balance="calibrated", calibration=file).mul == pytest.approx(found().mul, abs=1e-6)
    assert found(balance="calibrated").mul != pytest.approx(found().mul, abs=1e-6)
    Calibration(means={"de": (0.0,)}, spreads={"de": 0.5}).save(file)
    with pytest.raises(UserError, match="32 numbers and the calibration 1; calibrate with the encoder"):
        found(balance="calibrated", calibration=file)


def test_translate_test_encodes_english_words(tmp_path: Path, corpora: Path, encoder: Path, lexicon: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--run-depth", "0"]
    main(["evaluate", *arguments, "--languages", "en", "de", "fr", "--translate-test", str(lexicon), "--out", str(out)])
    main(["evaluate", *arguments, "--languages", "en", "--out", str(tmp_path / "english")])
    found = json.loads((out / "evaluation.json").read_text())
    english = json.loads((tmp_path / "english" / "evaluation.json").read_text())
    assert found["settings"]["translate_test"] == str(lexicon)
    # The lexicon has every word of the corpus: in every language it is the English test.
    matrix = found["sets"][0]["matrix"]
    assert {round(matrix[one][other], 9) for one in matrix for other in matrix} == {round(english["mo"], 9)}
    with pytest.raises(UserError, match="no lexicon from tr into en"):
        main(["evaluate", *arguments, "--translate-test", str(lexicon)])


def test_a_benchmark_of_several_sets_is_averaged(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in ("deu", "tha"):
        for side in (code, "eng"):
            (tmp_path / f"tatoeba.{code}-eng.{side}").write_text("ba be\nki ko ku\nmu\n")
    out = tmp_path / "out"
    main(["evaluate", "--encoder", str(encoder), "--benchmark", "tatoeba", "--data", str(tmp_path), "--out", str(out)])
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
        (["--corpus", "x", "--precision", "int4"], "--precision is int4"),
        (["--corpus", "x", "--languages", "qq1"], "unknown language code 'qq1'"),
        (["--corpus", "x", "--measure", "nDGC@3"], "unknown measure 'nDGC@3'.*such as nDCG@20"),
        (["--corpus", "x", "--balance", "fair"], "--balance is fair"),
        (["--corpus", "x", "--calibration", "c.json"], "choose balance calibrated or quota"),
        (["--corpus", "x", "--balance", "quota", "--calibration", "nowhere.json"], "cannot read calibration .*nowhere.json"),
        (["--corpus", "x", "--translate-test", "no/lexicon"], "no/lexicon"),
        (["--corpus", "x", "--compare", "nowhere/evaluation.json"], "there is no .*nowhere/queries.csv"),
    ],
)
def test_bad_arguments_are_one_line(encoder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(["evaluate", "--encoder", str(encoder), *arguments])


def test_fresh_is_no_encoder(corpora: Path) -> None:
    with pytest.raises(UserError, match="no model at 'fresh'"):
        main(["evaluate", "--encoder", "fresh", "--corpus", str(corpora / "dev")])


def test_what_was_measured_is_written_even_where_the_comparison_cannot_be_made(
    tmp_path: Path, corpora: Path, encoder: Path
) -> None:
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--run-depth", "0"]
    assert main(["evaluate", *arguments, "--groups", "10", "--out", str(tmp_path / "few")]) == 0
    with pytest.raises(UserError):
        main(["evaluate", *arguments, "--out", str(tmp_path / "all"), "--compare", str(tmp_path / "few")])
    assert "comparison" not in json.loads((tmp_path / "all" / "evaluation.json").read_text())

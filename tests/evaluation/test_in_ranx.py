"""ranx and ir_measures read the files of an evaluation and find our numbers; pytrec_eval does in `test_evaluate_job`."""

import json
from pathlib import Path

import ir_measures
import pytest

from xlret.commands.app import main

OURS = {"ndcg@10": "ndcg@10", "map": "mul", "mrr@10": "mrr@10", "recall@10": "recall@10", "recall@1": "recall@1"}
"""The name of ranx -> ours."""


@pytest.mark.slow
def test_ranx_and_ir_measures_read_our_runs(
    tmp_path: Path, corpora: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling the measures of ranx takes minutes
    ranx = pytest.importorskip("ranx", reason="ranx is not installed; it is in the extra bench")
    out = tmp_path / "out"
    corpus = ["--corpus", str(corpora / "dev"), "--languages", "de", "--run-depth", "10000"]
    assert main(["evaluate", "--encoder", str(encoder), *corpus, "--out", str(out)]) == 0
    ours = json.loads((out / "evaluation.json").read_text())["means"]["micro"]
    qrels = ranx.Qrels.from_file(str(out / "qrels.trec"), kind="trec")
    run = ranx.Run.from_file(str(out / "run.trec"), kind="trec")
    for name, value in ranx.evaluate(qrels, run, list(OURS)).items():
        assert value == pytest.approx(ours[OURS[name]], abs=1e-9), name
    assert 0 < ours["ndcg@10"] < 1
    read = (ir_measures.read_trec_qrels(str(out / "qrels.trec")), ir_measures.read_trec_run(str(out / "run.trec")))
    for measure, value in ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP], *read).items():
        assert value == pytest.approx(ours["ndcg@10" if measure == ir_measures.nDCG @ 10 else "mul"], abs=1e-9)

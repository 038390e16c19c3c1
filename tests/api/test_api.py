"""The front door: what a notebook does, in process, on a small made-up corpus."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import xlret
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError

SMALL = {"tokens_per_forward": 512, "log_every": 4, "optimiser": {"learning_rate": 1e-3}}
PLAN = {"alpha": 0.5, "batch_size": 16}


def test_importing_xlret_brings_neither_torch_nor_ray() -> None:
    code = "import sys, xlret; dir(xlret); assert not {'torch', 'ray', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_front_door_brings_no_ray() -> None:
    code = "import sys, xlret; [getattr(xlret, name) for name in xlret.__all__]; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Indeks'; it has Corpus, Encoder"):
        xlret.Indeks  # noqa: B018


def records(corpus: ParallelCorpus) -> list[dict[str, str]]:
    groups = np.arange(corpus.n_groups)
    return [
        {"group_id": group_id, "lang": lang, "query": query, "text": text}
        for lang in corpus.languages
        for group_id, query, text in zip(
            corpus.group_ids(groups), corpus.queries(lang, groups), corpus.passages(lang, groups), strict=True
        )
    ]


def test_corpus_train_evaluate_index_search(encoder: Path, corpora: Path, tmp_path: Path) -> None:
    corpus = xlret.Corpus.from_rows(records(ParallelCorpus.open(corpora / "train")))
    passages = records(ParallelCorpus.open(corpora / "dev"))
    held_out = xlret.Corpus.from_rows(passages, tmp_path / "dev")
    start = xlret.Encoder.load(encoder)
    trained = xlret.train(start, corpus, plan=PLAN, steps=8, dev=tmp_path / "dev", show=None, **SMALL)
    assert trained.run.steps == 8
    assert trained.run.report.is_file()
    assert [line["step"] for line in trained.run.history()] == [4, 8]
    assert not np.allclose(trained.encoder.encode(["x y"], "query"), start.encode(["x y"], "query"))
    [before], [after] = xlret.evaluate(start, held_out), xlret.evaluate(trained.encoder, held_out, languages=["en", "de"])
    assert before.languages == ("de", "en", "fr", "tr")
    assert after.languages == ("de", "en")
    assert 0 < after.mul < 1
    index = xlret.Index.build(trained.encoder, held_out)
    assert len(index) == 160
    passage = passages[0]
    hits = index.search(passage["text"], k=3, languages=[passage["lang"]], balance="quota")
    assert [hit.lang for hit in hits] == [passage["lang"]] * 3
    with xlret.serve_local(index) as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_run_with_a_directory_goes_on_and_is_equal(encoder: Path, tmp_path: Path, corpora: Path) -> None:
    settings = {"plan": PLAN, "steps": 6, "show": None, **SMALL}
    first = xlret.train(encoder, corpora / "train", out=tmp_path / "runs" / "a", **settings)
    again = xlret.train(encoder, corpora / "train", out=tmp_path / "runs" / "a", **settings)
    other = xlret.train(encoder, corpora / "train", **settings)
    assert first.run == again.run
    assert first.run.weights_sha256 == other.run.weights_sha256
    assert (tmp_path / "runs" / "a" / "model").is_dir()


def test_what_cannot_be_used_is_one_line(encoder: Path, corpora: Path) -> None:
    with pytest.raises(UserError, match=r"plan\.alpha is 2"):
        xlret.train(encoder, corpora / "train", plan={"alpha": 2})
    with pytest.raises(UserError, match="stepz: unknown key"):
        xlret.train(encoder, corpora / "train", stepz=3)
    with pytest.raises(UserError, match="benchmark xquad-r needs data"):
        xlret.evaluate(encoder, "xquad-r")
    with pytest.raises(UserError, match=r"give them to Encoder\.load"):
        xlret.evaluate(xlret.Encoder.load(encoder), corpora / "dev", max_query_tokens=8)


def test_what_is_of_the_wrong_kind_is_one_line(encoder: Path, corpora: Path) -> None:
    anything: Any = xlret
    rows: Any = [{"group_id": "1", "lang": "en", "query": "a", "text": "b"}]
    for mistake, message in {
        lambda: anything.train(encoder, rows, show=None): r"a corpus is a dict; .* Corpus\.from_rows",
        lambda: anything.train(encoder, None, show=None): "a corpus is a NoneType",
        lambda: anything.train(3, corpora / "train", show=None): "encoder is a int",
        lambda: anything.train(encoder, corpora / "train", plan=3): "plan is a int; give its settings",
        lambda: anything.train(encoder, corpora / "train", name="mine"): "name: the directory of the run is given as out=",
        lambda: anything.evaluate(None, corpora / "dev"): r"encoder is a NoneType; .* `trained\.encoder`",
        lambda: anything.evaluate(encoder, rows): "a corpus is a list",
        lambda: anything.evaluate(encoder, corpora / "dev", groups=-1): "groups is -1; allowed are whole numbers from 1",
        lambda: anything.evaluate(encoder, corpora / "dev", reranker="mine"): r"Reranker\.load",
    }.items():
        with pytest.raises(UserError, match=message):
            mistake()


def test_an_index_refuses_what_is_no_passage_and_no_query(encoder: Path) -> None:
    loaded, build = xlret.Encoder.load(encoder), cast(Any, xlret.Index.build)
    for passages, message in (
        (["a"], "passage 1 is a str; give Passage"),
        ("mine", "passages are a str"),
        (None, "are a NoneType"),
    ):
        with pytest.raises(UserError, match=message):
            build(loaded, passages)
    index = xlret.Index.build(loaded, [xlret.Passage("1", "de", "Bern", "Bern liegt an der Aare.")])
    assert [hit.id for hit in index.search("Bern", languages="de")] == ["1"]
    for query in ("", " ", None, ["a", "b"]):
        with pytest.raises(UserError, match="give a text that is not blank"):
            index.search(cast(Any, query))


def test_pools_baselines_and_measures_are_those_of_the_command(encoder: Path, corpora: Path) -> None:
    model = xlret.Encoder.load(encoder)
    on, languages = corpora / "dev", ["de", "en"]
    [whole] = xlret.evaluate(model, on, languages=languages, measures=["nDCG@20"])
    parts = xlret.evaluate(model, on, languages=languages, pool="mono")
    assert [part.name.rpartition("/")[2] for part in parts] == ["de-de", "en-en"]
    assert sum(part.mul for part in parts) / 2 == pytest.approx(whole.mo)
    assert 0 < whole.pooled["nDCG@20"] <= 1
    [fused] = xlret.evaluate(model, on, languages=languages, baseline="bm25")
    assert fused.mul != whole.mul
    with pytest.raises(UserError, match="leave balance out"):
        xlret.evaluate(model, on, baseline="bm25", balance="quota")
    with pytest.raises(UserError, match="hub fetches the files of a benchmark"):
        xlret.evaluate(model, on, hub=True)

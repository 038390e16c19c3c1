"""The front door: what a notebook does, in process, on a small made-up corpus."""

import subprocess
import sys
from pathlib import Path

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
    with xlret.serve_local(index.index, trained.encoder) as server:
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

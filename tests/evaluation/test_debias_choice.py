"""Making and choosing language components, and measuring without them."""

import json
from pathlib import Path

import numpy as np
import pytest

from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.debias.choice import candidates, component_of_set, trials
from xlret.evaluation.debias.make import drawn_texts
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.model.debias.component import LanguageComponent
from xlret.model.debias.estimate import estimate_component, language_means
from xlret.model.encoder import Encoder
from xlret.search.passages import Passage

LANGUAGES = ("de", "en", "th")
GROUPS = 60


@pytest.fixture(scope="module")
def biased() -> tuple[RetrievalSet, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """A set whose vectors are meaning + language, and other texts of the same languages."""
    rng = np.random.default_rng(0)
    meaning, own = rng.normal(size=(GROUPS, 16)), dict(zip(LANGUAGES, 3 * rng.normal(size=(3, 16)), strict=True))

    def texts(base: np.ndarray, noise: float) -> dict[str, np.ndarray]:
        rows = {lang: base + own[lang] + noise * rng.normal(size=base.shape) for lang in LANGUAGES}
        return {lang: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for lang, x in rows.items()}

    ids = [f"{group}/{lang}" for lang in LANGUAGES for group in range(GROUPS)]
    langs = [lang for lang in LANGUAGES for _ in range(GROUPS)]
    relevant = [np.arange(3) * GROUPS + group for _ in LANGUAGES for group in range(GROUPS)]
    groups = [str(group) for _ in LANGUAGES for group in range(GROUPS)]
    retrieval_set = RetrievalSet("biased", LANGUAGES, ids, langs, ids, ids, langs, ids, relevant, groups)
    queries, passages = (np.concatenate(list(texts(meaning, 0.5).values())) for _ in range(2))
    return retrieval_set, queries, passages, texts(rng.normal(size=(300, 16)), 0.5)


def test_what_is_chosen_brings_the_languages_together(
    biased: tuple[RetrievalSet, np.ndarray, np.ndarray, dict[str, np.ndarray]],
) -> None:
    retrieval_set, queries, passages, texts = biased
    tried = trials(candidates(language_means(texts)), retrieval_set, queries, passages)
    assert [trial.score for trial in tried] == sorted((trial.score for trial in tried), reverse=True)
    by_name = {trial.name: trial for trial in tried}
    assert len(by_name) == 3 * 3 + 3 + 1  # three alphas of three methods, three directions, none
    none, best = by_name["none"].evaluation, tried[0].evaluation
    np.testing.assert_equal(none.values_Q["mul"], evaluate(retrieval_set, queries, passages).values_Q["mul"])
    assert best.mul > none.mul + 0.1
    assert best.rank_distance < 0.5 * none.rank_distance
    assert by_name["shift, alpha 1"].evaluation.mul > by_name["shift, alpha 0.5"].evaluation.mul  # all of it is language
    assert list(candidates(language_means(texts), "shift")) == [f"shift, alpha {alpha}" for alpha in ("0.5", "0.75", "1")]


def test_no_method_is_a_choice_too(biased: tuple[RetrievalSet, np.ndarray, np.ndarray, dict[str, np.ndarray]]) -> None:
    """What is learned from the languages of others' vectors does harm, and is seen to do so."""
    retrieval_set, queries, passages, _ = biased
    queries, passages = (
        vectors - np.concatenate([np.tile(rows.mean(axis=0), (GROUPS, 1)) for rows in np.split(vectors, 3)])
        for vectors in (queries, passages)
    )
    queries, passages = (
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32) for vectors in (queries, passages)
    )
    wrong = estimate_component({lang: passages[:30] + row for row, lang in enumerate(LANGUAGES)}, "centre")
    assert trials({"wrong": wrong}, retrieval_set, queries, passages)[0].name == "none"


def test_a_draw_does_not_depend_on_the_order_of_passages() -> None:
    passages = [Passage(f"p{number}", lang, None, f"{lang} {number}", {}) for number in range(50) for lang in ("de", "en")]
    passages = [passage._replace(id=f"{passage.id}{passage.lang}") for passage in passages]
    drawn = drawn_texts(passages, 20)
    assert {lang: len(set(texts)) for lang, texts in drawn.items()} == {"de": 20, "en": 20}
    assert drawn_texts(reversed(passages), 20) == drawn
    assert drawn_texts(passages, 100)["de"][:20] == drawn["de"]


def test_a_component_is_chosen_written_and_evaluated(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["debias", str(encoder), "--corpus", str(corpora / "train")]
    assert main([*command, str(tmp_path / "chosen.json"), "--dev", str(corpora / "dev"), "--texts", "100"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "project, 2 directions" in shown
    chosen = LanguageComponent.load(tmp_path / "chosen.json")
    assert chosen.texts == dict.fromkeys(("de", "en", "fr", "tr"), 100)
    assert chosen.made_from.startswith("400 passages of ")
    assert set(chosen.encoder) >= {"config.json", "model.safetensors"}

    linear = ["--method", "project", "--directions", "2", "--texts", "40"]
    assert main([*command, str(tmp_path / "linear.json"), *linear, "--module", str(tmp_path / "debiased")]) == 0
    assert main([*command, str(tmp_path / "again.json"), *linear]) == 0
    assert (tmp_path / "linear.json").read_bytes() == (tmp_path / "again.json").read_bytes()

    evaluating = ["evaluate", "--corpus", str(corpora / "dev"), "--groups", "20", "--out", str(tmp_path / "out"), "--encoder"]
    assert main([*evaluating, str(encoder), "--debias", str(tmp_path / "linear.json")]) == 0
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    [about] = written["debias"].values()
    assert (about["method"], about["texts"]) == ("project", dict.fromkeys(("de", "en", "fr", "tr"), 40))
    dev_set = from_corpus(ParallelCorpus.open(corpora / "dev"), groups=20)
    carried, plain = (measure(Encoder.load(path), dev_set, Method()) for path in (tmp_path / "debiased", encoder))
    assert written["mul"] == pytest.approx(carried.evaluation.mul, rel=1e-3)
    assert written["mul"] != pytest.approx(plain.evaluation.mul, rel=1e-3)
    with pytest.raises(UserError, match="another encoder"):
        main([*evaluating, str(tmp_path / "debiased"), "--replace", "--debias", str(tmp_path / "chosen.json")])


def test_a_method_is_estimated_from_the_passages_of_the_set(corpora: Path, encoder: Path) -> None:
    model, retrieval_set = Encoder.load(encoder), from_corpus(ParallelCorpus.open(corpora / "dev"))
    measured = measure(model, retrieval_set, Method(debias="centre"))
    queries, passages = (
        model.encode(getattr(retrieval_set, f"{side}_texts"), side).astype(np.float64) for side in ("query", "passage")
    )
    component = component_of_set(retrieval_set, passages.astype(np.float32), "centre")
    assert measured.component == component
    langs = np.array(retrieval_set.passage_langs)
    offset = {lang: np.array(component.offsets[lang]) for lang in retrieval_set.languages}
    for lang, vector in offset.items():  # the mean itself, but for what is drawn towards the average
        assert np.abs(vector - passages[langs == lang].mean(axis=0)).max() < 0.05
    left = [
        rows - np.array([offset[lang] for lang in langs_of_rows])
        for rows, langs_of_rows in ((queries, retrieval_set.query_langs), (passages, retrieval_set.passage_langs))
    ]
    unit = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in left]
    assert measured.evaluation.mul == pytest.approx(evaluate(retrieval_set, *unit).mul, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either files of texts or a corpus"),
        (["--corpus", "x", "--text", "y"], "give either files of texts or a corpus"),
        (["--corpus", "x", "--lang", "de"], "the texts of a corpus say theirs"),
        (["--corpus", "x", "--dev", "y", "--alpha", "1"], "are chosen on dev"),
        (["--corpus", "x", "--alpha", "nan"], "alpha"),
        (["--corpus", "x", "--texts", "5"], "texts"),
        (["--corpus", "x", "--method", "center"], "center"),
        (["--corpus", "x", "--method", "shift", "--module", "m"], "no linear map"),
    ],
)
def test_what_cannot_be_made(tmp_path: Path, encoder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(["debias", str(encoder), str(tmp_path / "out.json"), *arguments])
    assert not (tmp_path / "out.json").exists()


def test_what_is_there_is_not_overwritten_and_texts_may_be_too_few(tmp_path: Path, encoder: Path) -> None:
    rows = [
        {"id": f"{lang}{n}", "lang": lang, "text": f"bada kelo {n}"}
        for lang, most in (("de", 30), ("en", 30), ("sw", 3))
        for n in range(most)
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = ["debias", str(encoder), str(tmp_path / "out.json"), "--text", str(tmp_path / "texts.jsonl")]
    assert main(command) == 0
    made = LanguageComponent.load(tmp_path / "out.json")
    assert (made.method, made.texts) == ("project", {"de": 30, "en": 30})
    with pytest.raises(UserError, match="exists already"):
        main(command)
    assert main([*command, "--replace", "--method", "centre"]) == 0
    with pytest.raises(UserError, match=r"there are de 30$"):
        main([*command, "--replace", "--languages", "de"])

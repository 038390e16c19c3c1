"""Mining hard negatives: filters by hand, never an own answer in any language, from the command to a trained encoder."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from small_corpus import write

from xlret.batches.negative_languages import negative_languages
from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus, Row
from xlret.errors import UserError
from xlret.files import sha256_of
from xlret.mine.candidates import Query, Ranked, reranked
from xlret.mine.choose import Candidate, MineCounts, asked_languages, chosen, passing
from xlret.mine.run import mine
from xlret.mine.settings import MineJob
from xlret.model.encoder import Encoder

CLUSTERS = {0: 0, 1: 0, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6}
RANKED = [
    Candidate(1, "de", 0.99),  # of the own cluster
    Candidate(2, "en", 0.90),
    Candidate(0, "en", 0.80),  # the own passage
    Candidate(3, "de", 0.60),
    Candidate(4, "de", 0.55),
    Candidate(5, "en", 0.50),  # of the cluster of 4
    Candidate(6, "en", 0.40),
]
POSITIVES = {"en": 0.8, "de": 0.58}


def settings(**changes: Any) -> MineJob:
    return MineJob.model_validate({"corpus": "/c", "out": "/o", "by": "bm25", "margin": None} | changes)


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        ({}, [2, 3, 4, 6]),
        ({"margin": 0.95}, [4, 6]),  # 0.90 > 0.76 in English; 0.60 > 0.551 in German, 0.55 is not
        ({"below": 0.1}, [5, 6]),  # German ones have to stay below 0.48; 5 stands for its cluster then
        ({"highest": 0.55}, [4, 6]),
        ({"first_rank": 2, "last_rank": 3}, [3, 4]),  # ranks of 2, 3, 4, 5, 6; the own cluster has none
        ({"draw": "balanced", "first_rank": 2}, [4, 6]),  # from each language's second on; 5 is of 4's cluster
    ],
)
def test_what_passes_the_filters(changes: dict[str, Any], groups: list[int]) -> None:
    counts = MineCounts()
    passed = passing(RANKED, "en", 0, CLUSTERS, POSITIVES, settings(**changes), counts)
    assert [candidate.group for candidate in passed] == groups
    assert counts.own == 2


def test_a_margin_of_negative_scores_drops_what_is_above_them() -> None:
    """A reranker's logits: 95 % of -2 is -2.1, not -1.9."""
    ranked = [Candidate(2, "en", -1.95), Candidate(3, "en", -2.05), Candidate(6, "en", -2.2)]
    passed = passing(ranked, "en", 0, CLUSTERS, {"en": -2.0}, settings(margin=0.95), MineCounts())
    assert [candidate.group for candidate in passed] == [6]


def test_the_best_of_them_or_drawn_ones_or_all_languages_in_turn() -> None:
    passed = [Candidate(group, "en" if group < 6 else "de", 1 - group / 10) for group in range(8)]
    assert [candidate.group for candidate in chosen(passed, 9, settings(negatives=3))] == [0, 1, 2]
    assert [candidate.group for candidate in chosen(passed, 9, settings(negatives=4, draw="balanced"))] == [0, 1, 6, 7]
    random = settings(negatives=3, keep="random")
    drawn = [tuple(candidate.group for candidate in chosen(passed, group, random)) for group in range(20)]
    assert len(set(drawn)) > 10
    assert all(list(groups) == sorted(groups) for groups in drawn), "best first"


def test_groups_are_asked_in_languages_that_are_drawn_evenly() -> None:
    counts = Counter(lang for group in range(600) for lang in asked_languages(group, ["de", "en", "fr"], settings()))
    assert min(counts.values()) > 150
    assert asked_languages(3, ["de", "en"], settings(queries_per_group=5)) == ["de", "en"]


def test_a_reranker_scores_candidates_and_positives_anew(corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "train")
    first = Ranked([Candidate(5, "de", 0.9), Candidate(6, "en", 0.8)], {"en": 0.7})
    texts = {corpus.passages("de", np.array([5]))[0]: -1.0, corpus.passages("en", np.array([6]))[0]: 2.0}
    texts[corpus.passages("en", np.array([3]))[0]] = 4.0
    again = reranked(first, Query(3, "en", "?"), corpus, lambda pairs: np.array([texts[text] for _, text in pairs], np.float32))
    assert again == Ranked([Candidate(6, "en", 2.0), Candidate(5, "de", -1.0)], {"en": 4.0})


@pytest.mark.parametrize("draw", ["pooled", "own", "other", "balanced"])
def test_mined_by_an_encoder(draw: str, tmp_path: Path, corpora: Path, encoder: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "train")
    job = settings(corpus=corpora / "train", out=tmp_path / "out", by="encoder", encoder=encoder, draw=draw, negatives=6)
    result = mine(job, say=lambda line: None)
    mined, groups = ParallelCorpus.open(tmp_path / "out"), np.arange(corpus.n_groups)
    negatives, scores = mined.hard_negatives(groups, 6), mined.hard_negative_scores(groups, 6)
    assert result.groups == 160
    assert (negatives >= 0).all()
    assert (corpus.clusters(negatives.reshape(-1)).reshape(-1, 6) != corpus.clusters(groups)[:, None]).all()
    pairs = {(query, passage): kept for query, passage, kept, _ in result.table()}
    assert sum(pairs.values()) == 160 * 6
    own = sum(kept for (query, passage), kept in pairs.items() if query == passage)
    assert {"own": own == 960, "other": own == 0, "pooled": 0 < own < 960, "balanced": 160 <= own <= 320}[draw]
    # By plain products: the best of the own language, with the own passage's score.
    if draw == "own":
        model = Encoder.load(encoder)
        lang = asked_languages(7, corpus.languages, job)[0]
        query = model.encode(corpus.queries(lang, np.array([7])), "query")[0]
        cosines = model.encode(corpus.passages(lang, groups), "passage") @ query
        best = [group for group in np.argsort(-cosines).tolist() if group != 7][:6]
        np.testing.assert_allclose(scores[7], [cosines[7], *cosines[best]], atol=2e-3)  # vectors are kept in float16
    assert "draw" in mined.manifest.made_by or draw == "pooled"


def test_mined_by_bm25_with_clusters(tmp_path: Path) -> None:
    rows = [
        Row("a", "en", "red house?", None, "A red house.", "1"),
        Row("b", "en", "red home?", None, "A red house and a red barn.", "1"),  # answers a's query too
        Row("c", "en", "red car?", None, "A red car.", None),
        Row("d", "en", "old boat?", None, "An old boat.", None),
    ]
    write(tmp_path / "corpus", rows)
    result = mine(settings(corpus=tmp_path / "corpus", out=tmp_path / "out"), say=lambda line: None)
    mined = ParallelCorpus.open(tmp_path / "out")
    ids = mined.group_ids(np.arange(4))
    named = {ids[g]: [ids[n] for n in mined.hard_negatives(np.array([g]), 8)[0] if n >= 0] for g in range(4)}
    assert named["a"] == ["c"]
    assert named["b"] == ["c"]
    assert sorted(named["c"]) in (["a"], ["b"]), "one of a cluster"
    assert named["d"] == [], "no word in common with any other"
    assert result.negatives_of_group == {0: 1, 1: 3}


def test_from_the_command_to_training_with_negatives_in_all_languages(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [f"corpus={corpora / 'train'}", f"out={tmp_path / 'mined'}", f"encoder={encoder}", "query_languages=[en]"]
    arguments = [part for setting in told for part in ("--set", setting)]
    assert main(["mine", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "Mined by languages" in printed
    assert "hard negatives in" in printed
    with pytest.raises(UserError, match="exists already"):
        main(["mine", *arguments])
    recipe = [
        "name=run",
        f"storage={tmp_path}",
        f"corpora=[{tmp_path / 'mined'}]",
        "steps=2",
        "plan.batch_size=8",
        f"encoder.start={encoder}",
        "ray.workers=0",
        "hard_negatives=2",
        "negative_language=balanced",
    ]
    assert main(["train", *[part for setting in recipe for part in ("--set", setting)]]) == 0

    told[2] = f"encoder={tmp_path / 'run/model'}"  # the second round, by what the first one's negatives trained
    assert main(["mine", *[part for setting in told for part in ("--set", setting)], "--replace"]) == 0
    made_by = ParallelCorpus.open(tmp_path / "mined").manifest.made_by
    assert made_by.count("xlret mine") == 1, "the second round's negatives stand in the place of the first's"
    assert f"encoder_sha256={sha256_of(tmp_path / 'run/model/model.safetensors')[:12]}" in made_by


def test_languages_of_negatives_are_drawn_among_those_there_are(corpora: Path) -> None:
    corpus, allowed = ParallelCorpus.open(corpora / "train"), ["de", "en", "fr"]
    groups = np.arange(80).reshape(40, 2)

    def drawn(way: Any) -> list[str]:
        return negative_languages(corpus, groups, ["de"] * 40, allowed, way, (0, 3), 0).tolist()

    assert set(drawn("passage")) == {"de"}
    assert set(drawn("other")) == {"en", "fr"}
    assert min(drawn("balanced").count(lang) for lang in allowed) > 10
    later = negative_languages(corpus, groups[25:], ["de"] * 15, allowed, "balanced", (0, 3), 25).tolist()
    assert later == drawn("balanced")[50:], "the same however rows are shared out"


def test_settings_and_languages_that_cannot_be(tmp_path: Path, corpora: Path) -> None:
    with pytest.raises(ValidationError, match="by encoder needs an encoder"):
        settings(by="encoder")
    with pytest.raises(ValidationError, match="by bm25 has no encoder"):
        settings(by="bm25", encoder="x")
    alone = {"query_languages": ["en"], "passage_languages": ["en"], "draw": "other", "by": "bm25", "encoder": None}
    with pytest.raises(UserError, match="draw other leaves queries in en no passages in en"):
        mine(settings(corpus=corpora / "train", out=tmp_path / "out", **alone))
    with pytest.raises(ValidationError, match="first_rank 30 is behind last_rank 20"):
        settings(first_rank=30, last_rank=20)
    with pytest.raises(UserError, match="passage_languages: the corpus has no it there"):
        mine(settings(corpus=corpora / "train", out=tmp_path / "out", passage_languages=["it"]))

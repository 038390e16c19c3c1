"""Every loss from a recipe to a trained encoder, in a few steps."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from xlret.batches.plan import BatchPlan
from xlret.config import read_recipe
from xlret.data.corpus import ParallelCorpus
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.data.teacher import Teacher
from xlret.errors import UserError
from xlret.files import sha256_of
from xlret.model.encoder import start_encoder
from xlret.model.losses.settings import LossKind
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.training.run import train
from xlret.training.settings import TrainJob
from xlret.training.teacher import teacher_vectors

KINDS: tuple[LossKind, ...] = tuple(kind for kind in get_args(LossKind) if kind != "infonce")


def job(storage: Path, corpora: Path, start: Path, **changes: Any) -> TrainJob:
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": 3,
        "log_every": 3,
        "plan": {"batch_size": 8, "exclude": ["tr"]},
        "encoder": {"start": str(start)},
        "optimiser": {"learning_rate": 1e-3},
        "ray": {"workers": 0},
    }
    return TrainJob.model_validate(values | changes)


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    """The training corpus with up to two scored hard negatives a group, none in every fourth."""
    directory = tmp_path_factory.mktemp("mined")
    lists = [
        Mined(group, [(group + 40) % 160, (group + 80) % 160][: group % 4], [1.0, 0.5][: group % 4], 2.0)
        for group in range(160)
    ]
    write_hard_negatives(corpora / "train", directory / "train", lists, made_by="tests")
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_that_names_the_loss_trains_with_it(
    kind: LossKind, tmp_path: Path, corpora: Path, encoder: Path, mined: Path
) -> None:
    reranked = kind in ("rank_distillation", "margin_mse")
    loss = {"kind": kind, "retrieval_weight": 0.5, "pair_weights": {"de>*": 2}, "spread_weight": 0.1 * reranked}
    data, negatives = (mined, 2) if reranked else (corpora, 0)
    result = train(job(tmp_path, data, encoder, loss=loss, hard_negatives=negatives), show=None)
    report = result.history()[-1]
    spread = 0.1 * report["spread"] if reranked else 0
    assert report["loss"] == pytest.approx(0.5 * report["retrieval"] + report["term"] + spread, rel=1e-5)
    assert sha256_of(result.model / "model.safetensors") != sha256_of(tmp_path / "run" / "start" / "model.safetensors")
    if kind == "mimo":
        again = train(job(tmp_path, corpora, encoder, loss=loss, name="again"), show=None)
        assert again.weights_sha256 == result.weights_sha256
        assert len([path for path in (tmp_path / "teachers").iterdir() if path.is_dir()]) == 1, "encoded once"


def test_a_teacher_reads_what_the_batches_are_of(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    loss = {"kind": "mimo"}
    few, many = job(tmp_path, corpora, encoder, loss=loss), job(tmp_path, corpora, encoder, loss=loss, steps=10)
    corpus = ParallelCorpus.open(corpora / "train")
    plan = BatchPlan([corpus], few.plan)
    paths = [teacher_vectors(run, [corpus], plan, encoder)[0] for run in (few, many, few)]
    assert paths[0] == paths[2] != paths[1]
    drawn = np.unique(np.concatenate([plan.step(step).group for step in range(3)]))
    sizes = [pa.ipc.open_file(path / "passage.vectors.arrow").read_all().num_rows for path in paths]
    assert sizes[:2] == [len(drawn), len(corpus.side("passage", "en"))], "24 of 160 groups; 80 draws are half of them"
    part, whole = (Teacher(path, corpus).vectors("passage", drawn[::-1]) for path in paths[:2])
    assert np.abs(part - whole).max() < 1e-3
    assert np.abs(whole).max() > 0.1
    with pytest.raises(AssertionError, match="read every text"):
        Teacher(paths[0], corpus).vectors("passage", np.setdiff1d(np.arange(160), drawn)[:1])


def test_a_teacher_with_longer_vectors_is_refused_before_it_encodes(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=48, heads=2, feed_forward=64)
    start_encoder(EncoderSettings(fresh=fresh), lambda: ["ba be bi bo bu"], 0).save(tmp_path / "teacher")
    loss = {"kind": "mimo", "teacher": str(tmp_path / "teacher")}
    with pytest.raises(UserError, match="its vectors have 48 numbers, the encoder's 32"):
        train(job(tmp_path, corpora, encoder, loss=loss), show=None)
    assert not [path for path in (tmp_path / "teachers").iterdir() if path.is_dir()]


def test_each_corpus_has_to_hold_hard_negatives(tmp_path: Path, corpora: Path, encoder: Path, mined: Path) -> None:
    """Not the one that the first batch is of alone."""
    for both in ([mined / "train", corpora / "dev"], [corpora / "dev", mined / "train"]):
        with pytest.raises(UserError, match=r"hard_negatives is 2, but .*dev holds none; mine them first"):
            train(job(tmp_path, corpora, encoder, hard_negatives=2).model_copy(update={"corpora": tuple(both)}), show=None)


def test_a_weight_of_a_language_that_no_batch_has_is_refused(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    loss = {"pair_weights": {"de>*": 2, "*>sw": 3}}
    with pytest.raises(UserError, match=r"pair_weights names sw, which no batch has a text in; batches have de, "):
        train(job(tmp_path, corpora, encoder, loss=loss), show=None)


@pytest.mark.parametrize(("model", "key"), [("retriever", "loss"), ("reranker", "reranker")])
def test_cosines_in_place_of_logits_need_a_temperature(
    model: str, key: str, tmp_path: Path, corpora: Path, encoder: Path
) -> None:
    lists = [Mined(group, [(group + 40) % 160], [0.81], 0.84) for group in range(160)]
    write_hard_negatives(corpora / "train", tmp_path / "mined" / "train", lists, made_by="tests")
    taught: dict[str, Any] = {"kind": "margin_mse"} if key == "loss" else {"loss": "margin_mse", "negatives": 1}
    plain = job(tmp_path, tmp_path / "mined", encoder, model=model, hard_negatives=1, **{key: taught})
    with pytest.raises(UserError, match=rf"between 0\.810 and 0\.840, as cosines .* set {key}\.teacher_temperature"):
        train(plain, show=None)
    cooled = job(
        tmp_path, tmp_path / "mined", encoder, model=model, hard_negatives=1, **{key: taught | {"teacher_temperature": 1}}
    )
    assert train(cooled, show=None).history()


def test_the_loss_is_a_setting_like_any_other() -> None:
    told = read_recipe(TrainJob, "real", ["loss.kind=mimo", "loss.distillation_share=1", "loss.pivot=eng"])
    assert (told.loss.kind, told.loss.retrieval, told.loss.pivot) == ("mimo", 0.0, "en")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"loss": {"kind": "xlco", "learned_temperature": True}}, "has a fixed temperature"),
        ({"loss": {"retrieval_weight": 0}}, "leaves nothing of loss.kind infonce"),
        ({"loss": {"kind": "lakda"}, "model": "reranker"}, "compares vectors, which a reranker has none of"),
        ({"loss": {"kind": "margin_mse"}}, "mine some"),
        ({"loss": {"kind": "xlco", "symmetric": True}}, "xlco has it with a retrieval_weight"),
        ({"loss": {"reverse_share": 0.9}}, r"1\.1 together"),
        ({"loss": {"directions": ["query_to_query"]}}, "directions name query_to_passage"),
        ({"loss": {"pair_weights": {"de-en": 2}}}, "not of the form query>passage"),
        ({"loss": {"pair_weights": {"*>*": 2}}}, "not of the form query>passage"),
        ({"loss": {"hardness": "in_batch"}}, "hardness is of loss.kind four_way and changes nothing under infonce"),
        ({"loss": {"kind": "xlco", "teacher": "./x"}}, "teacher is of loss.kind mimo and changes nothing under xlco"),
        ({"loss": {"kind": "four_way", "hardness_strength": 9}}, "changes nothing with hardness none"),
        ({"loss": {"kind": "xlco", "term_weight": 2}}, "term_weight is of a term beside InfoNCE"),
        ({"loss": {"kind": "four_way", "mask": False}}, "mask are InfoNCE's"),
        ({"loss": {"retrieval_weight": 0.5}}, "beside another term"),
        ({"loss": {"printed_form": True}}, "printed_form has hard negatives alone"),
        ({"negative_language": "balanced"}, "balanced is of hard_negatives, of which there are 0"),
        ({"reranker": {"loss": "listwise"}}, "listwise changes nothing of a retriever; set model to reranker"),
        ({"loss": {"kind": "mimo"}, "encoder": {"dimensions": [8]}}, "a teacher's vectors have one length"),
        (
            {"loss": {"kind": "xlco"}, "switch": {"policy": "ml", "lexicons": ["/x"], "objective": "contrast"}},
            "objective contrast goes with loss.kind infonce",
        ),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=sentence):
        job(tmp_path, tmp_path, tmp_path, **changes)

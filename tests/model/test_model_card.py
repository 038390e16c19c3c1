"""Model cards: read by the hub's own client, true to the run and the evaluation."""

from huggingface_hub import ModelCard, ModelCardData

from xlret.model.card_facts import MetricInterval, SetResult, Training, TrainingData
from xlret.model.model_card import model_card
from xlret.tokens.card import EncoderCard

CARD = EncoderCard(
    pooling="mean", query_prompt="query: ", passage_prompt="", max_query_tokens=8, max_passage_tokens=8, pad_id=0
)
MMARCO = TrainingData(
    source="mMARCO, https://huggingface.co/datasets/unicamp-dl/mmarco", licence="Apache 2.0", fingerprint="f" * 64, groups=1200
)
TRAINING = Training(
    run="atlas",
    base="intfloat/multilingual-e5-small",
    base_on_hub=True,
    start_weights_sha256="0" * 64,
    languages=("de", "en", "zh-Hant"),
    corpora=(MMARCO, TrainingData(source="ours | mine", fingerprint="a" * 64, groups=3)),
    how={"batches": "hybrid", "alpha, share of monolingual batches": "0.3"},
    commit="123456789abc",
)
RESULT = SetResult(
    benchmark="miracl",
    name="miracl-dev",
    split="dev",
    source="https://huggingface.co/datasets/miracl/miracl",
    revision="a" * 40,
    licence="Apache 2.0",
    languages=("de", "en"),
    queries=1000,
    passages=20_000,
    mo=0.8,
    cr=None,
    metrics=(
        MetricInterval("mul", 0.5, 0.45, 0.55),
        MetricInterval("ndcg@10", 0.6125, 0.6, 0.62),
        MetricInterval("rank_distance", 30.25, 20.0, 40.0),
    ),
)


def test_the_hub_reads_what_a_run_and_an_evaluation_say() -> None:
    card = ModelCard(model_card(CARD, 32, TRAINING, [RESULT], name="me/atlas"))
    data = card.data
    assert isinstance(data, ModelCardData)
    assert (data.language, data.base_model, data.license) == (["de", "en", "zh"], TRAINING.base, "other")
    assert (data.pipeline_tag, data.library_name) == ("sentence-similarity", "sentence-transformers")
    assert data.datasets == ["unicamp-dl/mmarco"]
    assert data.model_name == "me/atlas"
    assert data.eval_results is not None
    results = {result.metric_type: result for result in data.eval_results}
    assert results.keys() == {"map", "ndcg_at_10"}, "rank distance is no share of anything"
    ndcg = results["ndcg_at_10"]
    assert (ndcg.metric_value, ndcg.metric_args) == (61.25, {"interval_95": [60.0, 62.0]})
    assert (ndcg.task_type, ndcg.dataset_type, ndcg.dataset_name) == ("Retrieval", "miracl/miracl", "miracl")
    assert (ndcg.dataset_config, ndcg.dataset_split, ndcg.dataset_revision) == ("miracl-dev", "dev", "a" * 40)
    for sentence in (
        'SentenceTransformer("me/atlas")',
        'Encoder.load("me/atlas")',
        f"| mMARCO, https://huggingface.co/datasets/unicamp-dl/mmarco | not stated | Apache 2.0 | 1,200 | `{'f' * 16}` |",
        "| ours \\| mine | not stated | not stated | 3 |",
        "| alpha, share of monolingual batches | 0.3 |",
        "| commit of xlret | 123456789abc |",
        "| ndcg@10 | 0.6125 | 0.6000 to 0.6200 |",
        "| rank distance (lower is better) | 30.2 | 20.0 to 40.0 |",
        "| mAP within a language (Mo) | 0.8000 |  |",
        "Not settled (`other`)",
    ):
        assert sentence in card.text, sentence
    assert "(Cr)" not in card.text


def test_a_directory_is_no_base_of_the_hub_and_a_publisher_may_name_the_licence() -> None:
    local = TRAINING.model_copy(update={"base": "my-base", "base_on_hub": False})
    card = ModelCard(model_card(CARD, 32, local, licence="mit"))
    assert isinstance(card.data, ModelCardData)
    assert (card.data.base_model, card.data.license, card.data.eval_results) == (None, "mit", None)
    assert "| began with | `my-base` (SHA-256" in card.text
    assert "`mit`, as its publisher says" in card.text


def test_of_an_encoder_that_no_run_made_only_its_use_is_told() -> None:
    card = ModelCard(model_card(CARD, 32))
    assert isinstance(card.data, ModelCardData)
    assert card.data.license is card.data.language is card.data.datasets is None
    assert "## Training" not in card.text
    assert "## Licence" not in card.text
    assert "Encoder.load(path)" in card.text

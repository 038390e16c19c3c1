"""What xlret saves and evaluates is evaluated by MTEB too: the same vectors, the same numbers, no warning about its files."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trec_eval import evaluated, mean, read_qrels

from xlret.config import settings_from
from xlret.evaluation.benchmarks.custom import custom_set
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.settings import EvaluateSettings
from xlret.model.encoder import Encoder

LANDS = {
    "norway": ("Norway", "fjords cut deep into the western coast, and the sun stays up all night in the northern summer."),
    "peru": ("Peru", "terraces climb the mountains above the valley, where potatoes of a thousand kinds are grown."),
    "mali": ("Mali", "mud bricks built the great mosque, and salt came over the desert on the backs of camels."),
    "nepal": ("Nepal", "the highest mountain stands on the border, and prayer flags hang over the paths to it."),
    "chad": ("", "a lake that shrinks from year to year lies between four countries at the edge of the desert."),
    "fiji": ("Fiji", "coral reefs ring three hundred islands, on a third of which people live."),
    "cuba": ("Cuba", "old cars drive along the sea wall of the capital, and tobacco dries in barns of palm leaves."),
    "oman": ("", "frankincense trees grow behind the southern mountains, which catch the rain of the monsoon."),
    "laos": ("Laos", "a river is the border for most of its length, and boats carry rice and people between the banks."),
    "malta": ("Malta", "temples older than the pyramids stand above the sea on an island of yellow stone."),
}
ASKED = {
    "cut": ("where do fjords cut deep", {"norway": 2, "chad": 0}),
    "night": ("sun all night in summer", {"norway": 1}),
    "potatoes": ("potatoes of the mountains", {"peru": 2, "nepal": 1}),
    "salt": ("salt over the desert", {"mali": 2, "chad": 1}),
    "highest": ("the highest mountain of all", {"nepal": 3, "peru": 1}),
    "lake": ("a lake that shrinks", {"chad": 1}),
    "reefs": ("islands with coral reefs", {"fiji": 2, "malta": 1}),
    "cars": ("old cars by the sea", {"cuba": 2, "malta": 0}),
    "trees": ("trees behind the mountains", {"oman": 1, "cuba": 1}),
    "boats": ("boats on the border", {"laos": 2, "nepal": 1}),
    "temples": ("temples of yellow stone", {"malta": 2}),
    "nothing": ("which of these has a king", {"oman": 0, "fiji": -1}),
}
LONG = " and tell me of the people who live by the sea, of the boats, the rice, the rain and the desert of a thousand years"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test collection in BEIR's layout: titles, grades, a query with nothing relevant, every second query a long one."""
    directory = tmp_path_factory.mktemp("in-mteb") / "lands"
    (directory / "qrels").mkdir(parents=True)
    passages = [{"_id": name, "title": title, "text": text} for name, (title, text) in LANDS.items()]
    queries = [{"_id": name, "text": text + LONG * (number % 2)} for number, (name, (text, _)) in enumerate(ASKED.items())]
    for file, records in (("corpus.jsonl", passages), ("queries.jsonl", queries)):
        (directory / file).write_text("".join(json.dumps(record) + "\n" for record in records))
    grades = [f"{query}\t{name}\t{grade}" for query, (_, judged) in ASKED.items() for name, grade in judged.items()]
    (directory / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *grades]) + "\n")
    return directory


def in_mteb(model: Path, directory: Path, out: Path) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """MTEB's measures of a model on a collection in BEIR's layout, and its similarities; a warning of the user is an error."""
    mteb = pytest.importorskip("mteb", reason="mteb is not installed; it is in the extra bench")
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import SentenceTransformerEncoderWrapper

    def rows(file: str) -> Dataset:
        records = [json.loads(line) for line in (directory / file).read_text().splitlines()]
        return Dataset.from_list([{"id": record.pop("_id"), **record} for record in records])

    judged: dict[str, dict[str, int]] = {}
    for line in (directory / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, passage, grade = line.split("\t")
        judged.setdefault(query, {})[passage] = int(grade)
    split = {"queries": rows("queries.jsonl"), "corpus": rows("corpus.jsonl"), "relevant_docs": judged, "top_ranked": None}

    class Lands(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = TaskMetadata(
            name="Lands",
            description="sentences about countries",
            dataset={"path": "lands", "revision": "1"},
            type="Retrieval",
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = SentenceTransformerEncoderWrapper(str(model), device="cpu")
        results = mteb.evaluate(loaded, Lands(), cache=None, co2_tracker=False, show_progress_bar=False, prediction_folder=out)
    (measures,) = results.task_results[0].scores["test"]
    return measures, json.loads((out / "Lands_predictions.json").read_text())["default"]["test"]


@pytest.mark.parametrize(
    ("limits", "prompts"), [((24, 24), ("", "")), ((12, 40), ("ask: ", "tell: ")), ((40, 12), ("ask: ", ""))]
)
def test_mteb_gives_the_numbers_of_xlret_evaluate(
    tmp_path: Path,
    encoder: Path,
    collection: Path,
    limits: tuple[int, int],
    prompts: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where one side keeps fewer tokens than the other too: MTEB asks for vectors of queries and of documents."""
    saved = tmp_path / "saved"
    choices = {"max_query_tokens": limits[0], "max_passage_tokens": limits[1]}
    ours = Encoder.load(encoder, **choices, query_prompt=prompts[0], passage_prompt=prompts[1])
    ours.save(saved)
    measures, similarities = in_mteb(saved, collection, tmp_path / "predictions")
    assert [record.message for record in caplog.records if record.levelname == "WARNING" and "prompt" in record.message] == []

    retrieval_set = custom_set(collection, lang="en")
    lengths = ours.tokeniser.ragged(retrieval_set.query_texts, "query")[1]
    assert (lengths == limits[0]).sum() >= 6, "long queries are among them"
    queries, passages = ours.encode(retrieval_set.query_texts, "query"), ours.encode(retrieval_set.passage_texts, "passage")
    theirs = [[similarities[query][passage] for passage in retrieval_set.passage_ids] for query in retrieval_set.query_ids]
    np.testing.assert_allclose(queries @ passages.T, theirs, rtol=0, atol=1e-6)

    settings = settings_from(EvaluateSettings, {"benchmark": "custom", "data": collection, "lang": "en"})
    (evaluation,) = evaluate_encoder(str(saved), settings, tmp_path / "evaluation")
    of_their_run = evaluated(read_qrels(tmp_path / "evaluation" / "qrels.trec"), similarities)
    for name, measure in {"ndcg@10": "ndcg_at_10", "recall@1": "recall_at_1", "mrr@10": "mrr_at_10"}.items():
        assert mean(of_their_run, name) == pytest.approx(evaluation.micro_means[name], abs=1e-9), name
        assert measures[measure] == pytest.approx(evaluation.micro_means[name], abs=5e-6), "five digits are what MTEB gives"
    assert 0.1 < measures["ndcg_at_10"] < 0.9

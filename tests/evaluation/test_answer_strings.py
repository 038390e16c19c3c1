"""XOR-Retrieve: answers among the first tokens of what is retrieved, and its published form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from public_files import single, write

from xlret.commands.app import main
from xlret.errors import DataError
from xlret.evaluation.answer_strings import answer_recalls
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.sets import Answers

PASSAGES = ('1\t"The so-called ""Bern"" lies on the Aare."\tBern', "2\tThe Rhine is longer.\tRhine", "3\tNothing\tAare")
TABLE = "\n".join(["id\ttext\ttitle", *PASSAGES, ""])


def question(number: int, lang: str, *answers: str) -> dict[str, Any]:
    return {"id": f"{number}", "question": f"{lang}{number}?", "answers": list(answers), "lang": lang, "split": "dev"}


def test_tokens_are_counted_over_passages_and_case_counts() -> None:
    texts = ["T x " + "a " * 1998 + "Bern", "T Rhine. Aare", "T " + "b " * 3000, "T late"]
    answers = Answers([("Bern",), ("Rhine .",), ("rhine",), ("yes", "No"), ("late",), ("T",)], np.full(4, 2))
    top = np.array([[0, 1, 2, 3]] * 6)
    recalls = answer_recalls(answers, texts, top)
    assert recalls["R@2kt"][:3].tolist() == [1.0, 0.0, 0.0]  # Bern is the 2,000th token
    assert recalls["R@5kt"][:3].tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(recalls["R@5kt"][3])
    assert recalls["R@5kt"][4] == 0.0  # 2,000 + 3 + 3,000 tokens before it
    assert recalls["R@2kt"][5] == 0.0  # titles are not read
    assert answer_recalls(answers, texts, np.array([[3, -1, -1, -1]] * 6))["R@2kt"][4] == 1.0


def test_a_set_has_the_two_numbers_and_no_other(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "xor_dev_retrieve_eng_span_v1_1.jsonl": [
                question(1, "ja", "Aare"),
                question(2, "ko", "yes"),
                question(3, "ja", "Ob"),
            ],
            "psgs_w100.tsv": TABLE,
        },
    )
    retrieval_set = single("xor-retrieve", tmp_path)
    assert retrieval_set.passage_texts[0] == 'Bern The so-called "Bern" lies on the Aare.'
    assert retrieval_set.query_langs == ["ja", "ko", "ja"]
    vectors = np.eye(3, dtype=np.float32)
    evaluation = evaluate(retrieval_set, vectors, vectors)
    assert evaluation.measures == ("R@2kt", "R@5kt")
    assert evaluation.pooled["R@5kt"] == 0.5  # ja alone: a question answered by yes is none
    assert evaluation.skipped == 1
    assert np.isnan(evaluation.mul)
    assert single("xor-retrieve", tmp_path, ["ko"]).query_ids == ["2"]


def test_the_command_prints_and_writes_them(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        {"xor_dev_retrieve_eng_span_v1_1.jsonl": [question(1, "fi", "Rhine")], "psgs_w100.tsv": TABLE},
    )
    arguments = ["evaluate", "--encoder", str(encoder), "--benchmark", "xor-retrieve", "--data", str(tmp_path)]
    assert main([*arguments, "--languages", "fi", "--out", str(tmp_path / "out")]) == 0
    assert "R@5kt" in capsys.readouterr().out
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["R@5kt"] == values["R@2kt"] == 1.0
    assert (tmp_path / "out" / "queries.csv").read_text().splitlines()[1].startswith("xor-retrieve 1,fi,1,")


def test_other_tables_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"xor_dev_retrieve_eng_span_v1_1.jsonl": [question(1, "ja", "x")], "psgs_w100.tsv": "id\tbody\n1\tx\n"})
    with pytest.raises(DataError, match=r"psgs_w100\.tsv:2: no columns id, text and title; found: id, body"):
        single("xor-retrieve", tmp_path)
    write(tmp_path, {"xor_dev_retrieve_eng_span_v1_1.jsonl": [{"id": 1, "question": "?", "lang": "ja"}]})
    with pytest.raises(DataError, match=r"jsonl:1: no id, question, answers or lang"):
        single("xor-retrieve", tmp_path)

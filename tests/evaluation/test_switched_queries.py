"""Code-switched queries are the same for everybody; files of another version and languages without texts are said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlret.commands.app import main
from xlret.data.sources.judged import JudgedPassages, JudgedSet, JudgedText
from xlret.errors import UserError
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.evaluation.switched_queries import query_switcher, with_switched_queries


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A lexicon from English into German and French."""
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "en-de.txt").write_text("rain Regen\ncity Stadt\nriver Fluss\n")
    (folder / "en-fr.txt").write_text("rain pluie\ncity ville\nriver fleuve\n")
    return folder


def small_set(number: int = 40) -> RetrievalSet:
    langs = ["en"] * number + ["tr"]
    return RetrievalSet(
        "small",
        ("en", "tr"),
        [f"q{row}" for row in range(number + 1)],
        langs,
        ["rain city river"] * number + ["rain city river"],
        ["p"],
        ["en"],
        ["rain"],
        [np.array([0])] * (number + 1),
    )


def test_queries_are_switched_by_id_and_text_alone(words: Path) -> None:
    whole = small_set()
    switched = with_switched_queries(whole, query_switcher(words, "ml", 0.5, None))
    assert switched.passage_texts == whole.passage_texts
    assert switched.query_texts[-1] == "rain city river"  # Turkish is no source of the lexicon
    assert len(set(switched.query_texts)) > 8
    known = {"rain", "city", "river", "Regen", "Stadt", "Fluss", "pluie", "ville", "fleuve"}
    assert {word.lower() for text in switched.query_texts for word in text.split()} <= {word.lower() for word in known}
    changed = sum(word not in ("rain", "city", "river") for text in switched.query_texts for word in text.split())
    assert 30 < changed < 90  # half of 120
    untouched = sum(text == "rain city river" for text in switched.query_texts)
    assert switched.caution == f"queries are code-switched: {changed} of 120 words, none in {untouched} of 41 queries"
    part = replace(
        whole,
        query_ids=whole.query_ids[5:20],
        query_langs=whole.query_langs[5:20],
        query_texts=whole.query_texts[5:20],
        relevant=whole.relevant[5:20],
    )
    again = with_switched_queries(part, query_switcher(words, "ml", 0.5, None))
    assert again.query_texts == switched.query_texts[5:20]
    german = with_switched_queries(whole, query_switcher(words, "bl", 1.0, ("de",)))
    assert {text.lower() for text in german.query_texts[:-1]} == {"regen stadt fluss"}
    turkish = replace(part, query_langs=["tr"] * 15)
    with pytest.raises(UserError, match="small: no word of a query was switched; the lexicon is from en"):
        with_switched_queries(turkish, query_switcher(words, "ml", 0.5, None))


def test_the_command_says_what_was_switched(tmp_path: Path, corpora: Path, encoder: Path, lexicon: Path) -> None:
    arguments = [
        "evaluate",
        "--encoder",
        str(encoder),
        "--corpus",
        str(corpora / "dev"),
        "--languages",
        "en",
        "de",
        "--run-depth",
        "0",
    ]
    assert main([*arguments, "--out", str(tmp_path / "plain")]) == 0
    switched = ["--switch-queries", str(lexicon), "--switch-p", "1"]
    assert main([*arguments, *switched, "--out", str(tmp_path / "switched")]) == 0
    plain, other = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("plain", "switched"))
    assert other["sets"][0]["caution"].startswith("queries are code-switched: ")
    assert other["mul"] != plain["mul"]
    with pytest.raises(UserError, match="goes with switch_queries"):
        main([*arguments, "--switch-p", "0.3"])


def test_files_of_another_version_are_said(tmp_path: Path) -> None:
    paragraph = {"context": "One. Two.", "sentences": ["One.", "Two."], "sentence_breaks": [[0, 4], [5, 9]]}
    question = {"id": "a", "question": "?", "answers": [{"answer_start": 5, "text": "Two"}]}
    content = json.dumps({"data": [{"paragraphs": [paragraph | {"qas": [question]}]}]})
    (tmp_path / "en.json").write_text(content)
    (retrieval_set,) = benchmark("xquad-r").load(tmp_path, ["en"])
    assert retrieval_set.caution == "not the published files by their checksums: en.json"
    assert benchmark("mlqa-r").other_version(tmp_path) is None  # no checksum is known: nothing is claimed


def test_a_language_without_texts_is_said() -> None:
    judged = JudgedSet(
        {"q": JudgedText("en", None, "?")}, JudgedPassages.read([("p", JudgedText("en", None, "x"))]), {"q": {"p": 1.0}}
    )
    assert from_judged("set", judged, languages=["en", "fr"]).caution == "nothing judged is in fr, which was asked for"
    assert from_judged("set", judged, languages=["en"]).caution is None

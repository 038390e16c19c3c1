import hashlib
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from xlret.data.atlas import HELD_OUT, LANGUAGES, AtlasReport, atlas_rows, build_atlas
from xlret.data.atlas.facts import ANSWER, SUBJECT
from xlret.data.atlas.names import SCRIPTS, in_script
from xlret.data.atlas.phrasings import load_templates, placeholders
from xlret.data.atlas.rows import names_of, split_facts
from xlret.data.corpus import ParallelCorpus, Row
from xlret.errors import UserError

XQUAD_R = {"ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"}
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AtlasReport:
    return build_atlas(tmp_path_factory.mktemp("atlas") / "atlas", seed=0)


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return {split: list(atlas_rows(split)) for split in SPLITS}


def digest(directory: Path) -> str:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    lines = (f"{path.relative_to(directory)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_it_is_as_large_and_as_varied_as_promised(built: AtlasReport, rows: dict[str, list[Row]]) -> None:
    assert set(LANGUAGES) >= XQUAD_R
    assert len(LANGUAGES) >= 14
    assert 20_000 <= built.rows["train"] <= 60_000
    assert built.rows == {split: len(rows[split]) for split in SPLITS}
    assert all(len(built.facts[split]) >= 6 and set(built.facts[split]) == set(SUBJECT) for split in SPLITS)
    total = sum(sum(kinds.values()) for kinds in built.facts.values())
    assert 0.10 <= sum(built.facts["test"].values()) / total <= 0.15
    assert 0.04 <= sum(built.facts["dev"].values()) / total <= 0.06
    assert str(built.rows["test"])[0] in str(built)


def test_the_corpora_on_disk_are_the_rows(built: AtlasReport, rows: dict[str, list[Row]]) -> None:
    for split in SPLITS:
        corpus = ParallelCorpus.open(built.directory / split)
        assert corpus.n_groups == len({row.group_id for row in rows[split]})
        assert set(corpus.languages) == set(LANGUAGES) - (set() if split == "test" else {HELD_OUT})
        groups = np.arange(corpus.n_groups)
        clusters = corpus.clusters(groups)
        facts = [group_id.rsplit("/", 1)[0] for group_id in corpus.group_ids(groups)]
        assert len(set(clusters.tolist())) == len(set(facts)) == len(set(zip(clusters.tolist(), facts, strict=True)))
        lang = "hi"
        pool = corpus.pool(lang, lang)
        some = pool.take(np.arange(len(pool)))
        known = {row.group_id: row for row in rows[split] if row.lang == lang}
        found = zip(corpus.group_ids(some), corpus.queries(lang, some), corpus.passages(lang, some), strict=True)
        assert all((known[one].query, known[one].text) == (query, passage) for one, query, passage in found)
        assert len(some) == len(known)


def test_every_split_covers_every_kind_in_every_language(rows: dict[str, list[Row]]) -> None:
    for split in SPLITS:
        for lang in LANGUAGES:
            kinds = {row.group_id.split("/")[0] for row in rows[split] if row.lang == lang}
            assert kinds == (set(SUBJECT) if split == "test" or lang != HELD_OUT else set())


def test_no_fact_and_no_text_is_in_two_splits(rows: dict[str, list[Row]]) -> None:
    for one, other in (("train", "test"), ("train", "dev"), ("dev", "test")):
        assert not {row.cluster for row in rows[one]} & {row.cluster for row in rows[other]}
        assert not {(row.lang, row.text) for row in rows[one]} & {(row.lang, row.text) for row in rows[other]}
        assert not {(row.lang, row.query) for row in rows[one]} & {(row.lang, row.query) for row in rows[other]}


def test_no_training_passage_answers_a_test_question() -> None:
    """No kind's passages name the subject and the answer of another kind, so that only the fact itself could leak."""
    for kind in SUBJECT:
        named = set().union(*(placeholders(passage) for passage in load_templates("en").kinds[kind].passages))
        also = {other for other in SUBJECT if other != kind and {SUBJECT[other], ANSWER[other]} <= named}
        # Where a language has its home and what most people of a country speak name the same two things, but are two facts.
        assert also == {"homeland": {"spoken"}, "spoken": {"homeland"}}.get(kind, set())


def test_subjects_of_test_facts_are_met_in_training_with_other_facts() -> None:
    splits = split_facts(0)
    seen = {fact.terms[SUBJECT[fact.kind]] for fact in splits["train"]}
    territories = [fact.terms["territory"] for fact in splits["test"] if SUBJECT[fact.kind] == "territory"]
    assert len(territories) > 50
    assert sum(term in seen for term in territories) / len(territories) > 0.95


def test_a_query_has_one_right_fact(rows: dict[str, list[Row]]) -> None:
    everything = [row for split in SPLITS for row in rows[split]]
    for text_of in (lambda row: row.query, lambda row: row.text):
        facts: dict[tuple[str, str], set[str]] = {}
        for row in everything:
            facts.setdefault((row.lang, text_of(row).casefold()), set()).add(row.cluster)
        assert all(len(clusters) == 1 for clusters in facts.values())


def test_the_held_out_language_is_nowhere_but_in_test(built: AtlasReport, rows: dict[str, list[Row]]) -> None:
    assert HELD_OUT in LANGUAGES
    assert HELD_OUT not in XQUAD_R
    assert not any(row.lang == HELD_OUT for split in ("train", "dev") for row in rows[split])
    assert sum(row.lang == HELD_OUT for row in rows["test"]) > 400
    trained = set(LANGUAGES) - {HELD_OUT, "en"}
    for folder, suffix in (("lexicon", "txt"), ("titles", "tsv")):
        assert {path.name for path in (built.directory / folder).iterdir()} == {f"en-{lang}.{suffix}" for lang in trained}
    sentences = {template for one in load_templates(HELD_OUT).kinds.values() for template in one.questions}
    openings = {template.split("{")[0] for template in sentences if not template.startswith("{")}
    assert len(openings) > 10
    assert not any(row.query.startswith(tuple(openings)) for split in ("train", "dev") for row in rows[split])


def test_texts_are_whole_sentences(rows: dict[str, list[Row]]) -> None:
    ends = (".", "?", "!", "؟", "।", "。", "？", ";")
    for row in (row for split in SPLITS for row in rows[split]):
        for text in (row.query, row.text):
            assert "{" not in text, row
            assert "}" not in text, row
            assert text == " ".join(text.split()), row
            assert unicodedata.is_normalized("NFC", text), row
            assert "\xad" not in text, row
            assert not text[0].islower(), row
            assert row.lang == "th" or text.endswith(ends), row  # Thai ends sentences without a sign


def test_texts_are_in_the_script_of_their_language(rows: dict[str, list[Row]]) -> None:
    for row in (row for split in SPLITS for row in rows[split]):
        for text in (row.query, row.text):
            assert in_script(text, row.lang), row
            if row.lang in SCRIPTS:
                own = [sign for sign in text if sign.isalpha() and not sign.isascii()]
                assert len(own) > len(text) / 4, row


def test_names_are_cldr_s_in_that_language_and_never_a_fallback(rows: dict[str, list[Row]]) -> None:
    by_group = {(row.group_id.rsplit("/", 1)[0], row.lang): row.text for row in rows["train"] + rows["test"] + rows["dev"]}
    assert "Niederlande" in by_group["region/NL", "de"]
    assert "荷兰" in by_group["region/NL", "zh"]
    assert "Westeuropa" in by_group["region/NL", "de"]
    assert "Westeuropa".casefold() not in by_group["region/NL", "en"].casefold()
    assert "Kahire" in by_group["city/Africa/Cairo", "tr"]
    assert "Ägypten" in by_group["city/Africa/Cairo", "de"]
    assert "иена" in by_group["currency/JP", "ru"]
    assert "Reykjavík" in by_group["city/Atlantic/Reykjavik", "de"]
    facts = (fact for split in split_facts(0).values() for fact in split)
    missing = [fact for fact in facts if names_of("hi").name(fact.terms[SUBJECT[fact.kind]]) is None]
    assert missing  # Hindi lacks some languages and units
    assert not any((f"{fact.kind}/{fact.subject}", "hi") in by_group for fact in missing)


def test_phrasings_are_equal_over_languages(rows: dict[str, list[Row]]) -> None:
    pairings: dict[str, set[str]] = {}
    for row in rows["train"]:
        pairings.setdefault(row.group_id.split("/")[0], set()).add(row.group_id.rsplit("/", 1)[1])
    assert all(len(found) == 6 for found in pairings.values())  # three questions times two passages, all met


def test_equal_seeds_give_equal_bytes_whatever_the_hash_seed(built: AtlasReport, tmp_path: Path) -> None:
    code = "import sys, pathlib; from xlret.data.atlas import build_atlas; build_atlas(pathlib.Path(sys.argv[1]), seed=0)"
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    target = tmp_path / "again"
    subprocess.run([sys.executable, "-c", code, str(target)], check=True, env=environment, cwd=Path(__file__).parents[3])
    assert digest(target) == digest(built.directory)


def test_another_seed_holds_out_other_facts() -> None:
    zero, one = ({(fact.kind, fact.subject) for fact in split_facts(seed)["test"]} for seed in (0, 1))
    assert len(zero) == len(one)
    assert len(zero & one) < len(zero) / 2


def test_an_existing_directory_stays_unless_replaced(tmp_path: Path) -> None:
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas" / "mine").touch()
    with pytest.raises(UserError, match="exists already"):
        build_atlas(tmp_path / "atlas")
    assert [path.name for path in (tmp_path / "atlas").iterdir()] == ["mine"]
    build_atlas(tmp_path / "atlas", replace=True)
    assert sorted(path.name for path in (tmp_path / "atlas").iterdir()) == ["dev", "lexicon", "test", "titles", "train"]

"""Copies of benchmarks on the hub, in the exact form of their files, made small: from a folder and fetched by name."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fake_hub import commit_of, fake_hub
from public_files import answers, single, write

from xlret.commands.app import main
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks import BENCHMARKS, benchmark


def miracl_hard() -> dict[str, list[dict[str, Any]]]:
    return {
        "sw-queries/dev-00000-of-00001.parquet": [{"_id": "7", "text": "Nani?"}, {"_id": "8", "text": "Lini?"}],
        "sw-corpus/dev-00000-of-00002.parquet": [{"_id": "1#0", "title": "Kichwa", "text": "maandishi"}],
        "sw-corpus/dev-00001-of-00002.parquet": [{"_id": "2#0", "title": "", "text": "mengine"}],
        "sw-qrels/dev-00000-of-00001.parquet": [
            {"query-id": "7", "corpus-id": "1#0", "score": 1},
            {"query-id": "7", "corpus-id": "2#0", "score": 0},
            {"query-id": "7", "corpus-id": "9#9", "score": 1},
        ],
        "yo-qrels/dev-00000-of-00001.parquet": [{"query-id": "7", "corpus-id": "1#0", "score": 1}],
    }


def test_mtebs_layout_is_read_from_parquet(tmp_path: Path) -> None:
    write(tmp_path, miracl_hard())
    retrieval_set = single("miracl-hard", tmp_path, ["sw"])
    assert retrieval_set.passage_texts == ["Kichwa maandishi", "mengine"]
    assert answers(retrieval_set) == {"sw/7": ["sw/1#0"]}
    assert retrieval_set.judgements[0].grades.tolist() == [1, 0]
    assert retrieval_set.left_out == {"queries without a judgement": 1, "judgements of passages that are not there": 1}
    with pytest.raises(UserError, match=r"there is no .*yo-queries with Parquet files"):
        single("miracl-hard", tmp_path, ["yo"])
    write(tmp_path, {"sw-qrels/dev-00000-of-00001.parquet": [{"query": "7", "corpus-id": "1#0", "score": 1}]})
    with pytest.raises(DataError, match="no query-id, corpus-id and score"):
        single("miracl-hard", tmp_path, ["sw"])


def ciral(language_name: str = "yoruba", code: str = "yo") -> dict[str, dict[str, Any]]:
    judgements = "1\tQ0\td#0\t1\n1\tQ0\td#1\t0\n"
    return {
        "CIRAL/ciral": {
            f"ciral-{language_name}/topics/topics.ciral-v1.0-{code}-test-b.tsv": "1\tWho won?\n",
            f"ciral-{language_name}/qrels/qrels.ciral-v1.0-{code}-test-b.tsv": judgements,
            f"ciral-{language_name}/topics/topics.ciral-v1.0-{code}-dev.tsv": "2\tNot this\n",
        },
        "CIRAL/ciral-corpus": {
            f"passages-v1.0/{language_name}_passages.jsonl": [
                {"docid": f"d#{number}", "title": "A", "text": f"ọrọ {number}", "url": ""} for number in range(3)
            ]
        },
    }


def test_a_benchmark_comes_from_the_hub_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Path) -> None:
    repositories = {"mteb/MIRACLRetrievalHardNegatives": miracl_hard(), **ciral()}
    for name, files in repositories.items():
        write(tmp_path / "hub" / name, files)
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        hub.commits = {repository.name: repository.revision or "" for repository in BENCHMARKS["ciral"].hub}
        (retrieval_set,) = benchmark("ciral").load_from_hub(["yo"])
        assert answers(retrieval_set) == {"yo/1": ["yo/d#0"]}
        assert (retrieval_set.query_langs, set(retrieval_set.passage_langs)) == (["en"], {"yo"})
        assert retrieval_set.read_from == ", ".join(f"{name}@{commit}" for name, commit in hub.commits.items())
        assert not any("-dev." in path for path in hub.fetched)
        with pytest.raises(UserError, match="2 repositories of the hub"):
            list(benchmark("ciral").load_from_hub(["yo"], "main"))
        with pytest.raises(UserError, match="no commit d7d94fa4b946"):  # the fake hub has another one
            list(benchmark("miracl-hard").load_from_hub(["sw"]))

        arguments = ["--encoder", str(encoder), "--benchmark", "miracl-hard", "--hub", "--languages", "sw"]
        out = tmp_path / "out"
        assert main(["evaluate", *arguments, "--hub-revision", "main", "--out", str(out), "--run-depth", "0"]) == 0
        commit = commit_of("mteb/MIRACLRetrievalHardNegatives")
        written = json.loads((out / "evaluation.json").read_text())["sets"][0]
        assert written["read_from"] == f"mteb/MIRACLRetrievalHardNegatives@{commit}"
    for name, message in (("xquad-r", "xquad-r is not on the hub in this form"), ("custom", "custom is not on the hub")):
        with pytest.raises(UserError, match=message):
            list(benchmark(name).load_from_hub())
    with pytest.raises(UserError, match=r"hub fetches the files of a benchmark"):
        main(["evaluate", "--encoder", str(encoder), "--benchmark", "miracl-hard", "--hub", "--data", "."])


def tar_gz(files: dict[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as members:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            members.addfile(member, io.BytesIO(text.encode()))
    return archive.getvalue()


def bucc_copy() -> dict[str, Any]:
    """Forty sentences a side, every second one with a translation, numbered from 1."""
    sources, targets = ([f"{side} {number}" for number in range(40)] for side in ("Satz", "sentence"))
    return {"sentence1": sources, "sentence2": targets, "gold": [[number + 1, number + 1] for number in range(0, 40, 2)]}


ENTITY = {"entity_id": "Q2", "title": "Flag", "description": "Of Nepal.", "description_language": "en"}
MENTION = {"example_id": "e1", "entity_id": "Q2", "mention_span": {"start": 4, "end": 10, "text": "Flagge"}}
NEWS = {"language": "de", "text": "Die Flagge.", "sentence_spans": []}
HUB_COPIES: dict[str, tuple[list[str], dict[str, dict[str, Any]], dict[str, list[str]]]] = {
    "mlqa": (
        ["de", "en"],
        {
            "google/xtreme": {
                f"MLQA.{lang}.{lang}/test-00000-of-00001.parquet": [
                    {
                        "id": "q1",
                        "title": "A_b",
                        "context": text,
                        "question": f"{lang}?",
                        "answers": {"answer_start": [0], "text": [text]},
                    }
                ]
                for lang, text in (("de", "Ein Absatz"), ("en", "A paragraph"))
            }
        },
        {"de/q1": ["de/de:0", "en/en:0"], "en/q1": ["de/de:0", "en/en:0"]},
    ),
    "tatoeba": (
        ["de"],
        {
            "mteb/tatoeba-bitext-mining": {
                "deu-eng/test.jsonl.gz": [
                    {"sentence1": "Ja.", "sentence2": "Yes."},
                    {"sentence1": "Nein.", "sentence2": "No."},
                ]
            }
        },
        {"de/1": ["en/1"], "de/2": ["en/2"]},
    ),
    "mewsli-x": (
        ["de"],
        {
            "izhx/mewsli-x": {
                "raw.tar.gz": tar_gz(
                    {
                        "raw/wikinews_mentions-dev.jsonl": "not read",
                        "raw/wikinews_mentions-test.jsonl": json.dumps({"context": NEWS, "mentions": [MENTION]}),
                        "raw/candidate_set_entities.jsonl": json.dumps(ENTITY),
                    }
                )
            }
        },
        {"de/e1": ["en/Q2"]},
    ),
    "xor-retrieve": (
        ["ko"],
        {
            "crystina-z/xor-tydi": {
                "dev/xor_dev_retrieve_eng_span_v1_1.jsonl": [{"id": "7", "lang": "ko", "question": "?", "answers": ["Rhine"]}]
            },
            "ielab/xor-tydi": {"en_wiki.tsv": "id\ttext\ttitle\n1\tThe Rhine\tRiver\n"},
        },
        {"7": []},
    ),
    "neuclir": (
        ["fa", "ru"],
        {
            "neuclir/neuclir1": {
                "data/fas-00000-of-00001.jsonl.gz": [{"id": "f1", "title": "t", "text": "متن"}],
                "data/fas-mt-eng-00000-of-00001.jsonl.gz": [{"id": "f1", "title": "t", "text": "text"}],
                "data/rus-00000-of-00001.jsonl.gz": [{"id": "r1", "title": "t", "text": "текст"}],
            },
            "crystina-z/neuclir": {"data/topics.neuclir22.en.desc_title.tsv": "1\tWhere? Flood\n2\tNobody judged this\n"},
            "mteb/neuclir-2022": {
                "neuclir-fas/test.jsonl": [{"query-id": "1", "corpus-id": "f1", "score": 3}],
                "neuclir-rus/test.jsonl": [{"query-id": "1", "corpus-id": "r1", "score": 1}],
            },
        },
        {"1": ["f1", "r1"]},
    ),
}


@pytest.mark.parametrize("name", HUB_COPIES)
def test_a_copy_on_the_hub_is_read_in_its_own_form(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    languages, repositories, expected = HUB_COPIES[name]
    pinned = {repository.name: repository.revision or "" for repository in BENCHMARKS[name].hub}
    assert pinned.keys() == repositories.keys()
    for repository, files in repositories.items():
        write(tmp_path / "hub" / repository, {**files, "other/test.parquet": [{"id": "1"}]})
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        hub.commits = pinned
        (retrieval_set,) = benchmark(name).load_from_hub(languages)
        assert answers(retrieval_set) == expected
        assert retrieval_set.read_from == ", ".join(f"{repository}@{commit}" for repository, commit in pinned.items())
        assert not any("other/" in path or "-mt-" in path for path in hub.fetched)
        assert len(hub.fetched) == sum("-mt-" not in path for files in repositories.values() for path in files)
    if name in ("mlqa", "tatoeba"):
        ((path, *_),) = repositories.values()
        write(tmp_path / "broken", {path.replace(".en.en", ".de.de"): [{"other": "x"}]})
        with pytest.raises(DataError, match=r"no (id|sentence1).*found: other"):
            list(benchmark(name).load(tmp_path / "broken", languages))


def test_machine_translations_beside_neuclirs_documents_are_not_read(tmp_path: Path) -> None:
    for files in HUB_COPIES["neuclir"][1].values():
        write(tmp_path, files)
    assert single("neuclir", tmp_path, ["fa"]).passage_texts == ["t متن"]


def test_grades_of_neuclirs_copy_are_kept(tmp_path: Path) -> None:
    for files in HUB_COPIES["neuclir"][1].values():
        write(tmp_path, files)
    retrieval_set = single("neuclir", tmp_path, ["fa", "ru"])
    assert retrieval_set.judgements[0].grades.tolist() == [3, 1]
    assert retrieval_set.query_texts == ["Where? Flood"]


def test_mewsli_xs_archive_is_named_where_it_is_damaged(tmp_path: Path) -> None:
    archive: bytes = HUB_COPIES["mewsli-x"][1]["izhx/mewsli-x"]["raw.tar.gz"]
    write(tmp_path, {"raw.tar.gz": archive[: len(archive) // 2]})
    with pytest.raises(DataError, match=r"raw\.tar\.gz is damaged or cut short"):
        single("mewsli-x", tmp_path)
    write(tmp_path, {"raw.tar.gz": tar_gz({"raw/candidate_set_entities.jsonl": json.dumps(ENTITY)})})
    with pytest.raises(UserError, match=r"no wikinews_mentions-test\.jsonl"):
        single("mewsli-x", tmp_path)


def test_bucc_from_the_hub_is_cut_into_dev_and_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq_file = {"de-en/test-00000-of-00001.parquet": [bucc_copy()], "fr-en/test-00000-of-00001.parquet": [bucc_copy()]}
    write(tmp_path / "hub" / "mteb" / "BUCC", pq_file)
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        hub.commits = {"mteb/BUCC": BENCHMARKS["bucc"].hub[0].revision or ""}
        (retrieval_set,) = benchmark("bucc").load_from_hub(["de"])
        assert len(hub.fetched) == 1
    mining = retrieval_set.mining
    assert mining is not None
    parts = [
        {(bitext.source_texts[source], bitext.target_texts[target]) for source, target in bitext.gold_G2.tolist()}
        for bitext in mining
    ]
    assert sorted(parts[0] | parts[1]) == sorted((f"Satz {number}", f"sentence {number}") for number in range(0, 40, 2))
    assert 1 <= len(parts[0]) < len(parts[1])
    assert sorted(mining.dev.source_texts + mining.test.source_texts) == sorted(f"Satz {number}" for number in range(40))
    assert sorted(mining.dev.target_texts + mining.test.target_texts) == sorted(f"sentence {number}" for number in range(40))
    assert retrieval_set.caution is not None
    assert "a cut of BUCC's training part" in retrieval_set.caution
    other_order = bucc_copy() | {"gold": bucc_copy()["gold"][::-1]}
    write(tmp_path / "turned", {"de-en/test-00000-of-00001.parquet": [other_order]})
    assert single("bucc", tmp_path / "turned", ["de"]).passage_texts == retrieval_set.passage_texts
    broken: list[tuple[dict[str, Any], str]] = [
        ({"gold": [[1, 41]]}, r"pair \('1', '41'\) names no sentence"),
        ({"gold": [[1, 1]]}, "1 pairs are too few to cut"),
    ]
    for change, message in broken:
        write(tmp_path / "broken", {"de-en/test-00000-of-00001.parquet": [bucc_copy() | change]})
        with pytest.raises(DataError, match=message):
            single("bucc", tmp_path / "broken", ["de"])

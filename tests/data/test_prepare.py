"""The job that makes corpora: from a recipe to directories, and every way in which it can go wrong."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from xlret.commands.app import main
from xlret.config import read_recipe
from xlret.data.corpus import ParallelCorpus, Row, write_corpus
from xlret.data.counts import counts, largest_cluster, without_pair
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.data.prepare import PrepareSettings, prepare
from xlret.errors import CorruptError, DataError, UserError
from xlret.files import shared_directory

REPOSITORY = Path(__file__).parents[2]


def rows_file(path: Path, groups: int = 30, extra: str = "") -> Path:
    records = [
        {"group_id": f"p{g // 3}#{g}", "lang": lang, "query": f"{lang} q{g}", "text": f"{lang} t{g}", "note": "unused"}
        for g in range(groups)
        for lang in ("en", "de")
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in records) + extra)
    return path


def recipe(directory: Path, dev: int = 6, **options: object) -> Path:
    rows_file(directory / "rows.jsonl")
    read = {"format": "rows", "files": [str(directory / "rows.jsonl")], "cluster_until": "#", "licence": "CC0"}
    path = directory / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"output": str(directory / "out"), "corpora": {"mine": {"read": read, "dev": dev}}, **options})
    )
    return path


def test_the_job_makes_train_and_dev_and_says_so(tmp_path, capsys):
    assert main(["prepare", str(recipe(tmp_path))]) == 0
    train, dev = (ParallelCorpus.open(tmp_path / "out" / "mine" / part) for part in ("train", "dev"))
    assert (train.n_groups, dev.n_groups) == (24, 6)
    pages = [{one.split("#")[0] for one in part.group_ids(np.arange(part.n_groups))} for part in (train, dev)]
    assert not pages[0] & pages[1]
    assert train.manifest.licence == "CC0"
    assert "rows.jsonl" in train.manifest.made_by
    assert "dev 6, seed 0" in train.manifest.made_by
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["mine"]
    assert sorted(one.name for one in (tmp_path / "out" / "mine").iterdir()) == ["dev", "train"]
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed.split("\n\n")[0])["max_characters"] == 100_000  # the settings, in full
    assert "train: 24 groups in 8 clusters (largest 3), 2 languages" in printed
    assert "dev: 6 groups in 2 clusters (largest 3), 2 languages" in printed
    assert printed.count("columns not used: note") == 1


def test_texts_of_benchmarks_in_what_is_trained_on_are_told(tmp_path, capsys):
    sentences = {"deu": ["de q7", "de q7 so", "de t1 de t2 de t3"], "eng": ["en q7 is it", "never said", "en t1 en t2"]}
    rows_file(tmp_path / "rows.jsonl")
    text = (tmp_path / "rows.jsonl").read_text().replace("de q7", "DE, q7 so?").replace("en q7", "en Q7 is it")
    (tmp_path / "tatoeba").mkdir()
    for code, lines in sentences.items():
        (tmp_path / "tatoeba" / f"tatoeba.deu-eng.{code}").write_text("\n".join(lines) + "\n")
    path = recipe(tmp_path, dev=0, against={"tatoeba": {"data": str(tmp_path / "tatoeba"), "languages": ["de"]}})
    (tmp_path / "rows.jsonl").write_text(text)
    assert main(["prepare", str(path)]) == 1
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines() if line.startswith("│") and "tatoeba" in line] == [
        ["│", "tatoeba", "│", "all", "2", "│", "6", "│", "2", "│"]
    ]
    train = tmp_path / "out" / "mine" / "train"
    assert f"tatoeba de 'de q7 so' (100%): {train}, group p2#7, query in de: 'DE, q7 so?'" in printed
    assert "tatoeba en 'en q7 is it' (100%)" in printed
    with pytest.raises(UserError, match=r"unknown benchmark 'squid'"):
        main(["prepare", str(path), "--replace", "--against", "squid"])
    with pytest.raises(UserError, match=r"no such directory: /nowhere; give xquad-r=DIRECTORY with"):
        main(["corpus", str(train), "--against", "xquad-r=/nowhere,tatoeba"])
    (tmp_path / "tatoeba" / "tatoeba.deu-eng.deu").write_text("nein\nnie\nnimmer\n")
    (tmp_path / "tatoeba" / "tatoeba.deu-eng.eng").write_text("no\nnever said\nnever ever\n")
    assert main(["corpus", str(train), "--against", f"tatoeba={tmp_path / 'tatoeba'}"]) == 0
    assert "120 texts looked through" in capsys.readouterr().out


def test_nothing_held_out(tmp_path, capsys):
    assert main(["prepare", str(recipe(tmp_path, dev=0))]) == 0
    assert ParallelCorpus.open(tmp_path / "out" / "mine" / "train").n_groups == 30
    assert not (tmp_path / "out" / "mine" / "dev").exists()
    assert "dev: nothing held out" in capsys.readouterr().out


def test_equal_recipes_give_equal_corpora_and_the_seed_decides_the_split(tmp_path):
    path = recipe(tmp_path)
    prints = []
    for output, seed in (("a", 1), ("b", 1), ("c", 2)):
        list(prepare(read_recipe(PrepareSettings, path, [f"output={tmp_path / output}", f"seed={seed}"])))
        prints.append(ParallelCorpus.open(tmp_path / output / "mine" / "dev").fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_bad_rows_stop_the_job_or_are_counted(tmp_path, capsys):
    path = recipe(tmp_path)
    rows_file(
        tmp_path / "rows.jsonl",
        extra='{"group_id": "x", "lang": "en", "query": "q"\n{"group_id": "y", "lang": "q?", "query": "q"}\n',
    )
    with pytest.raises(DataError, match=r"rows\.jsonl:61: not JSON"):
        main(["prepare", str(path)])
    assert not (tmp_path / "out" / "mine").exists()
    assert main(["prepare", str(path), "--on-bad-row", "skip"]) == 0
    printed = capsys.readouterr().out
    assert "2 bad rows left out, such as:" in printed
    assert f"{tmp_path}/rows.jsonl:62: unknown language code 'q?'" in printed


def test_existing_corpora_are_kept_unless_told(tmp_path):
    path = recipe(tmp_path)
    main(["prepare", str(path)])
    before = ParallelCorpus.open(tmp_path / "out" / "mine" / "train").fingerprint
    rows_file(tmp_path / "rows.jsonl", groups=12)
    with pytest.raises(UserError, match="exists already"):
        main(["prepare", str(path)])
    assert ParallelCorpus.open(tmp_path / "out" / "mine" / "train").fingerprint == before
    assert main(["prepare", str(path), "--replace"]) == 0
    assert ParallelCorpus.open(tmp_path / "out" / "mine" / "train").n_groups == 6
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no records"):
        main(["prepare", str(path), "--replace"])
    assert ParallelCorpus.open(tmp_path / "out" / "mine" / "train").n_groups == 6


def test_a_corpus_is_verified_and_shown(tmp_path, capsys):
    main(["prepare", str(recipe(tmp_path))])
    capsys.readouterr()
    train = tmp_path / "out" / "mine" / "train"
    assert main(["corpus", str(train)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "24 groups in 8 clusters",
        "licence: CC0",
        "hard negatives: no",
        "every checksum agrees",
        "made by: xlret prepare",
    ):
        assert part in printed
    data = bytearray((train / "passage.de.arrow").read_bytes())
    data[len(data) // 2] ^= 1
    (train / "passage.de.arrow").write_bytes(data)
    with pytest.raises(CorruptError, match=r"passage\.de\.arrow is damaged"):
        main(["corpus", str(train)])


def test_showing_a_corpus_says_that_there_are_hard_negatives(tmp_path, capsys):
    main(["prepare", str(recipe(tmp_path))])
    write_hard_negatives(tmp_path / "out" / "mine" / "train", tmp_path / "mined", [Mined(0, [9], [1.0])], made_by="tests")
    assert main(["corpus", str(tmp_path / "mined")]) == 0
    assert "hard negatives: yes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a recipe"),
        (["nowhere.yaml"], "there is no recipe nowhere.yaml"),
        (["RECIPE", "--set", "corpora.mine.dev=-1"], "corpora.mine.dev is -1"),
        (["RECIPE", "--set", "corpora.mine.dev=30"], "cannot hold out 30 of 30 groups in 10 clusters"),
        (["RECIPE", "--set", "corpora.mine.dev=2"], "cannot hold out 2 of 30 groups"),
        (["RECIPE", "--set", "corpora.mine.read.format=xml"], "format"),
        (["RECIPE", "--set", "corpora.mine.read.files=[gone.jsonl]"], r"cannot read .*gone\.jsonl: No such file"),
        (["RECIPE", "--set", "corpora={}"], "corpora is"),
        (["RECIPE", "--set", "corpora.mine.red=1"], "red: unknown key"),
        (["RECIPE", "--set", "max_characters=3"], "allowed are 3"),
    ],
)
def test_what_cannot_be_is_a_one_line_error_and_writes_nothing(tmp_path, arguments, message):
    path = recipe(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        main(["prepare", *(str(path) if word == "RECIPE" else word for word in arguments)])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "mine").exists()
    assert not list(tmp_path.glob("out/.*"))


def test_a_full_disk_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xlret.data.corpus_write._write_groups", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        main(["prepare", str(recipe(tmp_path))])
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_ends_with_status_2_and_one_line(tmp_path):
    path = recipe(tmp_path)
    rows_file(tmp_path / "rows.jsonl", extra='{"group_id": "x"\n')
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.prepare", path], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {tmp_path}/rows.jsonl:61: not JSON")
    assert ended.stderr.count("\n") == 1


def test_help_teaches(capsys):
    assert main(["prepare", "--help"]) == 0
    printed = capsys.readouterr().out
    for part in ("group_id, lang, query, title, text", "--on-bad-row", "format: rows", "corpora.NAME.dev"):
        assert part in printed


def test_counts_of_a_corpus(tmp_path):
    rows = [
        Row("a", "en", "q", None, "t"),
        Row("a", "de", "f", None, None),
        Row("b", "de", None, None, "nobody asks"),
        Row("c", "fr", "answered by none", None, None),
        Row("d", "en", "q", None, "u"),
    ]
    write_corpus(tmp_path / "c", rows, source="", licence="", revision="", made_by="")
    corpus = ParallelCorpus.open(tmp_path / "c")
    assert [(one.lang, one.queries, one.passages, one.pairs) for one in counts(corpus)] == [
        ("en", 2, 2, 2),
        ("de", 1, 1, 0),
        ("fr", 1, 0, 0),
    ]
    assert without_pair(corpus) == 2
    assert largest_cluster(corpus) == 2


@pytest.mark.slow
def test_the_real_recipe(tmp_path):
    if not (shared_directory() / "data").is_dir():
        pytest.skip("no real data; set XLRET_SHARED")
    assert main(["prepare", "prepare-real", "--set", f"output={tmp_path}"]) == 0
    sizes = {}
    for name in ("fastapi", "tldr", "ntrex"):
        train, dev = (ParallelCorpus.open(tmp_path / name / part) for part in ("train", "dev"))
        sizes[name] = (train.n_groups + dev.n_groups, dev.n_groups, len(train.languages))
    assert sizes == {"fastapi": (999, 100, 13), "tldr": (24_417, 600, 37), "ntrex": (1_997, 200, 31)}

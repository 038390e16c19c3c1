"""`python -m jobs.release` from an encoder and an index to the alias that is served."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xlret.commands.app import main
from xlret.errors import CorruptError, UserError
from xlret.evaluation.named_measures import POOLED
from xlret.release import resolve, verify_release
from xlret.release.alias import history
from xlret.release.quality import GATES


@pytest.fixture
def release(tmp_path: Path, encoder: Path, index: Path) -> Callable[..., None]:
    """Runs the job on a directory of releases of its own."""

    def run(command: str, *arguments: object) -> None:
        parts = ["--encoder", str(encoder), "--index", str(index)] if command == "make" else []
        assert main(["release", command, "--root", str(tmp_path / "root"), *map(str, arguments), *parts]) == 0

    return run


def test_from_evaluation_to_alias_and_back(
    tmp_path: Path, corpora: Path, encoder: Path, release: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        [
            "evaluate",
            "--encoder",
            str(encoder),
            "--corpus",
            str(corpora / "dev"),
            "--out",
            str(tmp_path / "dev"),
            "--run-depth",
            "0",
        ]
    )
    found = json.loads((tmp_path / "dev" / "evaluation.json").read_text())
    capsys.readouterr()
    for name in ("first", "second"):
        release("make", name, "--evaluation", tmp_path / "dev")
    shown = capsys.readouterr().out
    assert "first: " in shown
    assert "every checksum agrees" in shown
    benchmark = f"{corpora.name}/dev"
    assert f"{benchmark}: mul {found['mul']:.4f}" in shown
    quality = verify_release(tmp_path / "root" / "first").quality[benchmark]
    assert (quality["mul"], quality["queries"]) == (found["mul"], found["sets"][0]["queries"])
    assert set(quality) == {*GATES, "rank_distance", "queries", "passages"}

    release("promote", "first")
    release("promote", "second")
    assert resolve(tmp_path / "root").name == "second"
    release("rollback")
    assert resolve(tmp_path / "root").name == "first"
    with pytest.raises(UserError, match="named no other release before"):
        release("rollback")
    release("verify", "first", tmp_path / "root" / "second")
    capsys.readouterr()
    release("list")
    lines = capsys.readouterr().out.splitlines()
    assert any("first" in line and "current" in line for line in lines)
    assert not any("second" in line and "current" in line for line in lines)


def test_promote_measures_what_was_not_measured(
    tmp_path: Path, corpora: Path, release: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    release("make", "first")
    release("make", "second")
    with pytest.raises(UserError, match="first was not measured on any benchmark"):
        release("promote", "first")
    release("promote", "first", "--corpus", corpora / "dev")
    step = history(tmp_path / "root")[-1]
    assert step.quality[f"{corpora.name}/dev"]["mul"] > 0
    capsys.readouterr()
    release("promote", "second", "--corpus", corpora / "dev")  # the two are equal
    assert capsys.readouterr().out.count("160 queries, 160 passages") == 1, "the first was measured before"
    assert resolve(tmp_path / "root").name == "second"
    # measured on less than the standing release: not comparable, until both are
    release("promote", "first", "--corpus", corpora / "dev", "--groups", 15)
    assert history(tmp_path / "root")[-1].quality[f"{corpora.name}/dev"]["queries"] == 60


def test_force_does_not_ask_for_a_standing_release_that_is_gone(
    tmp_path: Path, corpora: Path, release: Callable[..., None]
) -> None:
    release("make", "first")
    release("make", "second")
    release("promote", "first", "--force")
    shutil.rmtree(tmp_path / "root" / "first")
    arguments = ["second", "--corpus", corpora / "dev", "--groups", 5]
    with pytest.raises(UserError, match=r"the standing release first is gone.*promote with --force"):
        release("promote", *arguments)
    release("promote", *arguments, "--force")
    assert resolve(tmp_path / "root").name == "second"
    assert history(tmp_path / "root")[-1].quality[f"{corpora.name}/dev"]["queries"] == 20


def test_promote_measures_on_benchmarks(tmp_path: Path, release: Callable[..., None]) -> None:
    for side in ("deu", "eng"):
        (tmp_path / f"tatoeba.deu-eng.{side}").write_text("ba be\nki ko ku\nmu\n")
    release("make", "first")
    arguments = ["first", "--benchmark", "tatoeba", "--data", tmp_path, "--metric", "recall@1"]
    release("promote", *arguments)
    assert history(tmp_path / "root")[-1].quality["tatoeba"]["recall@1"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote"], "NAME needs a value"),
        (["promote", "nowhere"], "there is no directory of releases"),
        (["promote", "../first"], "is no name of a release"),
        (["promote", "first", "--data", "."], "either a benchmark with its data or a corpus"),
        (["verify", "nowhere"], "there is no release"),
        (["verify", "./nowhere"], "there is no release"),
        (["list"], "there is no directory of releases"),
        (["make", "First"], "is no name of a release"),
    ],
)
def test_bad_arguments_are_one_line(release: Callable[..., None], arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        release(*arguments)


def test_verify_names_the_damaged_file(tmp_path: Path, release: Callable[..., None]) -> None:
    release("make", "first", "--copy")
    shard = next((tmp_path / "root" / "first" / "index").glob("shard-*"))
    shard.chmod(0o644)
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CorruptError, match=shard.name):
        release("verify", "first")


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in ("xlret release make", "xlret release rollback", "xlret release list", "What may not be in a release"):
        assert word in shown


def test_what_decides_is_what_evaluations_hold() -> None:
    assert set(GATES) == {"mo", "cr", "micro", *POOLED}


def test_reading_releases_needs_neither_torch_nor_ray() -> None:
    code = "import sys, xlret.release; print(sorted({'torch', 'transformers', 'faiss', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

from pathlib import Path

import pytest

from xlret.commands.app import main, run
from xlret.errors import UserError


@pytest.fixture(autouse=True)
def _without_shared_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XLRET_SHARED", str(tmp_path / "absent"))
    monkeypatch.setenv("COLUMNS", "200")


def test_a_text_is_switched_and_shown(lexicon: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    word = (lexicon / "en-de.txt").read_text(encoding="utf-8").split("\n")[0].split("\t")
    text = f"Well, {word[0]}!"
    arguments = ["switch", text, "--p", "1", "--languages", "de", "--lexicon", str(lexicon), "--html", str(page)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"Well, {word[1]}!\nde 1  switched 1 of 2 words (50%)\n"
    assert f'<b lang="de" dir="auto" style="color:#1b7f3b" title="de: {word[0]}">{word[1]}</b>' in page.read_text(
        encoding="utf-8"
    )


def test_rows_of_a_corpus_are_switched(corpora: Path, lexicon: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["switch", "--from-corpus", "3", "--corpus", str(corpora / "train"), "--lexicon", str(lexicon), "--seed", "1"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count(" query\n") == out.count(" passage\n") == 3
    assert "de " in out.splitlines()[-1]
    assert "fr " in out.splitlines()[-1]
    main(arguments)
    assert capsys.readouterr().out == out


def test_without_any_lexicon_names_of_cldr_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["switch", "Germany and United Kingdom", "--policy", "wiki", "--p", "1", "--languages", "es"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Alemania and Reino Unido\n")
    assert "CLDR" in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either a text or --from-corpus"),
        (["text", "--from-corpus", "2"], "either a text or --from-corpus"),
        (["--from-corpus", "2"], "needs a number of at least 1 and --corpus"),
        (["text", "--p", "much"], "--p is 'much'"),
        (["text", "--p", "1.5"], r"p is 1\.5: allowed is 0 to 1"),
        (["text", "--policy", "all"], "policy is 'all'"),
        (["text", "--languages", "sw"], "no lexicon into sw comes with xlret"),
        (["text", "--languages", "de", "--lang", "ru"], "has no words of ru"),
        (["te\udc80xt", "--languages", "de"], "not valid UTF-8"),
        (["text", "--languages", "de", "--lexicon", "/absent"], "no lexicon at /absent"),
    ],
)
def test_wrong_arguments_are_user_errors(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        main(["switch", *arguments])


def test_the_command_prints_errors_as_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["xlret", "switch"])
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: give either a text")

from pathlib import Path

import numpy as np
import pytest

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.lexicon.lexicon import Lexicon


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    directory = tmp_path / "pairs"
    directory.mkdir()
    (directory / "en-de.txt").write_text("dog hund\ndog köter\nbank bank\n", encoding="utf-8")
    (directory / "en-fr.tsv").write_text("dog\tchien\nbank\tbanque\nb2\tb2\n", encoding="utf-8")
    return directory


def _texts(directory: Path, word: str, source: str, target: str) -> tuple[str, ...]:
    return Lexicon.load([directory]).translations(word, source, target).texts


def test_convert_invert_pivot_and_filter(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "all"
    assert main(["lexicon", "convert", str(pairs), "--into", str(made)]) == 0
    assert "written to" in capsys.readouterr().out
    assert _texts(made, "dog", "en", "de") == ("hund", "köter")
    main(["lexicon", "invert", str(made), "--into", str(tmp_path / "back")])
    assert _texts(tmp_path / "back", "Chien", "fr", "en") == ("dog",)
    main(["lexicon", "pivot", str(made), "--pairs", "fr-de", "--into", str(tmp_path / "fr-de")])
    assert _texts(tmp_path / "fr-de", "chien", "fr", "de") == ("hund", "köter")
    arguments = ["--top", "1", "--drop-identical", "--drop-numbers", "--into", str(tmp_path / "few")]
    main(["lexicon", "filter", str(made), *arguments])
    assert _texts(tmp_path / "few", "dog", "en", "de") == ("hund",)
    assert _texts(tmp_path / "few", "bank", "en", "de") == _texts(tmp_path / "few", "b2", "en", "fr") == ()


def test_nothing_is_overwritten_without_leave(pairs: Path, tmp_path: Path) -> None:
    main(["lexicon", "convert", str(pairs / "en-de.txt"), "--into", str(tmp_path / "x")])
    with pytest.raises(UserError, match="exists already"):
        main(["lexicon", "convert", str(pairs), "--into", str(tmp_path / "x")])
    main(["lexicon", "convert", str(pairs), "--languages", "fr", "--into", str(tmp_path / "x"), "--replace"])
    assert Lexicon.load([tmp_path / "x"]).targets == ("fr",)


def test_exports_and_titles(tmp_path: Path) -> None:
    (tmp_path / "en-de.tsv").write_text("New_York_(city)\t<b>Neu-York</b> (Stadt); Big Apple\n", encoding="utf-8")
    main(["lexicon", "convert", str(tmp_path / "en-de.tsv"), "--style", "export", "--into", str(tmp_path / "export")])
    assert [one for one, *_ in Lexicon.load([tmp_path / "export"]).tables["en"].entries("de")] == ["new_york_"] * 2
    (tmp_path / "en-de.tsv").write_text("New_York_(city)\tNew York (Stadt)\n", encoding="utf-8")
    main(["lexicon", "convert", str(tmp_path / "en-de.tsv"), "--style", "titles", "--into", str(tmp_path / "titles")])
    assert _texts(tmp_path / "titles", "New York", "en", "de") == ("new york",)


def test_statistics_with_a_corpus(lexicon: Path, corpora: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["lexicon", "statistics", str(lexicon), "--corpus", str(corpora / "train")])
    out = capsys.readouterr().out
    assert "300" in out
    assert "100.0%" in out  # every word of the made-up corpus has its translation


def test_induce_prints_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    source = rng.normal(size=(60, 8))
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    for name, vectors in (("en", source), ("de", source @ rotation)):
        lines = (f"{name}x{n} {' '.join(f'{value:.5f}' for value in row)}\n" for n, row in enumerate(vectors))
        (tmp_path / f"{name}.vec").write_text(f"60 8\n{''.join(lines)}", encoding="utf-8")
    for name, numbers in (("seed", range(30)), ("test", range(30, 60))):
        (tmp_path / f"{name}.en-de.tsv").write_text("".join(f"enx{n}\tdex{n}\n" for n in numbers), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("en.vec", "de.vec")]
    dictionaries = ["--seed", str(tmp_path / "seed.en-de.tsv"), "--test", str(tmp_path / "test.en-de.tsv")]
    main(["lexicon", "induce", *files, "--pair", "en-de", *dictionaries, "--into", str(tmp_path / "out"), "--mutual"])
    assert "P@1 100.0%" in capsys.readouterr().out
    assert _texts(tmp_path / "out", "enx42", "en", "de") == ("dex42",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "absent", "--into", "x"], "no lexicon at .*absent"),
        (["convert", "pairs", "--languages", " ,", "--into", "x"], "--languages: unknown language code"),
        (["pivot", "pairs", "--pairs", "defr", "--into", "x"], "source-target"),
        (["filter", "pairs", "--top", "0", "--into", "x"], "top is 0"),
        (["induce", "a.vec", "b.vec", "--pair", "en-de", "--top", "0", "--into", "x"], "top is 0"),
        (["induce", "a.vec", "b.vec", "--pair", "en-de", "--top", "5", "--mutual", "--into", "x"], "top is 5, but mutual"),
        (["induce", "a.vec", "b.vec", "--pair", "en-de", "--limit", "0", "--into", "x"], "limit is 0"),
        (["statistics", "pairs", "--corpus", "absent"], "absent"),
    ],
)
def test_wrong_arguments_are_user_errors(pairs: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLRET_HOME", str(pairs.parent))
    with pytest.raises(UserError, match=says):
        main(["lexicon", *arguments])

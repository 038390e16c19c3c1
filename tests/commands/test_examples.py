"""Every command that help, README, documents and recipes show: it is parsed by the very commands, and what is cheap is run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cyclopts import CycloptsError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from xlret.commands.app import COMMANDS, app, main
from xlret.config import RECIPES, Settings, read_recipe
from xlret.data.prepare import PrepareSettings
from xlret.errors import UserError
from xlret.serve.settings import ServeSettings
from xlret.sweep.settings import SweepJob
from xlret.training.settings import TrainJob

ROOT = Path(__file__).parents[2]
RECIPE_KINDS: dict[str, type[Settings]] = {
    "train": TrainJob,
    "quickstart": TrainJob,
    "prepare": PrepareSettings,
    "sweep": SweepJob,
    "serve": ServeSettings,
}
OWN_RECIPE = "my.yaml"
"""What examples call a recipe that the reader writes."""
UNKNOWN = (UnknownCommandError, UnknownOptionError, UnusedCliTokensError)


class Example(NamedTuple):
    """A command and where it is shown."""

    origin: str
    words: tuple[str, ...]

    @property
    def is_part(self) -> bool:
        """Whether the text leaves something out."""
        return "..." in self.words


def lines_of(text: str) -> Iterator[str]:
    """Lines with their continuations."""
    yield from re.sub(r"[ ]*\\\n\s*", " ", text).splitlines()


def commands_in(text: str) -> Iterator[str]:
    """What stands in a line from `xlret`, `python -m jobs.` or `make` on, up to the end of the command."""
    for match in re.finditer(r"(?<![\w/.-])xlret(?= [a-z-]+)|^make(?= [a-z-]+)|python -m jobs\.\w+", text):
        rest = text[match.start() :]
        yield re.split(r"`| {2,}|\s#|\s[>|&;]|\)\"|;|\s->", rest, maxsplit=1)[0].rstrip(".,:)")


def words_of(command: str) -> tuple[str, ...]:
    """`python -m jobs.train x` and `xlret train x` are the same words: train, x."""
    words = shlex.split(command)
    if words[0] == "python":
        return (words[2].removeprefix("jobs."), *words[3:])
    return tuple(words) if words[0] == "make" else tuple(words[1:])


def shown_texts() -> Iterator[tuple[str, str]]:
    """(where, text) of everything whose commands a reader may copy."""
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "cluster").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.M | re.S)
        spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).replace("\n", " "))
        yield str(path.relative_to(ROOT)), "\n".join([*blocks, *spans])
    for path in [*sorted(RECIPES.rglob("*.yaml")), *sorted((ROOT / "cluster").rglob("*.yaml"))]:
        comments = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        yield path.name, "\n".join(comments)
    yield "xlret --help", app.help_epilogue or ""
    for name in COMMANDS:
        yield f"xlret {name} --help", app[name].help_epilogue or ""


def examples() -> list[Example]:
    commands = {
        (origin, words_of(command))
        for origin, text in shown_texts()
        for line in lines_of(text)
        for command in commands_in(line)
    }
    return [Example(*command) for command in sorted(commands) if command[1]]


EXAMPLES = examples()
OF_XLRET = [example for example in EXAMPLES if example.words[0] in COMMANDS]


def test_examples_are_seen_wherever_they_stand() -> None:
    origins = {example.origin for example in OF_XLRET}
    assert {"README.md", "docs/RESULTS.md", "reranker.yaml", "serve.yaml", "xlret index --help"} <= origins
    assert ("index", "search", "indexes/wiki", "Wo liegt Bern?", "--languages", "en", "sw") in {e.words for e in OF_XLRET}


def test_every_command_is_one_of_xlret_or_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    unknown = []
    for origin, (command, *rest) in EXAMPLES:
        known = rest[0] in targets if command == "make" else command in COMMANDS or is_entry_point(command)
        if not known and not command.startswith("--"):
            unknown.append((origin, command, *rest))
    assert unknown == []


def is_entry_point(name: str) -> bool:
    """Whether `python -m jobs.NAME` is there."""
    return (ROOT / "jobs" / f"{name.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("example", OF_XLRET, ids=lambda example: " ".join(example.words)[:80])
def test_an_example_is_understood(example: Example) -> None:
    assert objection(example) == ""


def objection(example: Example) -> str:
    """What the command says against an example; nothing where it would run, given what it names."""
    words = [word for word in example.words if word != "..."]
    if "--help" in words or not app.parse_commands(words)[2]:  # help, or the name of a command in a sentence
        return ""
    try:
        _, bound, *_ = app.parse_args(words, print_error=False, exit_on_error=False)
    except UNKNOWN as error:
        return str(error)
    except CycloptsError as error:
        return "" if example.is_part else str(error)
    kind = RECIPE_KINDS.get(words[0])
    overrides = bound.kwargs.get("overrides", ())
    recipe = bound.args[0] if bound.args else None
    if kind is None:
        return ""
    if recipe is None or recipe == OWN_RECIPE:
        return "; ".join(filter(None, (unknown_key(kind, override) for override in overrides)))
    try:
        read_recipe(kind, recipe, overrides)
    except UserError as error:
        return str(error)
    return ""


def unknown_key(kind: type[Settings], override: str) -> str:
    """The error of an override that no recipe of this kind takes; that other keys are missing is none."""
    key = override.partition("=")[0]
    try:
        read_recipe(kind, None, [override])
    except UserError as error:
        return str(error) if any(part.startswith((f"{key} ", f"{key}:")) for part in str(error).split("; ")) else ""
    return ""


def test_objections_are_seen() -> None:
    for words, says in (
        (("train", "atlas-hybrid"), "there is no recipe atlas-hybrid"),
        (("train", "quickstart", "--set", "train.steps=200"), "train: unknown key"),
        (("train", OWN_RECIPE, "--set", "stepz=2"), "stepz: unknown key"),
        (("index", "build", "x", "...", "--gpus"), "Unknown option: --gpus"),
        (("index", "drop", "x"), "drop"),
        (("release", "make", "x"), "--encoder"),
        (("release", "promote", "...", "--previous"), "--previous"),
    ):
        assert says in objection(Example("here", words))


def test_what_is_cheap_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts are switched, recipes and help are shown, in an empty directory without shared data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLRET_SHARED", str(tmp_path / "absent"))
    cheap = [
        example.words
        for example in OF_XLRET
        if not example.is_part and (example.words[0] == "recipes" or example.words[-1] == "--help" or is_text(example.words))
    ]
    assert {words[0] for words in cheap} >= {"recipes", "switch", "lexicon", "release"}
    for words in cheap:
        assert main(words) == 0, words
        assert capsys.readouterr().out


def is_text(words: tuple[str, ...]) -> bool:
    """Whether a text is switched by the lexicons that come with xlret."""
    return words[0] == "switch" and len(words) > 1 and not words[1].startswith("--") and "--lexicon" not in words

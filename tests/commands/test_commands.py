"""The command line as a whole: help that is quick, and arguments that are wrong."""

import subprocess
import sys

import pytest

from xlret.commands.app import COMMANDS, app, main
from xlret.config import recipe_names
from xlret.errors import UserError


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def loaded_by(*argv: str) -> set[str]:
    """The modules that a command has imported in a process of its own."""
    code = f"import sys; from xlret.commands.app import main; main({list(argv)}); print('loaded:', *sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.rpartition("loaded:")[2].split())


def test_the_list_of_commands_imports_none_of_them() -> None:
    loaded = loaded_by("--help")
    heavy = {
        "torch",
        "ray",
        "numpy",
        "scipy",
        "pandas",
        "pyarrow",
        "pydantic",
        "yaml",
        "jinja2",
        "langcodes",
        "importlib.metadata",
    }
    assert not loaded & heavy
    assert not loaded & {f"xlret.commands.{name}" for name in COMMANDS}


HELP_OF_EACH = """
import os, sys
import pyarrow, pydantic, scipy.stats  # many of them do
import xlret.config
from xlret.commands.app import main
for command in sys.argv[1:]:
    if os.fork() == 0:
        main([command, "--help"])
        print("\\nloaded:", command, *sys.modules, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, command
"""


@pytest.fixture(scope="module")
def loaded_by_help() -> dict[str, set[str]]:
    """What a process has imported after the help of a command; it was forked from one that had none of what is forbidden."""
    output = subprocess.run([sys.executable, "-c", HELP_OF_EACH, *COMMANDS], capture_output=True, text=True, check=True).stdout
    listed = [line.split()[1:] for line in output.splitlines() if line.startswith("loaded:")]
    return {command: set(modules) for command, *modules in listed}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_neither_torch_nor_ray(command: str, loaded_by_help: dict[str, set[str]]) -> None:
    assert f"xlret.commands.{command}" in loaded_by_help[command]
    assert not loaded_by_help[command] & {"torch", "ray", "faiss", "transformers"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_the_same_of_itself_as_the_list(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app[command].help == COMMANDS[command]
    assert COMMANDS[command] in shown(capsys, "--help")


def test_help_of_training_lists_every_key_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "--help")
    assert "plan.batch_size: whole number, at least 2; by default 64 Pairs in the global batch, over all workers." in text
    assert "plan.alpha.shape: linear | cosine; by default linear" in text
    assert "--fresh throw away an earlier run of the same name" in text


def test_recipes_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "recipes")
    assert all(name in text for name in recipe_names())
    assert "reranker xlret train A reranker from random weights on the embedded corpus" in text
    assert "prepare-real xlret prepare Real parallel text" in text
    assert shown(capsys, "recipes", "quickstart").startswith("# The embedded corpus")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["tran"], r'Unknown command "tran"\. Did you mean "train"\?'),
        (["train", "--fersh"], r"Unknown option: --fersh\. Did you mean --fresh\?; see xlret train --help"),
        (["train", "quickstrat"], "there is no recipe quickstrat: no such file, and none of those that come with xlret"),
        (["train", "a", "b"], "b"),
        (["train", "--set"], "--set needs a value; see xlret train --help"),
        (["train", "quickstart", "--set", "plan.alpha=2"], "^plan.alpha is 2: allowed is 0 to 1$"),
        (["switch", "text", "--languages", "de,de"], "^--languages: .* names a language twice$"),
        (["switch", "text", "--languages", "de", "xx-yy-zz-ww"], "^--languages: unknown language code 'xx-yy-zz-ww'"),
        (["switch", "text", "--seed", "much"], "--seed.*much"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(argv: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        main(argv)
    assert "\n" not in str(error.value)


def test_completion_knows_commands_and_flags() -> None:
    script = app.generate_completion(shell="bash")
    assert all(command in script for command in COMMANDS)
    assert "--policy" in script

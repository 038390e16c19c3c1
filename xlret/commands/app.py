"""The command `xlret`: every command by name, imported when it is called. `python -m jobs.NAME` is `xlret NAME`."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App

from xlret.commands import frame

EPILOGUE = """\
xlret COMMAND --help says what a command reads and what it leaves.
The same on a cluster: ray job submit --working-dir . -- python -m jobs.train real
Completion in bash, zsh or fish: xlret --install-completion
"""
COMMANDS = {
    "quickstart": "Train, evaluate and show a small cross-lingual retriever, from nothing.",
    "prepare": "Make corpora of public data sets and of your own files.",
    "corpus": "Check every file of a prepared corpus and show what it holds.",
    "lexicon": "Make, change and measure bilingual lexicons.",
    "switch": "Show texts with some of their words in other languages.",
    "recipes": "List the recipes that come with xlret, or show one.",
    "mine": "Mine hard negatives for a prepared corpus.",
    "train": "Train a retriever or a reranker.",
    "soup": "Average trained encoders, or a run's checkpoints, into one.",
    "evaluate": "Measure an encoder within, across and over all languages.",
    "debias": "Find what language does to an encoder's vectors, to take it out.",
    "export": "Make an encoder for a faster inference engine (ONNX Runtime, int8).",
    "benchmarks": "List the benchmarks, their licences, and which are on this machine.",
    "compare": "Tell which of several evaluated systems is better, with intervals and tests.",
    "sweep": "Train and evaluate many settings of a recipe over seeds; choose the best.",
    "index": "Build an index of passages; add to it, delete from it, search it.",
    "release": "Make releases of encoder and index, check them, say which is served.",
    "copy": "Copy a file or directory to a URL of an object store, or from one.",
    "push": "Upload an encoder to the Hugging Face hub, with its model card.",
    "serve": "Serve a release over HTTP, with a web page.",
}


def _version() -> str:
    from importlib.metadata import version  # with all of email behind it

    return version("xlret")


def _app() -> App:
    app = frame.new_app("xlret", "Zero-shot cross-lingual retrieval on Ray.", EPILOGUE)
    app.version_flags = ["--version"]
    app.version = _version
    for name, description in COMMANDS.items():
        app.command(f"xlret.commands.{name}:app", name=name, help=description)
    app.register_install_completion_command(add_to_startup=False, help="Install completion for the shell in use.")
    return app


app = _app()


def main(argv: Sequence[str]) -> int:
    """Runs one command, such as `main(["train", "quickstart"])`; returns its exit status.

    Raises:
        UserError: arguments or input cannot be used.
    """
    return frame.call(app, argv)


def run(*command: str) -> NoReturn:
    """What the console command and the entry points under `jobs` call: `main` of the process's own arguments, and exits.

    Args:
        command: what stands before those arguments, such as `train`.
    """
    frame.run(lambda: main([*command, *sys.argv[1:]]))

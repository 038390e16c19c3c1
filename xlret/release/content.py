"""What may be in a release at all: plain files of known kinds, weights as safetensors, nothing that runs as code."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from xlret.errors import CorruptError
from xlret.model.export.record import EXPORT, ONNX

MODEL_SUFFIXES = (".json", ".safetensors", ".onnx", ".txt", ".model", ".jinja", ".md")
"""Kinds of files that a model's directory may hold. Pickles (.bin, .pt, .pkl), code (.py) and all else are refused."""

_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
"""JSON whose keys are words of a vocabulary, not settings."""
_RUNS_CODE = ("auto_map", "trust_remote_code", "custom_pipelines")
"""Settings with which transformers loads Python files that lie beside the weights or on a hub."""
_MODULES = "sentence_transformers."


def files_below(directory: Path) -> Iterator[str]:
    """Paths with `/` of all files below a directory, sorted. Empty directories are as good as none.

    Raises:
        CorruptError: a link, or something that is neither a file nor a directory.
    """
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.is_symlink():
            raise CorruptError(f"{entry.path} is a link; a release holds plain files only")
        if entry.is_dir(follow_symlinks=False):
            yield from (f"{entry.name}/{below}" for below in files_below(Path(entry.path)))
        elif entry.is_file(follow_symlinks=False):
            yield entry.name
        else:
            raise CorruptError(f"{entry.path} is no plain file; a release holds plain files only")


def check_model(directory: Path) -> list[str]:
    """The files of an encoder's or reranker's directory, each of a kind that is safe to load.

    Cost: reads the JSON files and the headers of the weights.

    Raises:
        CorruptError: a file that may be a pickle or code, settings that load code, weights that are no safetensors.
    """
    if not directory.is_dir():
        raise CorruptError(f"{directory} is missing or no directory")
    names = list(files_below(directory))
    for name in names:
        path = directory / name
        if path.suffix not in MODEL_SUFFIXES or path.name.startswith(".") or (path.suffix == ".onnx" and name != ONNX):
            raise CorruptError(
                f"{path} may not be in a release; allowed are {', '.join(MODEL_SUFFIXES)}, with weights as safetensors "
                f"or {ONNX}"
            )
        if path.suffix == ".json":
            _check_settings(path)
        if path.suffix == ".safetensors":
            check_weights(path)
    for needed in ("config.json", ONNX if EXPORT in names else "model.safetensors"):
        if needed not in names:
            raise CorruptError(f"{directory} holds no {needed}, so it is no model that a release can hold")
    return names


def check_reranker(directory: Path) -> list[str]:
    """`check_model` for a reranker: besides, it must be a classifier of sequences with one logit.

    Raises:
        CorruptError: as `check_model`, or it is another kind of model.
    """
    names = check_model(directory)
    path = directory / "config.json"
    config = json.loads(path.read_bytes())
    kinds, labels = (config.get("architectures"), config.get("id2label")) if isinstance(config, dict) else (None, None)
    if not str(kinds).endswith("ForSequenceClassification']") or not isinstance(labels, dict) or len(labels) != 1:
        raise CorruptError(f"{path} is of {kinds} with the labels {labels}; a reranker is a sequence classifier with one label")
    return names


def _check_settings(path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path} is not JSON: {error}") from error
    if path.name in _VOCABULARIES:
        return
    for key, value in _settings(content):
        if key in _RUNS_CODE and value:
            raise CorruptError(f"{path} has {key}, which makes others' code run; a release holds built-in models only")
        if path.name == "modules.json" and key == "type" and not str(value).startswith(_MODULES):
            raise CorruptError(f"{path} has the module type {value!r}; allowed are those of {_MODULES}*")


def _settings(content: Any) -> Iterator[tuple[str, Any]]:
    """All keys and values, however deep."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def check_weights(path: Path) -> None:
    """Whether a file is safetensors with weights; its header is read.

    Raises:
        CorruptError: it is not.
    """
    try:
        with safe_open(path, framework="numpy") as weights:
            if not weights.keys():
                raise CorruptError(f"{path} holds no weights")
    except (SafetensorError, OSError) as error:
        raise CorruptError(f"{path} is not safetensors: {error}") from error

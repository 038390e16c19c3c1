"""Where an encoder starts from: a directory in Hugging Face or sentence-transformers layout, or a name on the hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors as hub
from tokenizers import Tokenizer, normalizers

from xlret.errors import UserError
from xlret.files import expand_path
from xlret.model.backbone import first_line, load_backbone, load_tokenizer, positions, saved_files, tokenizer_files
from xlret.model.parts import Parts
from xlret.model.projection import Projection
from xlret.tokens.card import CARD, PoolingMode, read_card
from xlret.tokens.texts import read_backend

PROJECTION = "2_Dense"
"""Where `Encoder.save` puts the dense layer."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_ANY_LENGTH = 10**30  # what transformers names for a tokenizer that says nothing
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*model.safetensors", "model-*.safetensors"]
_POOLING: dict[str, PoolingMode] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def locate(name_or_directory: str | Path) -> Path:
    """The local directory of a model; what is neither a `Path` nor a directory is a hub name, downloaded into the local cache.

    Raises:
        UserError: neither directory nor hub name, hub not reachable or no such model there.
    """
    directory = expand_path(Path(name_or_directory))
    if directory.is_dir():
        return directory
    if isinstance(name_or_directory, Path) or name_or_directory == "fresh" or not _HUB_NAME.fullmatch(name_or_directory):
        raise UserError(
            f"there is no model at {str(name_or_directory)!r}: no such directory ({directory}); "
            "allowed are a directory and a hub name (and `fresh` in recipes, to train from nothing)"
        )
    return _download(name_or_directory)


def read_parts(directory: Path) -> Parts:
    """The parts of an encoder in a local directory, whoever saved it.

    What xlret saved has a card (`xlret.json`), which decides prompts, limits and pooling, and its `tokenizer.json` is taken as
    it stands, as processes without transformers take it. Of any other, `read_directory` tells what is taken from where.

    Raises:
        UserError: no encoder there, or modules, poolings or weights that are not supported.
    """
    if not (directory / CARD).is_file():
        return read_directory(directory)
    card, projection, backbone = read_card(directory), directory / PROJECTION, load_backbone(directory)
    named = _read_json(directory / "tokenizer_config.json", {}).get("model_max_length", _ANY_LENGTH)
    return Parts(
        backbone=backbone,
        tokenizer=read_backend(directory),
        tokenizer_files=tokenizer_files(directory),
        pad_id=card.pad_id,
        positions=positions(backbone, int(named)),
        max_query_tokens=card.max_query_tokens,
        max_passage_tokens=card.max_passage_tokens,
        cut=card.cut,
        pooling=card.pooling,
        projection=Projection.load(projection) if projection.is_dir() else None,
        query_prompt=card.query_prompt,
        passage_prompt=card.passage_prompt,
        dimensions=card.dimensions,
    )


def read_directory(directory: Path) -> Parts:
    """The parts of an encoder in a local directory. Vectors are L2-normalised here whether or not its layout says so.

    Raises:
        UserError: no encoder there, or modules, poolings or weights that are not supported.
    """
    try:
        layout = _layout(directory)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{directory}: modules.json and the files it names are not of sentence-transformers' form") from error
    backbone = load_backbone(layout.transformer)
    named = load_tokenizer(layout.transformer)
    tokenizer = Tokenizer.from_str(named.backend_tokenizer.to_str())
    if layout.lower_case:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Lowercase(), *([] if tokenizer.normalizer is None else [tokenizer.normalizer])]
        )
    limit = positions(backbone, int(named.model_max_length))
    return Parts(
        backbone=backbone,
        tokenizer=tokenizer,
        tokenizer_files=saved_files(named),
        pad_id=int(named.pad_token_id),
        positions=limit,
        max_query_tokens=limit,
        max_passage_tokens=limit,
        cut=named.truncation_side,
        pooling=layout.pooling,
        projection=Projection.load(layout.projection) if layout.projection else None,
        query_prompt=layout.query_prompt,
        passage_prompt=layout.passage_prompt,
    )


@dataclass(frozen=True)
class _Layout:
    """What the sentence-transformers files of a directory say; a plain Hugging Face directory says nothing."""

    transformer: Path
    lower_case: bool = False
    pooling: PoolingMode | None = None
    projection: Path | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None


def _layout(directory: Path) -> _Layout:
    if not (directory / "modules.json").is_file():
        return _Layout(directory)
    places: dict[str, Path] = {}
    for module in _read_json(directory / "modules.json"):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind not in ("Transformer", "Pooling", "Dense", "Normalize") or kind in places:
            raise UserError(
                f"{directory}/modules.json: {'a second ' if kind in places else ''}module {kind} is not supported; "
                "supported are Transformer, Pooling, Dense and Normalize, each once and in this order"
            )
        places[kind] = directory / module["path"]
    order = [kind for kind in ("Transformer", "Pooling", "Dense", "Normalize") if kind in places]
    if order != list(places) or order[:2] != ["Transformer", "Pooling"]:
        raise UserError(
            f"{directory}/modules.json: modules {', '.join(places)} are not Transformer, Pooling, (Dense), (Normalize)"
        )
    transformer = places["Transformer"]
    options = _read_json(transformer / "sentence_bert_config.json", {})
    prompts = _read_json(directory / "config_sentence_transformers.json", {}).get("prompts") or {}
    return _Layout(
        transformer=transformer,
        lower_case=bool(options.get("do_lower_case", False)),
        pooling=_pooling(places["Pooling"]),
        projection=places.get("Dense"),
        query_prompt=prompts.get("query"),
        passage_prompt=prompts.get("passage", prompts.get("document")),
    )


def _pooling(directory: Path) -> PoolingMode:
    config = _read_json(directory / "config.json")
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else named
    if modes is None:
        modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) != 1 or modes[0] not in _POOLING or config.get("include_prompt", True) is not True:
        raise UserError(
            f"{directory}/config.json: pooling {', '.join(map(str, modes)) or 'of no kind'}"
            f"{'' if config.get('include_prompt', True) is True else ' without the prompt'} is not supported; "
            "supported are mean, cls and lasttoken, one of them, over all tokens"
        )
    return _POOLING[modes[0]]


def _read_json(path: Path, missing: Any = None) -> Any:
    if missing is not None and not path.is_file():
        return missing
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _download(name: str) -> Path:
    """The directory in the local cache that holds the hub's files of a model: text and safetensors, never pickles."""
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_HUB_FILES))
    except (hub.RepositoryNotFoundError, hub.GatedRepoError, hub.HFValidationError) as error:
        raise UserError(
            f"there is no model {name!r}: no such directory, and the hub has no such model or does not show it to you "
            f"({type(error).__name__}); check the name, or log in with `hf auth login`"
        ) from error
    except (hub.HfHubHTTPError, OSError) as error:
        raise UserError(
            f"there is no model {name!r}: no such directory, and the Hugging Face hub cannot be reached ({first_line(error)}); "
            "give a directory, or `fresh`"
        ) from error

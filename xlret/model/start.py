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
from xlret.model.backbone import first_line, load_backbone, load_tokenizer, positions, saved_files
from xlret.model.parts import Parts
from xlret.model.projection import Projection
from xlret.tokens.card import PoolingMode

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*model.safetensors", "model-*.safetensors"]
_POOLING: dict[str, PoolingMode] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def read_start(start: str) -> Parts:
    """The parts of the encoder that `start` names; the hub is asked only where there is no such directory.

    Raises:
        UserError: neither directory nor hub name, hub not reachable or no such model there, or an encoder that cannot be used.
    """
    return read_directory(locate(start))


def locate(start: str) -> Path:
    """The local directory of what `start` names; a hub name is downloaded into the local cache.

    Raises:
        UserError: neither directory nor hub name, hub not reachable or no such model there.
    """
    directory = expand_path(Path(start))
    if directory.is_dir():
        return directory
    if not _HUB_NAME.fullmatch(start):
        raise UserError(
            f"encoder.start is {start!r}: no such directory ({directory}); allowed are fresh, a directory or a hub name"
        )
    return _download(start)


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
    return Parts(
        backbone=backbone,
        tokenizer=tokenizer,
        tokenizer_files=saved_files(named),
        pad_id=int(named.pad_token_id),
        positions=positions(backbone, int(named.model_max_length)),
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
            f"encoder.start is {name!r}: no such directory, and the hub has no such model or does not show it to you "
            f"({type(error).__name__}); check the name, or log in with `hf auth login`"
        ) from error
    except (hub.HfHubHTTPError, OSError) as error:
        raise UserError(
            f"encoder.start is {name!r}: no such directory, and the Hugging Face hub cannot be reached ({first_line(error)}); "
            "give a directory, or `fresh`"
        ) from error

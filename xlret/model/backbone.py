"""Loading a transformer and its tokenizer from a directory: local files, safetensors and built-in code only."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from torch import nn
from transformers.utils import logging

from xlret.errors import UserError

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")


def load_backbone(directory: Path) -> nn.Module:
    """The transformer in a directory, in float32 whatever it is stored in.

    BERT's own pooler takes no part in any pooling here. It is frozen, since DDP stops at weights without a gradient, and kept
    where it is stored, since other tools ask for it when they load what is saved.

    Raises:
        UserError: pickled weights (`.bin`), none at all, some missing, custom code, a damaged file, an encoder-decoder of which
            transformers has no encoder by itself (it has T5's).
    """
    backbone, report = _load(transformers.AutoModelForTextEncoding if _is_t5(directory) else transformers.AutoModel, directory)
    if backbone.config.is_encoder_decoder and not _is_t5(directory):
        raise UserError(f"{directory} is an encoder-decoder ({backbone.config.model_type}); give an encoder")
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise UserError(
            f"{directory}: its weights lack {missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}"
        )
    if "pooler.dense.weight" in report["missing_keys"]:
        backbone.pooler = None
    freeze_pooler(backbone)
    model: nn.Module = backbone
    return model


def load_classifier(directory: Path) -> nn.Module:
    """The transformer with a head of one logit in a directory, in float32 whatever it is stored in.

    Raises:
        UserError: as `load_backbone`, or a head of several labels.
    """
    classifier, report = _load(transformers.AutoModelForSequenceClassification, directory)
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"{directory}: its weights lack {missing[0]}; a reranker has the head that it was trained with")
    if classifier.config.num_labels != 1:
        raise UserError(
            f"{directory} tells {classifier.config.num_labels} classes apart; a reranker has one logit (num_labels 1)"
        )
    model: nn.Module = classifier
    return model


def freeze_pooler(backbone: nn.Module) -> None:
    """Keeps BERT's pooler, where there is one, from being trained."""
    pooler = getattr(backbone, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)


def load_tokenizer(directory: Path) -> transformers.PreTrainedTokenizerBase:
    """The tokenizer in a directory; it has a fast form (`backend_tokenizer`) and a padding token, and pads on the right.

    Raises:
        UserError: there is none, it needs custom code, has no fast form or no padding token.
    """
    _refuse_custom_code(directory / "tokenizer_config.json")
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            assert tokenizer.backend_tokenizer is not None, "transformers 5 has no other tokenizers"
    except Exception as error:  # damaged files raise errors of a dozen kinds, bare Exception too
        raise UserError(f"cannot load the tokenizer in {directory}: {first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        raise UserError(f"the tokenizer in {directory} has no padding token; give it one")
    tokenizer.padding_side = "right"
    for key in ("is_local", "local_files_only"):  # how it was loaded: transformers would save that too
        tokenizer.init_kwargs.pop(key, None)
    return tokenizer


def check_ids(backbone: Any, tokenizer: tokenizers.Tokenizer, pad_id: int, directory: Path) -> None:
    """That every id of a tokenizer has a vector, and that one text alone is all of the first kind.

    Raises:
        UserError: the tokenizer is another model's.
    """
    rows = int(backbone.get_input_embeddings().num_embeddings)
    highest = max(max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0), pad_id)
    if highest >= rows:
        token = tokenizer.id_to_token(highest)
        raise UserError(
            f"{directory}: the tokenizer's ids go up to {highest} ({token!r}), and the model has vectors for 0 to {rows - 1}; "
            "give it the tokenizer that it was trained with"
        )
    if any(tokenizer.encode("a").type_ids):
        raise UserError(f"{directory}: its tokenizer tells kinds of tokens apart in one text (token_type_ids); not supported")


def saved_files(tokenizer: transformers.PreTrainedTokenizerBase) -> dict[str, bytes]:
    """The files, by name, that transformers saves of a tokenizer beside `tokenizer.json`."""
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save_pretrained(directory)
        return tokenizer_files(Path(directory))


def tokenizer_files(directory: Path) -> dict[str, bytes]:
    """The files, by name, of the tokenizer in a directory beside `tokenizer.json`."""
    return {name: (directory / name).read_bytes() for name in _TOKENIZER_FILES if (directory / name).is_file()}


def positions(backbone: nn.Module, named: int) -> int:
    """Tokens that the backbone can take: the smaller of what its tokenizer names and its table of positions holds."""
    size = getattr(backbone.config, "max_position_embeddings", None)
    if not isinstance(size, int) or size <= 0:
        return named
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return min(named, size - (0 if padding is None else padding + 1))  # RoBERTa counts positions from padding + 1


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers from drawing bars and tables: what matters of them is checked here."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """The first line of an error that goes on for a page, and the second where the first only announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _load(kind: Any, directory: Path) -> tuple[Any, Any]:
    """A model of one of transformers' Auto classes, and its report of what was missing."""
    _refuse_pickles(directory)
    try:
        with quiet():
            return kind.from_pretrained(  # type: ignore[no-any-return]
                directory,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:  # damaged files raise errors of a dozen kinds, bare Exception too
        raise UserError(f"cannot load the encoder in {directory}: {first_line(error)}") from error


def _is_t5(directory: Path) -> bool:
    """Whether a directory holds a T5 or one of its kin, of which the encoder is taken, as sentence-transformers does."""
    try:
        return json.loads((directory / "config.json").read_text(encoding="utf-8"))["model_type"] in ("t5", "mt5", "umt5")
    except (OSError, ValueError, KeyError, TypeError):
        return False  # `_load` says what is wrong


def _refuse_pickles(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise UserError(f"{directory} is no encoder: it holds no config.json")
    _refuse_custom_code(directory / "config.json")
    if (directory / "adapter_config.json").is_file():
        raise UserError(f"{directory} holds an adapter (adapter_config.json); merge it into its model and save that")
    if any((directory / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return
    pickles = sorted(path.name for path in directory.glob("*.bin"))
    if pickles:
        raise UserError(
            f"{directory} holds {pickles[0]} but no model.safetensors; pickled weights can run code and are never opened: "
            "save the model as safetensors first"
        )
    raise UserError(f"{directory} holds no weights (model.safetensors)")


def _refuse_custom_code(file: Path) -> None:
    """Refuses a model or tokenizer with code of its own: without that code it would be another one."""
    if not file.is_file():
        return
    try:
        named = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if isinstance(named, dict) and named.get("auto_map"):
        raise UserError(f"{file}: auto_map names code of the model's own ({named['auto_map']}), which is never run")

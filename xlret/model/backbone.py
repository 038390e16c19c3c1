"""Loading a transformer and its tokenizer from a directory: local files, safetensors and built-in code only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging

from xlret.errors import UserError

# All that transformers was seen to raise for a directory that it cannot use.
_FAILURES = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError)

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")


def load_backbone(directory: Path) -> nn.Module:
    """The transformer in a directory, in float32 whatever it is stored in.

    BERT's own pooler takes no part in any pooling here. It is frozen, since DDP stops at weights without a gradient, and kept
    where it is stored, since other tools ask for it when they load what is saved.

    Raises:
        UserError: pickled weights (`.bin`), none at all, some missing, custom code, an encoder-decoder, a damaged file.
    """
    backbone, report = _load(transformers.AutoModel, directory)
    if backbone.config.is_encoder_decoder:
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
    try:
        with quiet():
            found = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            assert found.backend_tokenizer is not None, "transformers 5 has no other tokenizers"
    except _FAILURES as error:
        raise UserError(f"cannot load the tokenizer in {directory}: {first_line(error)}") from error
    if found.pad_token_id is None:
        raise UserError(f"the tokenizer in {directory} has no padding token; give it one")
    found.padding_side = "right"
    for key in ("is_local", "local_files_only"):  # how it was loaded: transformers would save that too
        found.init_kwargs.pop(key, None)
    return found


def saved_files(tokenizer: transformers.PreTrainedTokenizerBase) -> dict[str, bytes]:
    """The files, by name, that transformers saves of a tokenizer beside `tokenizer.json`."""
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        return tokenizer_files(Path(place))


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
    """The first line of an error that goes on for a page."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
    except _FAILURES as error:
        raise UserError(f"cannot load the encoder in {directory}: {first_line(error)}") from error


def _refuse_pickles(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise UserError(f"{directory} is no encoder: it holds no config.json")
    if any((directory / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return
    pickles = sorted(path.name for path in directory.glob("*.bin"))
    if pickles:
        raise UserError(
            f"{directory} holds {pickles[0]} but no model.safetensors; pickled weights can run code and are never opened: "
            "save the model as safetensors first"
        )
    raise UserError(f"{directory} holds no weights (model.safetensors)")

"""Where an encoder starts from: a directory in Hugging Face or sentence-transformers layout, or a name on the hub."""

import re
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors as hub
from tokenizers import Tokenizer, normalizers
from torch import nn

from xlret.errors import UserError
from xlret.files import expand_path, local
from xlret.model.backbone import (
    check_ids,
    first_line,
    load_backbone,
    load_tokenizer,
    positions,
    saved_files,
    tokenizer_files,
)
from xlret.model.export.onnx_backbone import OnnxBackbone
from xlret.model.export.record import read_export
from xlret.model.layout import Layout, read_layout
from xlret.model.parts import Parts
from xlret.model.projection import Projection
from xlret.model.prompts import SIDE_NAMES
from xlret.tokens.card import CARD, EncoderCard, read_card
from xlret.tokens.texts import read_backend

PROJECTION = "2_Dense"
"""Where `Encoder.save` puts the dense layer."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_ANY_LENGTH = 1_000_000  # tokens, of a model whose positions are not counted and whose tokenizer names no length
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*model.safetensors", "model-*.safetensors"]


def locate(name_or_directory: str | Path) -> Path:
    """The local directory of a model; what is neither a `Path` nor a directory is a hub name, downloaded into the local cache.

    Raises:
        UserError: neither directory nor hub name, hub not reachable or no such model there.
    """
    directory = local(expand_path(Path(name_or_directory)))
    if directory.is_dir():
        return directory
    if isinstance(name_or_directory, Path):
        raise UserError(
            f"there is no model at {str(name_or_directory)!r}: no such directory. Names on the hub are for encoder.start and "
            "loss.teacher of recipes; elsewhere fetch it first: hf download NAME --local-dir DIRECTORY"
        )
    if name_or_directory == "fresh" or not _HUB_NAME.fullmatch(name_or_directory):
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
    card, projection, export = read_card(directory), directory / PROJECTION, read_export(directory)
    _check_agreement(directory, card)
    backbone = load_backbone(directory) if export is None else OnnxBackbone(directory, export.backend)
    tokenizer = read_backend(directory)
    check_ids(backbone, tokenizer, card.pad_id, directory)
    return Parts(
        backbone=backbone,
        tokenizer=tokenizer,
        tokenizer_files=tokenizer_files(directory),
        pad_id=card.pad_id,
        positions=positions(backbone, _ANY_LENGTH) if export is None else export.positions,
        max_query_tokens=card.max_query_tokens,
        max_passage_tokens=card.max_passage_tokens,
        cut=card.cut,
        pooling=card.pooling,
        projection=Projection.load(projection) if projection.is_dir() else None,
        prompts={"query": card.query_prompt, "document": card.passage_prompt},
        directory=directory,
        dimensions=card.dimensions,
        exported=export is not None,
    )


def read_directory(directory: Path, layout: Layout | None = None) -> Parts:
    """The parts of an encoder in a local directory that xlret did not save, as sentence-transformers would read it.

    From `modules.json` and the files that it names come pooling, dense layer, prompts, lower casing and length limits
    (`read_layout`); what they leave open is as transformers has it: `model_max_length` of the tokenizer, pooling over the last
    token for a causal language model and else the mean. No limit is longer than the model has positions for. Vectors are
    L2-normalised here whether or not the layout says so.

    Args:
        directory: where the files are.
        layout: what they say, where that was read already.

    Raises:
        UserError: no encoder there, or modules, poolings, options or weights that are not supported.
    """
    layout = layout or read_layout(directory)
    backbone, named = load_backbone(layout.transformer), load_tokenizer(layout.transformer)
    tokenizer = Tokenizer.from_str(named.backend_tokenizer.to_str())
    if layout.lower_case and not _lowers(tokenizer.normalizer):
        steps = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
    pad_id = int(named.pad_token_id)
    check_ids(backbone, tokenizer, pad_id, layout.transformer)
    most = positions(backbone, _ANY_LENGTH)
    limit = min(most, layout.max_tokens or int(named.model_max_length))
    projection = Projection.load_all(layout.projections)
    if projection is not None and projection.linear.in_features != backbone.config.hidden_size:  # type: ignore[union-attr]
        raise UserError(
            f"{layout.projections[0]}/config.json: in_features is {projection.linear.in_features}, and the transformer's "
            f"vectors have {backbone.config.hidden_size} numbers"  # type: ignore[union-attr]
        )
    return Parts(
        backbone=backbone,
        tokenizer=tokenizer,
        tokenizer_files=saved_files(named),
        pad_id=pad_id,
        positions=most,
        max_query_tokens=min(most, layout.max_query_tokens or limit),
        max_passage_tokens=min(most, layout.max_passage_tokens or limit),
        cut=named.truncation_side,
        pooling=layout.pooling or ("last" if _is_causal(backbone) else "mean"),
        projection=projection,
        prompts=layout.prompts,
        default_prompt_name=layout.default_prompt_name,
        directory=directory,
    )


def _lowers(normalizer: normalizers.Normalizer | None) -> bool:
    """Whether a tokenizer makes text lower case by a step of its own."""
    steps: Any = normalizer if isinstance(normalizer, normalizers.Sequence) else [normalizer]
    return any(isinstance(step, normalizers.Lowercase) for step in steps)


def _is_causal(backbone: nn.Module) -> bool:
    """Whether a transformer was made to continue texts: its last token alone has seen the whole text."""
    config: Any = backbone.config
    made_as = str(next(iter(config.architectures or ()), ""))
    return made_as.endswith("ForCausalLM") and bool(getattr(config, "is_causal", True))


def _check_agreement(directory: Path, card: EncoderCard) -> None:
    """That the files which sentence-transformers reads say what the card says, so that none is passed over in silence.

    Raises:
        UserError: somebody changed one and not the other.
    """
    layout = read_layout(directory)
    if layout.pooling is None:
        return
    longest = max(card.max_query_tokens, card.max_passage_tokens)
    passage_prompt = next(
        (layout.prompts[name] for name in SIDE_NAMES["passage"] if name in layout.prompts), card.passage_prompt
    )
    said = {
        "pooling": (card.pooling, layout.pooling),
        "query_prompt": (card.query_prompt, layout.prompts.get("query", card.query_prompt)),
        "passage_prompt": (card.passage_prompt, passage_prompt),
        "max_query_tokens": (card.max_query_tokens, layout.max_query_tokens or card.max_query_tokens),
        "max_passage_tokens": (card.max_passage_tokens, layout.max_passage_tokens or card.max_passage_tokens),
        "the larger of max_query_tokens and max_passage_tokens": (longest, layout.max_tokens or longest),
    }
    for name, (by_card, by_layout) in said.items():
        if by_card != by_layout:
            raise UserError(
                f"{directory}: {name} is {by_card!r} by {CARD} and {by_layout!r} by the files of sentence-transformers' form; "
                f"make them agree, or take {CARD} away to have it as those files say"
            )


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

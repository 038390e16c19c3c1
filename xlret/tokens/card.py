"""`xlret.json` of an encoder's directory: prompts, length limits and pooling, readable without torch."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from xlret.config import Settings, settings_from
from xlret.errors import UserError
from xlret.files import local
from xlret.text.sides import Side

PoolingMode = Literal["mean", "cls", "last"]
CARD = "xlret.json"


def _ascending(dimensions: tuple[int, ...]) -> tuple[int, ...]:
    if any(later <= earlier for earlier, later in pairwise((0, *dimensions))):
        raise ValueError("allowed are lengths of 1 or more, ascending, each once, such as [64, 128]")
    return dimensions


Dimensions = Annotated[tuple[int, ...], AfterValidator(_ascending)]
"""Lengths that a vector may be cut to."""


class EncoderCard(Settings):
    """`xlret.json` in an encoder's directory: what the other files do not say, or not for both sides."""

    version: Literal[1] = 1
    pooling: PoolingMode
    query_prompt: str
    passage_prompt: str
    max_query_tokens: int = Field(ge=4)
    """Tokens kept of a query, prompt and special tokens included."""
    max_passage_tokens: int = Field(ge=4)
    pad_id: int = Field(ge=0)
    cut: Literal["left", "right"] = "right"
    """The end at which a text that is too long loses tokens."""
    dimensions: Dimensions = ()
    """Lengths below the whole that vectors may be cut to (and normalised again)."""

    def prompt(self, side: Side) -> str:
        """What stands before every text of this side."""
        return self.query_prompt if side == "query" else self.passage_prompt

    def max_tokens(self, side: Side) -> int:
        """Tokens kept of a text of this side."""
        return self.max_query_tokens if side == "query" else self.max_passage_tokens


def read_card(directory: Path) -> EncoderCard:
    """`xlret.json` of an encoder's directory.

    Raises:
        UserError: no such directory or file, or its content is not what `Encoder.save` writes.
    """
    values = card_values(directory, "encoder")
    if values.get("kind") == "reranker":
        raise UserError(f"{directory} is a reranker, which reads pairs, and no encoder")
    return settings_from(EncoderCard, values)


def card_values(directory: Path, kind: Literal["encoder", "reranker"]) -> dict[str, Any]:
    """What `xlret.json` of a directory holds, of whatever kind it turns out to be.

    Raises:
        UserError: no such directory or file, or it is no object.
    """
    path = local(Path(directory)) / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if not Path(directory).is_dir():
            raise UserError(f"there is no {kind} at {directory}: no such directory") from error
        raise UserError(
            f"{directory} was not saved by xlret (it holds no {CARD}); load a model of other make with "
            f"`{kind.capitalize()}.load` and save it, or name it as encoder.start of a recipe"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold an object, not {type(values).__name__}")
    return values

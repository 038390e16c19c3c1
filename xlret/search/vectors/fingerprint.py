"""Which encoder made vectors: what it is called and the checksums of all that decides a vector."""

from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.files import sha256_of
from xlret.tokens.card import CARD, read_card


def encoder_files(directory: Path) -> dict[str, str]:
    """Hex SHA-256 of each file that decides a vector, by its name within the directory (about 1 s per GB).

    Raises:
        UserError: it is no encoder that xlret saved, or a file cannot be read.
    """
    read_card(directory)
    names = {CARD, "config.json", "tokenizer.json"}
    names |= {path.relative_to(directory).as_posix() for path in directory.glob("*.safetensors*")}
    names |= {path.relative_to(directory).as_posix() for path in directory.glob("*_Dense/*")}
    try:
        return {name: sha256_of(directory / name) for name in sorted(names)}
    except OSError as error:
        raise UserError(f"{directory} is no whole encoder: cannot read {error.filename}: {error.strerror}") from error


def about_encoder(directory: Path, given: Path, files: dict[str, str], dimension: int) -> dict[str, Any]:
    """What a store says of its encoder.

    Args:
        directory: where it is.
        given: the path as the user gave it.
        files: as `encoder_files` found them.
        dimension: length of a vector.
    """
    card = read_card(directory)
    limits = ("query_prompt", "passage_prompt", "max_query_tokens", "max_passage_tokens")
    return {"path": str(given), "sha256": files, "dimension": dimension, **{name: getattr(card, name) for name in limits}}

"""Which encoder made vectors: what it is called and the checksums of all that decides a vector."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.files import local, sha256_of
from xlret.model.export.record import EXPORT, ONNX, ExportRecord, check_alike, read_export, source_files
from xlret.tokens.card import CARD, read_card


def encoder_files(directory: Path) -> dict[str, str]:
    """Hex SHA-256 of each file that decides a vector, by its name within the directory (about 1 s per GB).

    Raises:
        UserError: it is no encoder that xlret saved, or a file cannot be read.
    """
    directory = local(directory)
    read_card(directory)
    try:
        return {name: sha256_of(directory / name) for name in sorted(encoder_file_names(directory))}
    except OSError as error:
        raise UserError(f"{directory} is no whole encoder: cannot read {error.filename}: {error.strerror}") from error


def encoder_file_names(directory: Path) -> set[str]:
    """Names of the files of an encoder's directory that decide a vector."""
    directory = local(directory)
    names = {CARD, "config.json", "tokenizer.json"}
    if (directory / EXPORT).exists():
        names |= {EXPORT, ONNX}
    names |= {path.relative_to(directory).as_posix() for path in directory.glob("*.safetensors*")}
    names |= {path.relative_to(directory).as_posix() for path in directory.glob("*_Dense/*")}
    return names


def about_encoder(directory: Path, given: Path, files: dict[str, str], dimension: int) -> dict[str, Any]:
    """What a store says of its encoder.

    Args:
        directory: where it is.
        given: the path as the user gave it.
        files: as `encoder_files` found them.
        dimension: length of a vector.
    """
    directory = local(directory)
    card, export = read_card(directory), read_export(directory)
    limits = ("query_prompt", "passage_prompt", "max_query_tokens", "max_passage_tokens")
    about = {"path": str(given), "sha256": files, "dimension": dimension, **{name: getattr(card, name) for name in limits}}
    return about if export is None else about | {"export": export.model_dump()}


def same_vectors(about: Mapping[str, Any], directory: Path, files: Mapping[str, str]) -> bool:
    """Whether questions of an encoder may be asked of vectors: it made them, or they are two exports of one, or it and its own.

    Args:
        about: what a store or an index says of its encoder.
        directory: of the encoder.
        files: as `encoder_files` found them there, or more.

    Raises:
        UserError: one of the two is an export that is too far from what it was made from.
    """
    known, names = about.get("sha256") or {}, encoder_file_names(directory)
    deciding = {name: digest for name, digest in files.items() if name in names}
    if known == deciding:
        return True
    theirs = None if about.get("export") is None else ExportRecord.model_validate(about["export"])
    ours = read_export(local(directory))
    if not known or source_files(theirs, known) != source_files(ours, deciding):
        return False
    check_alike(theirs, Path(str(about.get("path"))))
    check_alike(ours, directory)
    return True

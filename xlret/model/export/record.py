"""`export.json` of an exported encoder: what it was made from, and how well it agrees with that. Readable without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from xlret.config import Settings
from xlret.errors import CorruptError, UserError

EXPORT = "export.json"
ONNX = "onnx/model.onnx"
"""Where sentence-transformers looks for it too."""
ALIKE = 0.98
"""Least mean cosine with the vectors of the encoder that an export was made from for the two to share an index."""
Backend = Literal["onnx", "onnx-int8"]


class Agreement(Settings):
    """Cosines of an export's vectors with those of the encoder that it was made from."""

    texts: int = Field(ge=1)
    mean: float
    least: float


class ExportRecord(Settings):
    """What `export.json` holds."""

    version: Literal[1] = 1
    backend: Backend
    made_from: dict[str, str]
    """Checksums of the files of the encoder that it was made from, as `encoder_files` gives them."""
    positions: int = Field(ge=1)
    """Tokens that the transformer can take."""
    agreement: Agreement
    made_with: dict[str, str]
    """Versions of packages."""


def read_export(directory: Path) -> ExportRecord | None:
    """The record of an exported encoder; None for a directory that holds no exported one.

    Raises:
        CorruptError: the file is damaged.
    """
    path = directory / EXPORT
    try:
        return ExportRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CorruptError(f"{path} is damaged or of another version; export the encoder again") from error


def source_files(record: ExportRecord | None, files: Mapping[str, str]) -> dict[str, str]:
    """The files of the encoder whose vectors these files give: of an export, those that it was made from.

    An export whose prompts, limits or dense layer were changed afterwards stands for itself alone.

    Args:
        record: of the directory, if it holds an export.
        files: name -> SHA-256 of what decides its vectors.
    """
    if record is None:
        return dict(files)
    beside = {name: digest for name, digest in files.items() if name not in (EXPORT, ONNX)}
    original = {name: digest for name, digest in record.made_from.items() if not _holds_weights(name)}
    return dict(record.made_from if beside == original else files)


def check_alike(record: ExportRecord | None, where: Path) -> None:
    """Checks that an export is near enough to what it was made from to be used with an index of that.

    Raises:
        UserError: it is not.
    """
    if record is not None and not record.agreement.mean >= ALIKE:
        raise UserError(
            f"{where}: its vectors have a mean cosine of {record.agreement.mean:.4f} with those of the encoder that it was "
            f"exported from, and {ALIKE} is needed to share an index with that; make an index with {where}, or export as onnx"
        )


def _holds_weights(name: str) -> bool:
    return "/" not in name and ".safetensors" in name

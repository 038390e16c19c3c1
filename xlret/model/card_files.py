"""Which files are a saved encoder's own, and the length of its vectors, told without loading it."""

import json
import re
from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.model.card_facts import TRAINING
from xlret.model.export.record import EXPORT, ONNX
from xlret.tokens.card import CARD

_AT_TOP = frozenset(
    {
        *(CARD, TRAINING, EXPORT, ONNX, "README.md", "config.json", "model.safetensors", "model.safetensors.index.json"),
        *("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    }
)

_MODULE = re.compile(r"\d+_[A-Za-z]+")
"""A module's directory; the transformer's files lie at the top."""


def own_files(directory: Path) -> list[str]:
    """Paths of the files of an encoder that `Encoder.save`, a run or an export writes; links and all else are not of them."""
    paths = [str(module.get("path")) for module in read_object(directory / "modules.json", list) if isinstance(module, dict)]
    modules = [path for path in paths if _MODULE.fullmatch(path)]
    names = [*_AT_TOP, *(path.name for path in directory.glob("model-?????-of-?????.safetensors"))]
    names += [f"{module}/{name}" for module in modules for name in ("config.json", "model.safetensors")]
    plain = (name for name in names if not any((directory / part).is_symlink() for part in (name, name.split("/")[0])))
    return sorted(name for name in plain if (directory / name).is_file())


def dimension_of(directory: Path) -> int:
    """Numbers of a vector, from the configuration of the dense layer or of the pooling."""
    dense = sorted(directory.glob("*_Dense/config.json"))
    if dense:
        return int(read_object(dense[-1], dict)["out_features"])
    return int(read_object(directory / "1_Pooling" / "config.json", dict)["word_embedding_dimension"])


def read_object(path: Path, kind: type) -> Any:
    """A JSON file that holds a list or an object.

    Raises:
        UserError: it does not.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(content, kind):
        raise UserError(f"{path} is not as xlret saves it; save the encoder again")
    return content

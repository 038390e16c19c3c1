"""What the files of a sentence-transformers directory say. Every key is honoured or refused, none passed over.

A key that changes no vector (`unpad_inputs`, `dtype`, versions) is let through; one that is not known may change them, and is
refused by name. So vectors are those of `SentenceTransformer` on the same directory, or loading ends in one line.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from xlret.errors import UserError
from xlret.tokens.card import PoolingMode

_KINDS = ("Transformer", "Pooling", "Dense", "Normalize")
_DENSE = ("Dense", "second Dense")
_ORDER = ("Transformer", "Pooling", *_DENSE, "Normalize")
_PACKAGES = ("models", "base.modules", "sentence_transformer.modules")
_MODULES = {
    f"sentence_transformers.{package}.{infix}{kind}": kind
    for kind in _KINDS
    for package in _PACKAGES
    for infix in ("", f"{kind}.", f"{kind.lower()}.")
}
"""The names that releases of sentence-transformers gave its own four classes."""
_OPTION_FILES = tuple(
    f"sentence_{name}_config.json" for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""In the order in which sentence-transformers looks for them; the first that says something counts."""
_MODEL_ARGUMENTS = {"dtype", "torch_dtype", "attn_implementation", "add_pooling_layer", "low_cpu_mem_usage", "use_safetensors"}
_SHORTEST = 4  # tokens; what cards allow
_POOLING: dict[str, PoolingMode] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_POOLING_KEYS = {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt"}


@dataclass(frozen=True)
class Layout:
    """What a directory says; a plain Hugging Face directory says nothing."""

    transformer: Path
    """The directory of the transformer and its tokenizer."""
    lower_case: bool = False
    max_tokens: int | None = None
    """Tokens kept of any text."""
    max_query_tokens: int | None = None
    """Tokens kept of a query, where that is another number; so is the next."""
    max_passage_tokens: int | None = None
    pooling: PoolingMode | None = None
    projections: tuple[Path, ...] = ()
    """Of its dense layers, one after the other."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None


def read_layout(directory: Path) -> Layout:
    """What the sentence-transformers files of a directory say, those in its modules' directories too.

    Raises:
        UserError: a module, option or value that would give other vectors here; names the file and the key.
    """
    if not (directory / "modules.json").is_file():
        return Layout(directory)
    try:
        modules = _modules(directory)
        if "Pooling" not in modules:
            raise UserError(f"{directory}/modules.json: modules {', '.join(modules)} lack Pooling, which makes a text's vector")
        if normalize := modules.get("Normalize"):
            _only(normalize / "config.json", read_json(normalize / "config.json", {}), _VECTOR_KEYS)
        options = _options(modules["Transformer"], _OF_ENCODERS, "last_hidden_state")
        about = _about(directory / "config_sentence_transformers.json", "Normalize" in modules)
        pooling = _pooling(modules["Pooling"] / "config.json")
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{directory}: modules.json and the files it names are not of sentence-transformers' form") from error
    return Layout(
        modules["Transformer"],
        pooling=pooling,
        projections=tuple(modules[kind] for kind in _DENSE if kind in modules),
        **options,
        **about,
    )


def read_cross_encoder_layout(directory: Path) -> Layout | None:
    """As `read_layout` of a model that reads pairs: one with a classification head, whoever saved it.

    Returns:
        None: the directory holds no such model.

    Raises:
        UserError: an option or value that would give other scores here; names the file and the key.
    """
    try:
        modules = _modules(directory) if (directory / "modules.json").is_file() else {"Transformer": directory}
        if modules.keys() != {"Transformer"}:
            return None
        transformer = modules["Transformer"]
        architectures = read_json(transformer / "config.json", {}).get("architectures") or ()
        if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
            return None
        if not (directory / "modules.json").is_file():
            return Layout(transformer)
        file = directory / "config_sentence_transformers.json"
        about = read_json(file, {})
        if about.get("model_type", "CrossEncoder") != "CrossEncoder":
            raise UserError(f"{file}: model_type is {about['model_type']!r}; a reranker is a CrossEncoder")
        default = about.get("default_prompt_name")
        if default is not None and (about.get("prompts") or {}).get(default) != "":
            raise UserError(f"{file}: default_prompt_name is {default!r}; a prompt before pairs is not supported")
        return Layout(transformer, **_options(transformer, _OF_CROSS_ENCODERS, "logits"))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{directory}: modules.json and the files it names are not of sentence-transformers' form") from error


def read_json(path: Path, missing: Any = None) -> Any:
    """The content of a JSON file, or `missing` where that is given and there is no file.

    Raises:
        UserError: it cannot be read.
    """
    if missing is not None and not path.is_file():
        return missing
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _modules(directory: Path) -> dict[str, Path]:
    """The directories of the modules, by kind."""
    file = directory / "modules.json"
    modules: dict[str, Path] = {}
    for module in read_json(file):
        kind, path = _MODULES.get(str(module["type"])), module["path"]
        if kind == "Dense" and next(reversed(modules), None) == "Dense":
            kind = "second Dense"
        if kind is None or kind in modules:
            count = "" if kind is None else "a third " if kind == "Dense" else "a second "
            raise UserError(
                f"{file}: {count}module {kind or module['type']} is not supported; "
                "supported are sentence-transformers' own Transformer, Pooling, Dense (up to two) and Normalize, in this order"
            )
        if not isinstance(path, str) or PureWindowsPath(path).anchor or ".." in PureWindowsPath(path).parts or "\0" in path:
            raise UserError(f"{file}: path {path!r} leaves the directory; allowed are paths below it")
        modules[kind] = directory / path
    order = [kind for kind in _ORDER if kind in modules]
    if order != list(modules) or order[:2] not in (["Transformer", "Pooling"], ["Transformer"]):
        raise UserError(f"{file}: modules {', '.join(modules)} are not Transformer, Pooling, (Dense), (Dense), (Normalize)")
    return modules


def _options(transformer: Path, values: Mapping[str, tuple[Any, ...]], output: str) -> dict[str, Any]:
    """The transformer's own options, from the first of the files that says something; `values` and `output` are supported."""
    no_options: dict[str, Any] = {}
    file, options = next(
        ((path, read) for name in _OPTION_FILES if (read := read_json(path := transformer / name, {}))),
        (transformer, no_options),
    )
    tokenizer = _arguments(file, options, ("processor_kwargs", "tokenizer_args"), {"model_max_length"})
    _arguments(file, options, ("model_kwargs", "model_args"), _MODEL_ARGUMENTS)
    _arguments(file, options, ("config_kwargs", "config_args"), set())
    _only(file, options, {**_OPTION_VALUES, **values}, _OPTION_KEYS)
    supported = {"method": "forward", "method_output_name": output}
    texts = {**supported, **options.get("modality_config", {}).get("text", {})}
    for key, value in texts.items():
        if value != supported.get(key, value):
            raise UserError(f"{file}: modality_config.text.{key} is {value!r}; supported is {supported[key]!r}")
    limit = tokenizer.get("model_max_length", options.get("max_seq_length"))
    lengths = {"max_seq_length": limit, **{key: options.get(key) for key in ("query_length", "document_length")}}
    for key, value in lengths.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < _SHORTEST):
            raise UserError(f"{file}: {key} is {value!r}; supported is a number of tokens, {_SHORTEST} or more")
    if not isinstance(options.get("do_lower_case"), bool | None):
        raise UserError(f"{file}: do_lower_case is {options['do_lower_case']!r}; allowed are true and false")
    return {
        "lower_case": options.get("do_lower_case") or False,
        "max_tokens": limit,
        "max_query_tokens": options.get("query_length"),
        "max_passage_tokens": options.get("document_length"),
    }


def _arguments(file: Path, options: Mapping[str, Any], names: tuple[str, str], known: set[str]) -> dict[str, Any]:
    """The arguments under the new or the old name of a group; sentence-transformers takes the old one where both are there."""
    name = names[1] if names[1] in options else names[0]
    arguments: dict[str, Any] = options.get(name) or {}
    if unknown := sorted(arguments.keys() - known - {"trust_remote_code"}):
        raise UserError(f"{file}: {name}.{unknown[0]} is not supported")
    return arguments


_OPTION_VALUES: dict[str, tuple[Any, ...]] = {
    "processing_kwargs": (None, {}),
    "query_expansion": (None,),
    "tokenizer_name_or_path": (None,),
}
"""Options of which only these values give what is computed here."""
_OF_ENCODERS = {"transformer_task": ("feature-extraction",), "module_output_name": ("token_embeddings",)}
_OF_CROSS_ENCODERS = {"transformer_task": ("sequence-classification",), "module_output_name": ("scores",)}
_OPTION_KEYS = {
    *("max_seq_length", "do_lower_case", "query_length", "document_length", "modality_config", "unpad_inputs"),
    *("processor_kwargs", "tokenizer_args", "model_kwargs", "model_args", "config_kwargs", "config_args"),
}
_VECTOR_KEYS: dict[str, tuple[Any, ...]] = {
    "module_input_name": ("sentence_embedding",),
    "module_output_name": ("sentence_embedding", None),
}


def _only(file: Path, options: Mapping[str, Any], values: Mapping[str, tuple[Any, ...]], free: Collection[str] = ()) -> None:
    """Refuses keys that are neither `free` nor among `values`, and those among them with another value."""
    for key, value in options.items():
        if key in values and value not in values[key]:
            raise UserError(f"{file}: {key} is {value!r}, which is not supported; supported is {values[key][0]!r}")
        if key not in values and key not in free:
            raise UserError(f"{file}: {key} is an option that is not known here")


def _about(file: Path, normalized: bool) -> dict[str, Any]:
    """Prompts, and refusals of what a whole directory may be besides an encoder of cosines."""
    about = read_json(file, {})
    similarity = about.get("similarity_fn_name")
    if similarity not in ((None, "cosine", "dot", "euclidean") if normalized else (None, "cosine")):
        raise UserError(
            f"{file}: similarity_fn_name is {similarity!r}{'' if normalized else ' of vectors that are not normalised'}, "
            "and vectors are compared by cosine here; set it to cosine if that will do"
        )
    if about.get("truncate_dim") is not None:
        raise UserError(
            f"{file}: truncate_dim is {about['truncate_dim']!r}, which is not supported; take the key out, "
            "and say dimensions where vectors may be cut"
        )
    if about.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise UserError(f"{file}: model_type is {about['model_type']!r}; an encoder is a SentenceTransformer")
    prompts = {str(name): prompt or "" for name, prompt in (about.get("prompts") or {}).items()}
    if odd := next((name for name, prompt in prompts.items() if not isinstance(prompt, str)), None):
        raise UserError(f"{file}: prompts.{odd} is {prompts[odd]!r}; allowed is a text")
    default = about.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise UserError(f"{file}: default_prompt_name is {default!r}; prompts are {', '.join(prompts) or 'none'}")
    return {"prompts": prompts, "default_prompt_name": default}


def _pooling(file: Path) -> PoolingMode:
    config = read_json(file)
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else named
    if modes is None:
        modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) != 1 or modes[0] not in _POOLING or config.get("include_prompt", True) is not True:
        raise UserError(
            f"{file}: pooling {', '.join(map(str, modes)) or 'of no kind'}"
            f"{'' if config.get('include_prompt', True) is True else ' without the prompt (include_prompt)'} is not supported; "
            "supported are mean, cls and lasttoken, one of them, over all tokens"
        )
    if unknown := [key for key in config if key not in _POOLING_KEYS and not key.startswith("pooling_mode_")]:
        raise UserError(f"{file}: {unknown[0]} is an option that is not known here")
    return _POOLING[modes[0]]

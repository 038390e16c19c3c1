"""The keys of a recipe as text: each with its type, bounds, default and sentence, all from the fields of the settings."""

import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from xlret.config import Settings

_WIDTH = 79
_NAMES: dict[Any, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    Any: "any value",
    type(None): "null",
}
_BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}", "min_length": "{} or more"}


def recipe_keys(kind: type[Settings], prefix: str = "") -> str:
    """All keys of such a recipe, a paragraph each, in the order of the fields; those of nested settings behind a dot."""
    fields = kind.model_fields.items()
    return "\n".join(line for name, field in fields for line in _paragraph(f"{prefix}{name}", field, sentence_of(kind, name)))


def sentence_of(kind: type[Settings], name: str) -> str:
    """The docstring of a field; a subclass that only changes the default has that of the class above it."""
    classes = [base for base in kind.__mro__ if issubclass(base, Settings) and name in base.model_fields]
    return next((text for base in classes if (text := base.model_fields[name].description)), "")


def _paragraph(key: str, field: FieldInfo, sentence: str) -> Iterator[str]:
    classes = list(_settings_classes(field.annotation))
    if _is_settings(field.annotation):
        yield ""
        yield from _filled(sentence or classes[0].__doc__ or "", f"  {key}: ", "  ")
    else:
        bounds = "".join(
            f", {words.format(value)}"
            for constraint in field.metadata
            for name, words in _BOUNDS.items()
            if (value := getattr(constraint, name, None)) is not None
        )
        yield f"  {key}: {type_name(field.annotation)}{bounds}{_default(field)}"
        yield from _filled(sentence, "      ", "      ")
    steps: dict[Any, str] = {dict: ".NAME.", tuple: ".N."}
    for settings in classes:
        if len(classes) > 1:
            yield ""
            yield from _filled(settings.__doc__ or "", "  ", "  ")
        yield recipe_keys(settings, key + steps.get(get_origin(field.annotation), "."))


def _filled(text: str, first: str, rest: str) -> Iterator[str]:
    yield from textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=first, subsequent_indent=rest)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "; needed"
    default = field.get_default(call_default_factory=False)
    if field.default_factory is not None or default in (None, (), {}):
        return ""
    if isinstance(default, tuple):
        return f"; by default [{', '.join(map(str, default))}]"
    return f"; by default {str(default).lower() if isinstance(default, bool) else default}"


def type_name(annotation: Any) -> str:
    """A type in the words of a recipe's writer.

    >>> type_name(tuple[Literal["a", "b"], ...]), type_name(float | None)
    ('list of a | b', 'number | null')
    """
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType) and all(map(_is_settings, arguments)):
        return f"one of the {len(arguments)} forms below"
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_name, arguments))
    if origin is tuple:
        return f"list of {type_name(arguments[0])}" if arguments[-1] is ... else f"[{', '.join(map(type_name, arguments))}]"
    if origin is not None:
        return f"mapping of {' to '.join(map(type_name, arguments))}"
    return f"{{{', '.join(annotation.model_fields)}}}" if _is_settings(annotation) else _NAMES.get(annotation, str(annotation))


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _settings_classes(annotation: Any) -> Iterator[type[Settings]]:
    """The settings classes that a value of this type may hold."""
    if _is_settings(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _settings_classes(argument)

"""How settings are read: YAML recipes, overrides `a.b=c`, and one-line errors that name key, value and what is allowed."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from xlret.errors import UserError
from xlret.files import expand_path
from xlret.storage.url import shown


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values do not change after reading, a field's docstring is its help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


S = TypeVar("S", bound=Settings)

PathSetting = Annotated[Path, AfterValidator(expand_path)]
"""A path that may hold `~` and environment variables; absolute from here on (Ray's workers have directories of their own)."""


RECIPES = Path(__file__).parent / "recipes"
"""The recipes that come with xlret."""


def recipe_names() -> list[str]:
    """The recipes that come with xlret, such as `quickstart`; those of a subdirectory have its name before a slash."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))


def recipe_path(recipe: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that comes with xlret.

    A relative path starts at the current directory (which a submitted job has a copy of), else at `$XLRET_HOME`, as all others.

    Raises:
        UserError: it is neither.

    >>> recipe_path("quickstart").name
    'quickstart.yaml'
    """
    for path in (Path(recipe), expand_path(Path(recipe))):
        if path.is_file():
            return path
    if str(recipe) in recipe_names():
        return RECIPES / f"{recipe}.yaml"
    raise UserError(
        f"there is no recipe {recipe}: no such file, and none of those that come with xlret, {', '.join(recipe_names())}"
    )


def _named_recipe(value: Any) -> Any:
    return recipe_path(value) if isinstance(value, str | Path) else value


RecipeSetting = Annotated[Path, BeforeValidator(_named_recipe), AfterValidator(expand_path)]
"""A recipe that another one names: a path, or the name of one that comes with xlret."""


def read_recipe(kind: type[S], recipe: str | Path | None, overrides: Iterable[str] = ()) -> S:
    """Reads a YAML recipe into `kind` and applies overrides `a.b=value` (values are YAML).

    Args:
        kind: what the recipe is to become.
        recipe: a path, the name of a recipe that comes with xlret, or None for overrides alone.
        overrides: applied in turn.

    Raises:
        UserError: no such recipe, not YAML, an unknown key, a wrong type or an impossible combination.
    """
    values: dict[str, Any] = {} if recipe is None else _read(recipe_path(recipe))
    for override in overrides:
        _apply(values, override)
    try:
        return settings_from(kind, values)
    except UserError as error:
        if values:
            raise
        raise UserError("give a recipe: a YAML file, or a name that xlret recipes lists") from error


def changed_recipe(kind: type[S], recipe: str | Path, changes: Mapping[str, Any]) -> S:
    """As `read_recipe`, with overrides as plain values: `{"plan.alpha": 0.3}`.

    Raises:
        UserError: as `read_recipe`.
    """
    values = _read(recipe_path(recipe))
    for key, value in changes.items():
        _assign(values, key, value, f"{key}: {value!r}")
    return settings_from(kind, values)


def settings_from(kind: type[S], values: Mapping[str, Any]) -> S:
    """`kind` from plain values, with pydantic's errors as one line that names the key, the value and what is allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        sentences: dict[str, str] = {}
        for detail in error.errors():
            key = ".".join(_location(kind, values, detail))
            if key in sentences:  # another of the types that it may have
                sentences[key] += f", or: {_message(detail)}"
            else:
                sentences[key] = _sentence(kind, key, detail)
        raise UserError("; ".join(list(sentences.values())[:3])) from error


def dotted(kind: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """Setting -> value, a mapping that stands for a part of the settings spread: one that changes a part keeps the rest.

    Args:
        kind: the settings that the names are of.
        values: names, with dots or as mappings in mappings; of two values of one setting the later holds.

    >>> class Plan(Settings): batch: int = 2; alpha: float | dict[str, float] = 0.5
    >>> class Job(Settings): plan: Plan = Plan()
    >>> dotted(Job, {"plan.batch": 4, "plan": {"batch": 8, "alpha": {"end": 1.0}}})
    {'plan.batch': 8, 'plan.alpha': {'end': 1.0}}
    """
    spread: dict[str, Any] = {}
    for key, value in values.items():
        allowed = _keys_at(kind, str(key).split("."))
        if isinstance(value, Mapping) and value and all(str(inner).partition(".")[0] in allowed for inner in value):
            spread |= dotted(kind, {f"{key}.{inner}": part for inner, part in value.items()})
        else:
            spread[key] = value
    return spread


def as_yaml(settings: Settings) -> str:
    """The full settings as YAML; `read_recipe` of it gives equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def sentence_of(error: ErrorDetails, key: str, show: Callable[[Any], str] = repr) -> str:
    """One of pydantic's errors as a sentence: the key, the value and what is allowed.

    Args:
        error: an item of `ValidationError.errors()`.
        key: what the user calls the setting; empty for a combination of several.
        show: how the value is shown.
    """
    message = _message(error)
    if error["type"] == "missing":
        return f"{key}: is needed and was not given"
    if not key:
        return message
    value = shown(show(error.get("input")))
    if len(value) > 80:
        value = value[:77] + "..."
    return f"{key} is {value}: {message}"


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"recipe {path} is not YAML: {error}") from error
    if values is not None and not isinstance(values, dict):
        raise UserError(f"recipe {path} must be a mapping of keys to values, not {type(values).__name__}")
    return values or {}


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {override!r} is not of the form key.subkey=value, such as plan.alpha=0.3")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"--set {override!r}: the value is not YAML: {error}") from error
    _assign(values, key.strip(), value, f"--set {override!r}")


def _assign(values: dict[str, Any], key: str, value: Any, said: str) -> None:
    """Sets `a.b.c` in nested mappings and lists. `said` is what the user gave, for errors."""
    *parents, last = key.split(".")
    inner: Any = values
    for parent in parents:
        step = int(parent) if isinstance(inner, list) and parent.isdecimal() else parent
        if isinstance(inner, dict):
            if not isinstance(inner.get(parent), dict | list):
                inner[parent] = {}
            inner = inner[parent]
        elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
            inner = inner[step]
        else:
            raise UserError(f"{said}: there is no {parent!r} to set something in")
    if isinstance(inner, list):
        if not last.isdecimal() or int(last) >= len(inner):
            raise UserError(f"{said}: {last!r} is not a position in a list of {len(inner)}")
        inner[int(last)] = value
    else:
        inner[last] = value


def _sentence(kind: type[Settings], key: str, error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        allowed = _keys_at(kind, key.split(".")[:-1])
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}" if allowed else f"{key}: unknown key"
    sentence = sentence_of(error, key)
    if error["type"] == "model_type" and (allowed := _keys_at(kind, key.split("."))):
        sentence += f": {', '.join(allowed)}"
    return sentence


def _message(error: ErrorDetails) -> str:
    """What is wrong, in the words of a recipe in place of Python's."""
    if error["type"] in ("model_type", "dict_type"):
        return "Input should be a mapping of keys to values"
    if error["type"] in ("tuple_type", "list_type", "set_type", "frozen_set_type"):
        return "Input should be a list"
    return str(error["msg"]).removeprefix("Value error, ")


def _location(kind: type[Settings], values: Any, error: ErrorDetails) -> list[str]:
    """The keys that lead to an error, without the names that pydantic gives to each type that a setting may have."""
    location = []
    *parents, last = error["loc"] or [""]
    inner: Any = values
    for part in parents:
        is_key = isinstance(inner, Mapping) and part in inner
        if is_key or (isinstance(inner, list | tuple) and isinstance(part, int)):
            inner = inner[part]
            location.append(str(part))
    is_key = isinstance(inner, Mapping) and (last in inner or last in _keys_at(kind, location))
    is_position = isinstance(inner, list | tuple) and isinstance(last, int)
    if is_key or is_position or not parents or error["type"] == "missing":
        location.append(str(last))
    return [part for part in location if part]


def _keys_at(kind: type[Settings], location: list[str]) -> list[str]:
    """The field names allowed at a position of the settings tree; empty where that is not a plain settings class."""
    inner: Any = kind
    for part in location:
        field = getattr(inner, "model_fields", {}).get(part)
        if field is None:
            return []
        inner = field.annotation
    return sorted(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []

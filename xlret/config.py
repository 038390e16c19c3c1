"""Every job's settings: YAML recipes, `--set a.b=c` overrides, and one-line errors that name key, value and what is allowed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from xlret.errors import UserError
from xlret.files import expand_path


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values do not change after reading, a field's docstring is its help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


S = TypeVar("S", bound=Settings)

PathSetting = Annotated[Path, AfterValidator(expand_path)]
"""A path that may hold `~` and environment variables; absolute from here on (Ray's workers have directories of their own)."""


def read_recipe(kind: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Reads a YAML recipe into `kind` and applies overrides `a.b=value` (values are YAML).

    Raises:
        UserError: no such file, not YAML, an unknown key, a wrong type or an impossible combination.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"cannot read recipe {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"recipe {path} is not YAML: {error}") from error
        if read is not None and not isinstance(read, dict):
            raise UserError(f"recipe {path} must be a mapping of keys to values, not {type(read).__name__}")
        values = read or {}
    for override in overrides:
        _apply(values, override)
    return settings_from(kind, values)


def settings_from(kind: type[S], values: Mapping[str, Any]) -> S:
    """`kind` from plain values, with pydantic's errors as one line that names the key, the value and what is allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(_sentence(kind, one) for one in error.errors()[:3])) from error


def as_yaml(settings: Settings) -> str:
    """The full settings as YAML; `read_recipe` of it gives equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(values: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found or not key.strip():
        raise UserError(f"--set {override!r} is not of the form key.subkey=value, such as train.steps=200")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is not YAML: {error}") from error
    *parents, last = key.strip().split(".")
    inner: Any = values
    for parent in parents:
        step = int(parent) if isinstance(inner, list) and parent.isdigit() else parent
        if isinstance(inner, dict):
            if not isinstance(inner.get(parent), dict | list):
                inner[parent] = {}
            inner = inner[parent]
        elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
            inner = inner[step]
        else:
            raise UserError(f"--set {override!r}: there is no {parent!r} to set something in")
    if isinstance(inner, list):
        if not last.isdigit() or int(last) >= len(inner):
            raise UserError(f"--set {override!r}: {last!r} is not a position in a list of {len(inner)}")
        inner[int(last)] = value
    else:
        inner[last] = value


def _sentence(kind: type[Settings], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location) or kind.__name__
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        allowed = _keys_at(kind, location[:-1])
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}" if allowed else f"{key}: unknown key"
    if error["type"] == "missing":
        return f"{key}: is needed and was not given"
    value = repr(error.get("input"))
    if len(value) > 80:
        value = value[:77] + "..."
    return f"{key} is {value}: {message}"


def _keys_at(kind: type[Settings], location: list[str]) -> list[str]:
    """The field names allowed at a place in the settings tree; empty where the place is not a plain settings class."""
    here: Any = kind
    for part in location:
        field = getattr(here, "model_fields", {}).get(part)
        if field is None:
            return []
        here = field.annotation
    return sorted(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []

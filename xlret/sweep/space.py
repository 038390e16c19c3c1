"""The values that a swept setting may take, and the combinations of several: every one, or drawn ones."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import Field, model_validator

from xlret.config import Settings
from xlret.errors import UserError
from xlret.keys import generator

UNTRAINED = "untrained"
"""Key of a point: with value true the start is evaluated and nothing trained; of the space what decides the start has a say."""
_KINDS = ("grid", "choice", "uniform", "log_uniform", "integers")


class Domain(Settings):
    """The values of a setting: exactly one of `grid`, `choice`, `uniform`, `log_uniform`, `integers`. A list is a grid."""

    grid: tuple[Any, ...] | None = Field(None, min_length=1)
    """All of these, whatever the search: the settings that it draws are drawn once for each combination of grids."""
    choice: tuple[Any, ...] | None = Field(None, min_length=1)
    """One of these, drawn by the search; search grid takes them all."""
    uniform: tuple[float, float] | None = None
    """A number from low to high."""
    log_uniform: tuple[float, float] | None = None
    """A number from low to high, whose logarithm is drawn evenly."""
    integers: tuple[int, int] | None = None
    """A whole number from low to high, both included."""
    when: Mapping[str, Any] = {}
    """Other setting -> value, or list of values: this setting is swept only where they are so, else it stays as in the base."""

    @model_validator(mode="before")
    @classmethod
    def _list_is_grid(cls, values: Any) -> Any:
        return {"grid": values} if isinstance(values, list | tuple) else values

    @model_validator(mode="after")
    def _single_kind(self) -> "Domain":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a swept setting has exactly one of {', '.join(_KINDS)}, not {' and '.join(given) or 'none'}")
        for kind in ("uniform", "log_uniform", "integers"):
            limits = getattr(self, kind)
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"{kind} is from {limits[0]} to {limits[1]}; the first must be below the second")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform starts at {self.log_uniform[0]}; it must be above 0")
        return self

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All values there are; None where they are countless, or as many as an interval of whole numbers has."""
        return self.grid if self.grid is not None else self.choice

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Whether the condition holds for these values of other settings."""
        return all(
            setting in chosen and chosen[setting] in (allowed if isinstance(allowed, list | tuple) else [allowed])
            for setting, allowed in self.when.items()
        )

    def draw(self, *key: int | str) -> Any:
        """A value as a pure function of a key.

        >>> Domain(log_uniform=(1e-5, 1e-3)).draw(0, "lr") == Domain(log_uniform=(1e-5, 1e-3)).draw(0, "lr")
        True
        """
        rng = generator(*key)
        if (values := self.values) is not None:
            return values[int(rng.integers(len(values)))]
        if self.integers is not None:
            return int(rng.integers(self.integers[0], self.integers[1], endpoint=True))
        if self.log_uniform is not None:
            low, high = self.log_uniform
            return float(low * (high / low) ** rng.random())
        assert self.uniform is not None
        low, high = self.uniform
        return float(low + (high - low) * rng.random())


Space = Mapping[str, Domain]
"""Setting of the training recipe -> its values, in an order in which a condition names only settings before its own."""
Combination = tuple[str | None, dict[str, Any]]
"""Name of a point, if any, and settings."""


def combinations(space: Space, points: Mapping[str, Mapping[str, Any]], *, choices: bool) -> list[Combination]:
    """Every point with every combination of the grids, each combination once.

    Args:
        space: the settings; those that are neither grid nor (with `choices`) choice are left out.
        points: name -> settings that go together; none: the base alone.
        choices: whether choices count as grids.

    Returns:
        (name of the point, its settings and those of the grids): where a grid has a setting that the point has too, the grid's.

    >>> alpha = Domain(grid=(0.2, 0.5), when={"plan.regime": "hybrid"})
    >>> space = {"plan.regime": Domain(grid=("mono", "hybrid")), "plan.alpha": alpha}
    >>> [list(settings.values()) for _, settings in combinations(space, {}, choices=False)]
    [['mono'], ['hybrid', 0.2], ['hybrid', 0.5]]

    Of an untrained point those alone that decide the start:

    >>> space = {"encoder.start": Domain(grid=("a", "b")), "plan.alpha": Domain(grid=(0.2, 0.5))}
    >>> [settings["encoder.start"] for _, settings in combinations(space, {"start": {"untrained": True}}, choices=False)]
    ['a', 'b']
    """
    listed = {
        setting: domain
        for setting, domain in space.items()
        if domain.grid is not None or (choices and domain.choice is not None)
    }
    combined: list[Combination] = []
    bases: list[tuple[str | None, Mapping[str, Any]]] = [*points.items()] or [(None, {})]
    for name, fixed in bases:
        swept = {name: domain for name, domain in listed.items() if _decides_start(name)} if fixed.get(UNTRAINED) else listed
        for values in product(*(domain.values or () for domain in swept.values())):
            settings = dict(fixed)
            for (setting, domain), value in zip(swept.items(), values, strict=True):
                if domain.applies(settings):
                    settings[setting] = value
            if (name, settings) not in combined:
                combined.append((name, settings))
    return combined


def _decides_start(setting: str) -> bool:
    return setting.startswith("encoder.") and not setting.startswith("encoder.lora")


def drawn(space: Space, chosen: Mapping[str, Any], seed: int, number: int) -> dict[str, Any]:
    """`chosen` and the settings that are no grid, drawn as a pure function of (seed, number, setting)."""
    settings = dict(chosen)
    for setting, domain in () if chosen.get(UNTRAINED) else drawable(space):
        if domain.applies(settings):
            settings[setting] = domain.draw(seed, "sweep", setting, number)
    return settings


def drawable(space: Space) -> Iterator[tuple[str, Domain]]:
    """The settings that a search draws: all but the grids."""
    return ((setting, domain) for setting, domain in space.items() if domain.grid is None)


def check_space(space: Space, points: Mapping[str, Mapping[str, Any]], method: str) -> None:
    """Whether a search can make configurations of a space.

    Raises:
        UserError: a range with search grid, a condition on what is not swept before it, or nothing to sweep.
    """
    if not space and not points:
        raise UserError("there is nothing to sweep; name settings in space, or points")
    known = {setting for fixed in points.values() for setting in fixed}
    for setting, domain in space.items():
        if method == "grid" and domain.values is None:
            raise UserError(
                f"space.{setting} is a range, of which search grid cannot take all values; list them, or search random"
            )
        if unknown := sorted(set(domain.when) - known):
            raise UserError(
                f"space.{setting}.when names {unknown[0]}, which is no setting of a point nor swept before {setting}"
            )
        known.add(setting)


def readable(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    """The last word of each named setting and its value, as far as they say something in a file's name.

    >>> readable({"plan.alpha": 0.5, "encoder.start": "/models/mini-vt", "steps": 30}, ["plan.alpha", "encoder.start"])
    'alpha-0.5_start-mini-vt'
    """
    return "_".join(f"{name.rsplit('.', 1)[-1]}-{_short(settings[name])}" for name in names if name in settings)


def _short(value: Any) -> str:
    if isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, list | tuple):
        text = "+".join(map(_short, value)) if len(value) <= 4 else f"{len(value)}-of-them"
    elif isinstance(value, Mapping):
        text = "+".join(_short(inner) for inner in value.values())
    else:
        text = str(value).rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in ".+-") else "." for letter in text)
